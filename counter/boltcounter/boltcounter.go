// Package boltcounter keeps counters in one file, with bbolt: the embedded
// default, durable and without a server. One process at a time can open it.
package boltcounter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"lockstep/counter"
)

// pruneMost is how many forgotten ops one Apply deletes at most: more than
// it adds, so they never pile up.
const pruneMost = 2 * counter.MaxOps

// Options of a Store. Zero values are the defaults.
type Options struct {
	// Window is how long an op is remembered. Default counter.DedupWindow.
	Window time.Duration
}

// A Store is a counter.Store in a file. The file is made smaller when most of it
// is free: when it is opened, and once a minute while it is written to.
type Store struct {
	// set once
	path   string
	window time.Duration
	epoch  uint64
	now    func() time.Time
	every  time.Duration // how often maybeCompact looks
	above  int64         // bytes: compact leaves smaller files alone

	mu sync.RWMutex // held for reading by all that use db
	db *bbolt.DB

	compacting sync.WaitGroup // Add only under trim while not closed
	trim       sync.Mutex     // guards the rest
	looked     time.Time
	closed     bool
}

// steadyClock returns the time by the clock that was right at the beginning:
// one that jumps ahead later must not make a store forget ops before their time.
func steadyClock() func() time.Time {
	began := time.Now()
	return func() time.Time { return began.Add(time.Since(began)) }
}

// buckets are the tables of the file. A key of ops is name, NUL, op id and
// leads to its expiry; keys of expiry begin with the time, so the oldest come
// first.
type buckets struct{ meta, values, ops, expiry *bbolt.Bucket }

// Open opens the file at path; it makes the file, readable by its owner only,
// and its folder if they do not exist. It fails, with a sentence, when another
// process has the file open, and when the file is of another program, of a
// later version of this one, cut off or damaged. A damaged one may stay locked
// until this process ends.
func Open(path string, opts *Options) (*Store, error) {
	if path == "" {
		return nil, errors.New("boltcounter: no file name")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("boltcounter: %w", err)
	}
	db, err := openFile(path)
	if err != nil {
		return nil, fmt.Errorf("boltcounter: open %s: %w", path, err)
	}
	s := &Store{db: db, path: path, window: counter.DedupWindow, now: steadyClock(), every: compactEvery, above: compactAbove}
	s.looked = s.now()
	if opts != nil && opts.Window > 0 {
		s.window = opts.Window
	}
	if err := s.begin(path); err != nil {
		return nil, errors.Join(fmt.Errorf("boltcounter: open %s: %w", path, err), db.Close())
	}
	if err := s.compact(0); err != nil {
		return nil, fmt.Errorf("boltcounter: open %s: %w", path, err)
	}
	return s, nil
}

// Apply implements counter.Store: one transaction, on disk when it returns.
func (s *Store) Apply(ctx context.Context, name string, ops ...counter.Op) (counter.Value, []bool, error) {
	if err := counter.Check(name, ops); err != nil {
		return counter.Value{}, nil, err
	}
	var v counter.Value
	var applied []bool
	err := s.update(func(tx *bbolt.Tx) (err error) {
		// update waits for its turn: the caller may have gone meanwhile.
		if err := ctx.Err(); err != nil {
			return err
		}
		v, applied, err = s.apply(tablesOf(tx), name, ops, s.now())
		return err
	})
	if err != nil {
		return counter.Value{}, nil, wrap(err)
	}
	s.maybeCompact()
	return v, applied, nil
}

func (s *Store) update(f func(tx *bbolt.Tx) error) (err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	defer damageAsError(&err)
	return s.db.Update(f)
}

func (s *Store) view(f func(tx *bbolt.Tx) error) (err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	defer damageAsError(&err)
	return s.db.View(f)
}

func tablesOf(tx *bbolt.Tx) buckets {
	return buckets{tx.Bucket([]byte("meta")), tx.Bucket([]byte("values")), tx.Bucket([]byte("ops")), tx.Bucket([]byte("expiry"))}
}

func (s *Store) apply(b buckets, name string, ops []counter.Op, now time.Time) (counter.Value, []bool, error) {
	if err := b.prune(now); err != nil {
		return counter.Value{}, nil, err
	}
	v, err := s.read(b, name)
	if err != nil {
		return counter.Value{}, nil, err
	}
	applied := make([]bool, len(ops))
	for i, op := range ops {
		id := []byte(name + "\x00" + op.ID)
		if b.ops.Get(id) != nil {
			continue
		}
		if v.N, err = counter.Step(v.N, op); err != nil {
			return counter.Value{}, nil, err // the transaction is rolled back
		}
		v.Version++
		applied[i] = true
		if err := b.remember(id, now.Add(s.window)); err != nil {
			return counter.Value{}, nil, err
		}
	}
	raw := binary.BigEndian.AppendUint64(nil, uint64(v.N))
	return v, applied, b.values.Put([]byte(name), binary.BigEndian.AppendUint64(raw, v.Version))
}

// read returns a counter's state.
func (s *Store) read(b buckets, name string) (counter.Value, error) {
	v := counter.Value{Epoch: s.epoch}
	raw := b.values.Get([]byte(name))
	if raw == nil {
		return v, nil
	}
	if len(raw) != 16 {
		return v, errNotOurs
	}
	v.N = int64(binary.BigEndian.Uint64(raw))
	v.Version = binary.BigEndian.Uint64(raw[8:])
	return v, nil
}

// remember records an op.
func (b buckets) remember(id []byte, until time.Time) error {
	due := binary.BigEndian.AppendUint64(nil, uint64(until.UnixNano()))
	if err := b.ops.Put(id, due); err != nil {
		return err
	}
	return b.expiry.Put(append(due[:8:8], id...), []byte{})
}

// prune forgets the oldest ops whose time has come.
func (b buckets) prune(now time.Time) error {
	c := b.expiry.Cursor()
	for range pruneMost {
		k, _ := c.First()
		if k == nil {
			return nil
		}
		if len(k) <= 8 {
			return errNotOurs
		}
		if !due(k, now) {
			return nil
		}
		if err := b.ops.Delete(k[8:]); err != nil {
			return err
		}
		if err := c.Delete(); err != nil {
			return err
		}
	}
	return nil
}

// due reports whether the time in a key of expiry has come.
func due(key []byte, now time.Time) bool {
	return int64(binary.BigEndian.Uint64(key)) <= now.UnixNano()
}

// Get implements counter.Store.
func (s *Store) Get(ctx context.Context, names ...string) ([]counter.Value, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	values := make([]counter.Value, len(names))
	err := s.view(func(tx *bbolt.Tx) (err error) {
		b := tablesOf(tx)
		for i, name := range names {
			if !counter.ValidName(name) {
				return counter.ErrBadName
			}
			if values[i], err = s.read(b, name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, wrap(err)
	}
	return values, nil
}

// Close implements counter.Store.
func (s *Store) Close() error {
	s.trim.Lock()
	s.closed = true
	s.trim.Unlock()
	s.compacting.Wait()
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.db.Close()
}

// wrap names the package, but for what callers decide on.
func wrap(err error) error {
	for _, known := range []error{counter.ErrOverflow, counter.ErrBadName, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return err
		}
	}
	return fmt.Errorf("boltcounter: %w", err)
}
