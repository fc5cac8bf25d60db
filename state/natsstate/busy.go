package natsstate

import (
	"context"
	"slices"
	"strings"
	"sync"
)

// topics are those that are being committed to from here, each by one call at a time:
// of two batches of one topic at once one is rejected, which costs the server as much
// as if it had been stored.
type topics struct {
	mu   *sync.Mutex              // guards the rest
	busy map[string]chan struct{} // closed when the topic is free again
}

func newTopics() topics { return topics{new(sync.Mutex), make(map[string]chan struct{})} }

// take waits until all topics of a call are its own. All calls take theirs in one
// order.
func (t *topics) take(ctx context.Context, all []*attempt) error {
	sorted := slices.SortedFunc(slices.Values(all), func(a, b *attempt) int {
		return strings.Compare(a.step.Topic, b.step.Topic)
	})
	for i, a := range sorted {
		if err := t.takeOne(ctx, a.step.Topic); err != nil {
			t.leave(sorted[:i])
			return err
		}
	}
	return nil
}

func (t *topics) takeOne(ctx context.Context, topic string) error {
	for {
		t.mu.Lock()
		free, taken := t.busy[topic]
		if !taken {
			t.busy[topic] = make(chan struct{})
		}
		t.mu.Unlock()
		if !taken {
			return nil
		}
		select {
		case <-free:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// leave gives the topics of a call back.
func (t *topics) leave(all []*attempt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range all {
		close(t.busy[a.step.Topic])
		delete(t.busy, a.step.Topic)
	}
}
