// Package memcounter keeps counters in memory: for tests, for demos that may
// forget, and inside a browser. Nothing of it survives the process.
package memcounter

import (
	"context"
	"sync"
	"time"

	"lockstep/counter"
)

// Options of a Store. Zero values are the defaults.
type Options struct {
	// Window is how long an op is remembered. Default counter.DedupWindow.
	Window time.Duration
}

// A Store is a counter.Store in memory.
type Store struct {
	epoch  uint64
	window time.Duration

	mu       sync.Mutex // guards the rest
	values   map[string]counter.Value
	seen     map[key]struct{}
	expiring []record // in the order of their time
}

type key struct{ name, op string }

type record struct {
	key
	until time.Time
}

// New returns an empty store. Its epoch is the time, so that tabs that knew
// an earlier store follow it.
func New(opts *Options) *Store {
	s := &Store{
		epoch: uint64(time.Now().UnixMilli()), window: counter.DedupWindow,
		values: make(map[string]counter.Value), seen: make(map[key]struct{}),
	}
	if opts != nil && opts.Window > 0 {
		s.window = opts.Window
	}
	return s
}

// Apply implements counter.Store.
func (s *Store) Apply(ctx context.Context, name string, ops ...counter.Op) (counter.Value, []bool, error) {
	if err := counter.Check(name, ops); err != nil {
		return counter.Value{}, nil, err
	}
	if err := ctx.Err(); err != nil {
		return counter.Value{}, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.prune(now)

	v := s.values[name]
	v.Epoch = s.epoch
	applied := make([]bool, len(ops))
	fresh := make(map[string]struct{}, len(ops))
	for i, op := range ops {
		_, before := s.seen[key{name, op.ID}]
		_, here := fresh[op.ID]
		if before || here {
			continue
		}
		n, err := counter.Step(v.N, op)
		if err != nil {
			return counter.Value{}, nil, err
		}
		v.N, v.Version = n, v.Version+1
		fresh[op.ID], applied[i] = struct{}{}, true
	}
	for op := range fresh {
		s.seen[key{name, op}] = struct{}{}
		s.expiring = append(s.expiring, record{key{name, op}, now.Add(s.window)})
	}
	if len(fresh) > 0 {
		s.values[name] = v
	}
	return v, applied, nil
}

// prune forgets ops that are old enough. The caller holds mu.
func (s *Store) prune(now time.Time) {
	for len(s.expiring) > 0 && now.After(s.expiring[0].until) {
		delete(s.seen, s.expiring[0].key)
		s.expiring = s.expiring[1:]
	}
}

// Get implements counter.Store.
func (s *Store) Get(ctx context.Context, names ...string) ([]counter.Value, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	values := make([]counter.Value, len(names))
	for i, name := range names {
		if !counter.ValidName(name) {
			return nil, counter.ErrBadName
		}
		values[i] = s.values[name]
		values[i].Epoch = s.epoch
	}
	return values, nil
}

// Close implements counter.Store; it does nothing.
func (s *Store) Close() error { return nil }
