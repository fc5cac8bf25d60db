package counter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Errors of a Batcher, beside those of Op.Valid and ErrOverflow.
var (
	// ErrOverloaded means that too many ops wait for this counter. The op was not
	// taken; sending it again later is right.
	ErrOverloaded = errors.New("counter: too many ops are waiting")
	// ErrUnavailable means that the store could not be reached for Patience. It is
	// unknown whether the op was applied; sending it again later is right.
	ErrUnavailable = errors.New("counter: the store can't be reached")
	// ErrBatcherClosed means that the batcher takes no more ops.
	ErrBatcherClosed = errors.New("counter: the batcher is closed")
)

// The pause between two tries of a store call doubles from minRetry to
// maxRetry, with full jitter.
const (
	minRetry = 50 * time.Millisecond
	maxRetry = time.Second
)

// BatcherOptions of a Batcher. Zero values are the defaults.
type BatcherOptions struct {
	// MaxQueue is how many ops may wait for one counter. Default 4096.
	MaxQueue int
	// Patience is how long a failing store call is repeated, with the same
	// ops, before they are refused. It counts from the Submit of the newest
	// of them, so that ops that have waited behind a failing call are not
	// kept for as long again; each call is made once at least. Default 5 s.
	Patience time.Duration
	// CallTimeout bounds one store call. Default 3 s.
	CallTimeout time.Duration
	// Applied is called once after each successful store call with the state
	// it returned, in order for each counter, before the calls of done for
	// its ops. It must not block. Nil: it is not called.
	Applied func(name string, v Value)
	// Health is called after each store call: with nil when the store has
	// answered, be it with ErrOverflow, and else with its error. It must not
	// block, and is called concurrently for different counters. Nil: it is
	// not called.
	Health func(err error)
	Logger *slog.Logger // nil: discard
}

// A Batcher is group commit in front of a store: while a store call for a
// counter is under way, ops for it wait, and then go together into the next.
// An idle counter is not delayed and costs nothing. Its methods may be called
// concurrently.
type Batcher struct {
	// set once
	store Store
	opts  BatcherOptions
	// base ends when Close has run out of time: it is the context of all
	// store calls.
	base context.Context
	cut  context.CancelFunc

	mu     sync.Mutex // guards the rest
	queues map[string][]submitted
	busy   map[string]bool // counters with a goroutine in run
	closed bool
	wg     sync.WaitGroup // Add only under mu while not closed
}

// A submitted op waits for its store call.
type submitted struct {
	op   Op
	done func(v Value, applied bool, err error)
	at   time.Time // of Submit
}

// NewBatcher returns a batcher in front of s. Nil options are the defaults.
func NewBatcher(s Store, opts *BatcherOptions) *Batcher {
	b := &Batcher{store: s, queues: make(map[string][]submitted), busy: make(map[string]bool)}
	b.base, b.cut = context.WithCancel(context.Background())
	if opts != nil {
		b.opts = *opts
	}
	if b.opts.MaxQueue <= 0 {
		b.opts.MaxQueue = 4096
	}
	if b.opts.Patience <= 0 {
		b.opts.Patience = 5 * time.Second
	}
	if b.opts.CallTimeout <= 0 {
		b.opts.CallTimeout = 3 * time.Second
	}
	if b.opts.Applied == nil {
		b.opts.Applied = func(string, Value) {}
	}
	if b.opts.Health == nil {
		b.opts.Health = func(error) {}
	}
	if b.opts.Logger == nil {
		b.opts.Logger = slog.New(slog.DiscardHandler)
	}
	return b
}

// Submit applies op to the counter called name, later. It never blocks. done is
// called exactly once: with the state after a store call that applied op, or
// that found it applied already; or with an error, which is ErrBadName,
// ErrBadOp, ErrOverflow, ErrOverloaded, ErrUnavailable or ErrBatcherClosed.
// For one counter done is called in the order of Submit, except for ops that
// are refused at once, which are answered before Submit returns.
func (b *Batcher) Submit(name string, op Op, done func(Value, error)) {
	b.submit(name, op, func(v Value, _ bool, err error) { done(v, err) })
}

func (b *Batcher) submit(name string, op Op, done func(v Value, applied bool, err error)) {
	if err := b.enqueue(name, submitted{op, done, time.Now()}); err != nil {
		done(Value{}, false, err)
	}
}

// Apply is Submit, and waits. When ctx ends first it returns ctx's error, and
// it is unknown whether op is applied.
func (b *Batcher) Apply(ctx context.Context, name string, op Op) (Value, error) {
	v, _, err := b.ApplyOnce(ctx, name, op)
	return v, err
}

// ApplyOnce is Apply, and says whether the last call of the store applied op. It did not when op
// had been applied before: because it was submitted twice, or by a call whose answer got lost.
func (b *Batcher) ApplyOnce(ctx context.Context, name string, op Op) (v Value, applied bool, err error) {
	type result struct {
		v       Value
		applied bool
		err     error
	}
	ch := make(chan result, 1) // room for an answer that nobody waits for any more
	b.submit(name, op, func(v Value, applied bool, err error) { ch <- result{v, applied, err} })
	select {
	case r := <-ch:
		return r.v, r.applied, r.err
	case <-ctx.Done():
		return Value{}, false, ctx.Err()
	}
}

// Close takes no more ops and waits for those it has. When ctx ends first, the
// store calls under way are cancelled, what is left is refused as
// ErrUnavailable, and ctx's error is returned. All ops are answered when it
// returns. Closing twice is harmless.
func (b *Batcher) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	ended := make(chan struct{})
	go func() { b.wg.Wait(); close(ended) }() // ends with the last store call
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	b.cut()
	<-ended
	return ctx.Err()
}

func (b *Batcher) enqueue(name string, s submitted) error {
	if !ValidName(name) {
		return ErrBadName
	}
	if err := s.op.Valid(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return ErrBatcherClosed
	case len(b.queues[name]) >= b.opts.MaxQueue:
		return ErrOverloaded
	}
	b.queues[name] = append(b.queues[name], s)
	if !b.busy[name] {
		b.busy[name] = true
		b.wg.Go(func() { b.run(name) })
	}
	return nil
}

// run applies what waits for a counter until nothing does.
func (b *Batcher) run(name string) {
	for {
		batch := b.take(name)
		if len(batch) == 0 {
			return
		}
		_ = b.apply(name, batch) // its ops have been answered
	}
}

// take removes up to MaxOps ops; none means that run has ended.
func (b *Batcher) take(name string) []submitted {
	b.mu.Lock()
	defer b.mu.Unlock()
	queue := b.queues[name]
	if len(queue) == 0 {
		delete(b.queues, name)
		delete(b.busy, name)
		return nil
	}
	n := min(len(queue), MaxOps)
	b.queues[name] = queue[n:]
	return queue[:n:n]
}

// apply makes one store call for a batch and answers its ops.
func (b *Batcher) apply(name string, batch []submitted) error {
	v, applied, err := b.persist(name, batch)
	if errors.Is(err, ErrOverflow) && len(batch) > 1 {
		// One op too many must not fail the others.
		return b.applyEach(name, batch)
	}
	if err == nil {
		b.opts.Applied(name, v)
	}
	answer(batch, v, applied, err)
	return err
}

// applyEach applies the ops one by one. When the store goes away it refuses
// the rest: each of them would be as patient as the one before.
func (b *Batcher) applyEach(name string, batch []submitted) error {
	for i := range batch {
		if err := b.apply(name, batch[i:i+1]); errors.Is(err, ErrUnavailable) {
			answer(batch[i+1:], Value{}, nil, err)
			return err
		}
	}
	return nil
}

// answer tells each op how it went; applied is as of Store.Apply, or shorter after an error.
func answer(batch []submitted, v Value, applied []bool, err error) {
	for i, s := range batch {
		s.done(v, i < len(applied) && applied[i], err)
	}
}

// persist calls the store until it answers, for Patience.
func (b *Batcher) persist(name string, batch []submitted) (Value, []bool, error) {
	ops := make([]Op, len(batch))
	for i, s := range batch {
		ops[i] = s.op
	}
	deadline := batch[len(batch)-1].at.Add(b.opts.Patience)
	for try := 0; ; try++ {
		v, applied, err := b.call(name, ops)
		if err == nil || errors.Is(err, ErrOverflow) || errors.Is(err, ErrBadOp) || errors.Is(err, ErrBadName) {
			b.opts.Health(nil)
			return v, applied, err
		}
		b.opts.Health(err)
		b.opts.Logger.Debug("store call failed", "counter", name, "ops", len(ops), "err", err)
		pause := rand.N(min(minRetry<<min(try, 10), maxRetry) + 1)
		if time.Now().Add(pause).After(deadline) || !b.pause(pause) {
			return Value{}, nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

func (b *Batcher) call(name string, ops []Op) (Value, []bool, error) {
	ctx, cancel := context.WithTimeout(b.base, b.opts.CallTimeout)
	defer cancel()
	return b.store.Apply(ctx, name, ops...)
}

func (b *Batcher) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-b.base.Done():
		return false
	}
}
