package state

import (
	"context"
	"sync"
	"time"
)

const (
	// marksEvery is how long marks wait for others, while they fit into one call.
	marksEvery = time.Second
	// maxMarks is how many may wait. What does not fit is dropped: its lanes stay
	// for their whole lifetime.
	maxMarks = 1 << 14
)

// marks are those that wait to be set.
type marks struct {
	mu      sync.Mutex         // guards the rest
	waiting map[laneKey]uint64 // up to which seq
	busy    bool               // a goroutine sets them
}

// Finish says that a client needs no more answers for its ops on a topic up to a
// seq, and will send none of them again: its lane may go in minutes. It does not
// block, and may be lost, which costs memory only.
func (b *Batcher) Finish(topic string, client Client, upTo uint64) {
	if CheckTopic(topic) != nil || upTo < 1 {
		return
	}
	m := &b.marks
	m.mu.Lock()
	defer m.mu.Unlock()
	key := laneKey{topic, client, 0}
	before, known := m.waiting[key]
	if !known && len(m.waiting) >= maxMarks {
		return
	}
	if m.waiting == nil {
		m.waiting = make(map[laneKey]uint64)
	}
	m.waiting[key] = max(before, upTo)
	if m.busy {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		m.busy = true
		b.wg.Go(b.setMarks) // ends when no marks wait
	}
}

// setMarks sets the marks that wait, and those that come meanwhile.
func (b *Batcher) setMarks() {
	for {
		if b.marks.len() < MaxRead {
			b.wait(marksEvery)
		}
		some := b.marks.take()
		if len(some) == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(b.base, b.opts.CallTimeout)
		if err := b.store.Finish(ctx, some...); err != nil {
			b.opts.Logger.Debug("lanes could not be marked", "err", err)
		}
		cancel()
	}
}

func (m *marks) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.waiting)
}

// take returns what goes into the next call, any of those that wait.
func (m *marks) take() (some []Mark) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, upTo := range m.waiting {
		if len(some) == MaxRead {
			break
		}
		some = append(some, Mark{key.topic, key.client, upTo})
		delete(m.waiting, key)
	}
	m.busy = len(some) > 0
	return some
}

// wait is a pause that Close ends.
func (b *Batcher) wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-b.closing:
	}
}
