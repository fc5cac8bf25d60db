package boltstate

import (
	"context"
	"time"

	"go.etcd.io/bbolt"
)

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

// Shift moves the clock. Nobody may be using the store.
func (s *Store) Shift(d time.Duration) {
	before := s.now
	s.now = func() time.Time { return before().Add(d) }
}

// Lanes returns how many lanes are in the file, known or not.
func (s *Store) Lanes() (n int, err error) { return s.count("lanes") }

// LogEntries returns how many log entries are in the file, known or not.
func (s *Store) LogEntries() (n int, err error) { return s.count("log") }

func (s *Store) count(table string) (n int, err error) {
	err = s.view(context.Background(), func(tx *bbolt.Tx) error {
		n = tx.Bucket([]byte(table)).Stats().KeyN
		return nil
	})
	return n, err
}

// Transactions returns how many have been written to the file, since it was
// made.
func (s *Store) Transactions() (n int, err error) {
	err = s.view(context.Background(), func(tx *bbolt.Tx) error {
		n = tx.ID()
		return nil
	})
	return n, err
}

// NextEpoch is nextEpoch.
func NextEpoch(last uint64, now time.Time) uint64 { return nextEpoch(last, now) }

// TakeMost is how many counters one transaction moves.
const TakeMost = takeMost

// SweepMost is how many lanes a commit looks at, but for those that it made.
const SweepMost = sweepMost

// Used returns how many bytes of the file are in use.
func (s *Store) Used() int64 {
	used, _ := usage(s.db)
	return used
}

// Pack is pack.
func Pack(behind []byte, numbers ...uint64) []byte { return pack(behind, numbers...) }

// Unpack is unpack.
func Unpack(raw []byte, n int) ([4]uint64, []byte, error) { return unpack(raw, n) }

// Fill bounds how large the file may become, in bytes, as a disk that is full
// does; 0 ends that. Nobody may be using the store.
func (s *Store) Fill(most int) { s.db.MaxSize = most }
