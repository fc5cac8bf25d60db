package state

import (
	"context"
	"sync"
	"time"
)

const (
	// marksEvery is how long marks wait for others.
	marksEvery = time.Second
	// maxMarks is how many may wait. What does not fit is dropped: its lanes stay
	// for their whole lifetime.
	maxMarks = 1 << 14
)

// marks are those that wait to be set.
type marks struct {
	mu      sync.Mutex // guards the rest
	waiting []Mark
	busy    bool // a goroutine sets them
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
	if len(m.waiting) >= maxMarks {
		return
	}
	m.waiting = append(m.waiting, Mark{topic, client, upTo})
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
		b.wait(marksEvery)
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

func (m *marks) take() []Mark {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := min(len(m.waiting), MaxRead)
	some := m.waiting[:n]
	m.waiting = append([]Mark(nil), m.waiting[n:]...)
	m.busy = n > 0
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
