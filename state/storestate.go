package state

import (
	"sync"
	"time"
)

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
