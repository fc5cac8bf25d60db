package former

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// maxQueue is how many ops may wait.
	maxQueue = 1 << 15
	// calls is how many store calls are under way at once, each for another counter.
	calls = 4
	// callTimeout bounds one store call.
	callTimeout = 3 * time.Second
)

var errOverloaded = errors.New("former: too many ops are waiting")

// A Batcher is group commit in front of a store, in turns: while a store call
// for a counter is under way, ops for it wait, and then go together into the
// next. Its methods may be called concurrently.
type Batcher struct {
	store Store
	state storeState
	known nameSet // counters that exist

	mu      sync.Mutex // guards the rest
	queue   *fairQueue
	working int // goroutines in work
	wg      sync.WaitGroup
}

// A submitted op waits for its store call.
type submitted struct {
	share any // of its sender; nil: all are of one
	op    Op
	done  func(v Value, applied bool, err error)
	at    time.Time // of Apply
}

// NewBatcher returns a batcher in front of s.
func NewBatcher(s Store) *Batcher {
	return &Batcher{store: guardedStore{s}, queue: newFairQueue(maxQueue)}
}

// Apply applies op to the counter called name. When ctx ends first it returns
// ctx's error, and it is unknown whether op is applied.
func (b *Batcher) Apply(ctx context.Context, name string, op Op) (Value, error) {
	type result struct {
		v   Value
		err error
	}
	ch := make(chan result, 1) // room for an answer that nobody waits for any more
	done := func(v Value, _ bool, err error) { ch <- result{v, err} }
	if err := check(name, []Op{op}); err != nil {
		return Value{}, err
	}
	if err := b.push(name, submitted{op: op, done: done, at: time.Now()}); err != nil {
		return Value{}, err
	}
	select {
	case r := <-ch:
		return r.v, r.err
	case <-ctx.Done():
		return Value{}, ctx.Err()
	}
}

// Close waits for the calls under way. Nobody may use the batcher any more.
func (b *Batcher) Close() { b.wg.Wait() }

func (b *Batcher) push(name string, s submitted) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.queue.full(s.share) {
		return errOverloaded
	}
	b.queue.push(name, s)
	if b.working < calls && b.queue.isReady() {
		b.working++
		b.wg.Go(b.work) // ends when no counter waits
	}
	return nil
}

// work makes store calls until no counter waits for one.
func (b *Batcher) work() {
	for {
		name, batch := b.take()
		if len(batch) == 0 {
			return
		}
		b.apply(name, batch)
		b.finish(name)
	}
}

// take removes the ops of the next call; none means that work has ended.
func (b *Batcher) take() (string, []submitted) {
	b.mu.Lock()
	defer b.mu.Unlock()
	name, batch := b.queue.next()
	if len(batch) == 0 {
		b.working--
	}
	return name, batch
}

func (b *Batcher) finish(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue.finish(name)
}

// apply makes one store call for a batch and answers its ops.
func (b *Batcher) apply(name string, batch []submitted) {
	ops := make([]Op, len(batch))
	for i, s := range batch {
		ops[i] = s.op
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	v, applied, err := b.store.Apply(ctx, name, ops...)
	if err != nil {
		for _, s := range batch {
			s.done(Value{}, false, err)
		}
		return
	}
	b.state.answered()
	b.known.add(name)
	for i, s := range batch {
		s.done(v, applied[i], nil)
	}
}

// A guardedStore is a store whose panics are errors.
type guardedStore struct{ Store }

// Apply implements Store.
func (s guardedStore) Apply(ctx context.Context, name string, ops ...Op) (v Value, applied []bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("former: panic in Store.Apply: %v", p)
		}
	}()
	return s.Store.Apply(ctx, name, ops...)
}

// maxKnown bounds a nameSet.
const maxKnown = 1 << 14

// A nameSet remembers names. Its methods may be called concurrently.
type nameSet struct {
	mu    sync.Mutex // guards the rest
	names map[string]struct{}
}

func (s *nameSet) add(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names == nil || len(s.names) >= maxKnown {
		s.names = make(map[string]struct{})
	}
	s.names[name] = struct{}{}
}

// A storeState is what the last call says of a store. Its methods may be called
// concurrently.
type storeState struct {
	mu   sync.Mutex // guards the rest
	last time.Time  // of the last answer
}

func (s *storeState) answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = time.Now()
}
