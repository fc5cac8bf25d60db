package former

import (
	"context"
	"sync"
	"time"
)

// A Mem is a Store in memory.
type Mem struct {
	epoch uint64

	mu       sync.Mutex // guards the rest
	values   map[string]Value
	seen     map[key]struct{}
	expiring []record // in the order of their time
}

type key struct{ name, op string }

type record struct {
	key
	until time.Time
}

// NewMem returns an empty store.
func NewMem() *Mem {
	return &Mem{epoch: uint64(time.Now().UnixMilli()), values: make(map[string]Value), seen: make(map[key]struct{})}
}

// Apply implements Store.
func (s *Mem) Apply(ctx context.Context, name string, ops ...Op) (Value, []bool, error) {
	if err := check(name, ops); err != nil {
		return Value{}, nil, err
	}
	if err := ctx.Err(); err != nil {
		return Value{}, nil, err
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
		v.N, v.Version = v.N+1, v.Version+1
		fresh[op.ID], applied[i] = struct{}{}, true
	}
	for op := range fresh {
		s.seen[key{name, op}] = struct{}{}
		s.expiring = append(s.expiring, record{key{name, op}, now.Add(window)})
	}
	if len(fresh) > 0 {
		s.values[name] = v
	}
	return v, applied, nil
}

// prune forgets ops that are old enough. The caller holds mu.
func (s *Mem) prune(now time.Time) {
	for len(s.expiring) > 0 && now.After(s.expiring[0].until) {
		delete(s.seen, s.expiring[0].key)
		s.expiring = s.expiring[1:]
	}
}

// Close implements Store; it does nothing.
func (s *Mem) Close() error { return nil }
