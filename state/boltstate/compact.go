package boltstate

import (
	"errors"
	"os"
	"time"

	"go.etcd.io/bbolt"
)

const (
	// compactAbove is the size of a file, in bytes, from which on it is made
	// smaller when most of it is free.
	compactAbove = 4 << 20
	// compactOnline is how much of a file may be in use, in bytes, for it to be
	// made smaller while ops wait.
	compactOnline = 4 << 20
	// compactEvery is how often a file is looked at while it is in use.
	compactEvery = time.Minute
	// compactStep is how much one transaction copies, in bytes.
	compactStep = 4 << 20
)

// maybeCompact makes the file smaller in the background when most of it is
// free; it looks once in a while. Ops that come meanwhile wait.
func (s *Store) maybeCompact() {
	s.trim.Lock()
	defer s.trim.Unlock()
	if s.closed || time.Since(s.looked) < s.every {
		return
	}
	s.looked = time.Now()
	s.compacting.Go(func() { _ = s.compact(compactOnline) }) // ends when the file is copied; an error closes the store
}

// compact makes a file that is mostly free smaller, if no more than so many
// bytes are in use; 0 is no limit. An error means that the store is closed.
func (s *Store) compact(most int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	used, size := usage(s.db)
	if size < s.above || used > size/2 || most > 0 && used > most {
		return nil
	}
	return s.replace()
}

// replace puts a smaller copy in the place of the file. When that can't be
// made, because the disk is full for example, the file works as it is. An error
// means that the store is closed. The caller holds mu.
func (s *Store) replace() error {
	small, err := s.smaller()
	if err != nil {
		return nil // it works as it is
	}
	// Both are locked: whoever opens the path, now or then, finds it in use.
	if err := os.Rename(small.Path(), s.path); err != nil {
		_ = errors.Join(small.Close(), os.Remove(small.Path())) // it works as it is
		return nil
	}
	old := s.db
	s.db = small
	if err := syncFolder(s.path); err != nil {
		// Which of the two a crash would leave is not known: no op may be
		// acknowledged.
		return errors.Join(err, old.Close(), small.Close())
	}
	return old.Close()
}

// usage returns how many bytes of a file are in use, and its size.
func usage(db *bbolt.DB) (used, size int64) {
	stats := db.Stats()
	_ = db.View(func(tx *bbolt.Tx) error { // it fails when the file is closed: then it has no size
		size = tx.Size()
		return nil
	})
	return size - int64(stats.FreePageN+stats.PendingPageN)*int64(db.Info().PageSize), size
}

// smaller returns a copy of the file, which is on disk.
func (s *Store) smaller() (_ *bbolt.DB, err error) {
	defer damageAsError(&err)
	path := s.path + ".compact"
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) { // a crash may have left one
		return nil, err
	}
	small, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, NoSync: true})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, small.Close(), os.Remove(path))
		}
	}()
	if err := bbolt.Compact(small, s.db, compactStep); err != nil {
		return nil, err
	}
	if err := small.Sync(); err != nil {
		return nil, err
	}
	small.NoSync = false // each commit from now on
	return small, nil
}
