package counter

import (
	"context"
	"sync"
	"time"
)

// admit refuses the ops of a batch whose senders may not make the counter that
// they would make, and returns the others. Who is the first that may makes it
// for all behind; what stood before has been refused. A counter that exists is
// everybody's. With an error nothing is refused yet.
func (b *Batcher) admit(name string, batch []submitted) ([]submitted, error) {
	if batch[0].from == nil || b.known.has(name) {
		return batch, nil
	}
	var exists bool
	err := b.patiently(name, newest(batch), func(ctx context.Context) error {
		values, err := b.store.Get(ctx, name)
		exists = err == nil && values[0].Version > 0
		return err
	})
	if err != nil {
		return batch, err
	}
	if exists {
		b.known.add(name)
		return batch, nil
	}
	return b.create(name, batch), nil
}

// create is admit for a counter that does not exist. It is counted once, though
// the call that makes it may have to be repeated: from now on it is known.
func (b *Batcher) create(name string, batch []submitted) []submitted {
	refused := make(map[any]error) // each sender is asked once
	for i, s := range batch {
		if s.from == nil {
			return batch[i:]
		}
		err := refused[s.share]
		if err == nil {
			err = b.guard.newName(s.from)
		}
		if err == nil {
			b.known.add(name)
			return batch[i:]
		}
		refused[s.share] = err
		b.refuse(batch[i:i+1], err)
	}
	return nil
}

// maxKnown bounds each half of a nameSet: 100 bytes a name.
const maxKnown = 1 << 14

// A nameSet remembers names: the last 16,384 of those that were added or asked
// for, and up to as many before. Its methods may be called concurrently. The
// zero value is empty.
type nameSet struct {
	mu       sync.Mutex // guards the rest
	now, old map[string]struct{}
}

func (s *nameSet) add(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil || len(s.now) >= maxKnown {
		s.now, s.old = make(map[string]struct{}), s.now
	}
	s.now[name] = struct{}{}
}

func (s *nameSet) has(name string) bool {
	s.mu.Lock()
	_, now := s.now[name]
	_, old := s.old[name]
	s.mu.Unlock()
	if old && !now {
		s.add(name) // it is in use
	}
	return now || old
}

// A storeState is what the last calls say of a store. Its methods may be
// called concurrently. The zero value is a store of which nothing is known.
type storeState struct {
	mu   sync.Mutex // guards the rest
	err  error      // of the last call; nil: it was answered
	last time.Time  // of the last answer
}

func (s *storeState) answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.last = nil, time.Now()
}

func (s *storeState) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// away returns why the last call failed, or nil.
func (s *storeState) away() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// answeredSince reports whether a call was answered at or after a time.
func (s *storeState) answeredSince(t time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last.After(t)
}
