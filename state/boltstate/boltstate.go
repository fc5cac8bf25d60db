// Package boltstate keeps states in one file, with bbolt: the embedded default,
// durable and without a server. One process at a time can open it.
package boltstate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"lockstep/state"
)

// Options of a Store. Zero values are the defaults.
type Options struct {
	// Lifetime is how long a lane is known at least after its last move. Default
	// state.Lifetime.
	Lifetime time.Duration
	// DoneLifetime is how long a lane is known at least after Finish. Default
	// state.DoneLifetime.
	DoneLifetime time.Duration
	// Counter says what becomes of a counter in a file of an earlier version,
	// which held counters only: the topic and the data of its record. Open calls
	// it, once for each counter and from one goroutine. Its ops are forgotten. If
	// it is nil, such a file is refused.
	Counter func(name string, n int64) (topic string, data []byte)
}

// A Store is a state.Store in a file. The file is made smaller when most of it
// is free: when it is opened, and once a minute while it is written to.
type Store struct {
	// set once
	path     string
	lifetime lifetimes
	epoch    uint64
	now      func() time.Time
	turns    chan struct{} // has room for the one that writes; others wait in their order
	every    time.Duration // how often maybeCompact looks
	above    int64         // bytes: compact leaves smaller files alone

	mu sync.RWMutex // held for reading by all that use db
	db *bbolt.DB

	compacting sync.WaitGroup // Add only under trim while not closed
	trim       sync.Mutex     // guards the rest
	looked     time.Time
	closed     bool
}

// steadyClock returns the time by the clock that was right at the beginning:
// one that jumps later moves no lifetime.
func steadyClock() func() time.Time {
	began := time.Now()
	return func() time.Time { return began.Add(time.Since(began)) }
}

// Open opens the file at path; it makes the file, readable by its owner only,
// and its folder if they do not exist. It fails, with a sentence, when another
// process has the file open, and when the file is of another program, of a
// later version of this one, cut off or damaged. A damaged one may stay locked
// until this process ends.
func Open(path string, opts *Options) (*Store, error) {
	if path == "" {
		return nil, errors.New("boltstate: no file name")
	}
	if opts == nil {
		opts = &Options{}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("boltstate: %w", err)
	}
	db, err := openFile(path)
	if err != nil {
		return nil, fmt.Errorf("boltstate: open %s: %w", path, err)
	}
	s := &Store{
		db: db, path: path, lifetime: lifetimes{lanes: state.Lifetime, done: state.DoneLifetime},
		now: steadyClock(), turns: make(chan struct{}, 1), every: compactEvery, above: compactAbove, looked: time.Now(),
	}
	if opts.Lifetime > 0 {
		s.lifetime.lanes = opts.Lifetime
	}
	if opts.DoneLifetime > 0 {
		s.lifetime.done = opts.DoneLifetime
	}
	if err := s.begin(opts.Counter); err != nil {
		return nil, errors.Join(fmt.Errorf("boltstate: open %s: %w", path, err), db.Close())
	}
	if err := s.compact(0); err != nil {
		return nil, fmt.Errorf("boltstate: open %s: %w", path, err)
	}
	return s, nil
}

// Read implements state.Store.
func (s *Store) Read(ctx context.Context, topics ...string) ([]state.Record, error) {
	if err := state.CheckRead(topics...); err != nil {
		return nil, err
	}
	records := make([]state.Record, len(topics))
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		t := tablesOf(tx)
		for i, name := range topics {
			topic, err := t.topic(name)
			if err != nil {
				return err
			}
			records[i] = state.Record{Epoch: s.epoch, Version: topic.version, Data: bytes.Clone(topic.data)}
		}
		return nil
	})
	if err != nil {
		return nil, wrap(err)
	}
	return records, nil
}

// Entries implements state.Store.
func (s *Store) Entries(ctx context.Context, topic string, after uint64, most int) (first uint64, entries [][]byte, err error) {
	if err := state.CheckTopic(topic); err != nil {
		return 0, nil, err
	}
	err = s.view(ctx, func(tx *bbolt.Tx) (err error) {
		first, entries, err = tablesOf(tx).entries(topic, after, most)
		return err
	})
	if err != nil {
		return 0, nil, wrap(err)
	}
	return first, entries, nil
}

// Path returns where the file is, as Open was told.
func (s *Store) Path() string { return s.path }

// Close implements state.Store.
func (s *Store) Close() error {
	s.trim.Lock()
	s.closed = true
	s.trim.Unlock()
	s.compacting.Wait()
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.db.Close()
}

// update runs a transaction, which is on disk when update returns nil. It waits
// for its turn, first come, first served: a mutex has whoever writes all the time
// go before those that wait. A caller that has gone meanwhile gets nothing done.
func (s *Store) update(ctx context.Context, f func(tx *bbolt.Tx) error) (err error) {
	select {
	case s.turns <- struct{}{}:
		defer func() { <-s.turns }()
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	defer damageAsError(&err)
	return s.db.Update(func(tx *bbolt.Tx) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return f(tx)
	})
}

func (s *Store) view(ctx context.Context, f func(tx *bbolt.Tx) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	defer damageAsError(&err)
	return s.db.View(f)
}

// wrap names the package, but for what callers decide on.
func wrap(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("boltstate: %w", err)
}
