package boltcounter

import "time"

// CompactOften makes the file smaller whenever half of it is free, and looks
// after every call.
func (s *Store) CompactOften() { s.every, s.above = 0, 0 }

// Replace makes the file smaller whether that helps or not.
func (s *Store) Replace() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replace()
}

// Hurry stops or begins to wait for the disk. Nobody may be using the store.
func (s *Store) Hurry(on bool) { s.db.NoSync = on }

// Compact is what happens once in a while.
func (s *Store) Compact() error { return s.compact(0) }

// Shift sets the clock. Nobody may be using the store.
func (s *Store) Shift(d time.Duration) {
	before := s.now
	s.now = func() time.Time { return before().Add(d) }
}
