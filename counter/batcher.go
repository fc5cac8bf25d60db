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
	// ErrOverloaded means that too many ops wait, of this sender or in all, or that
	// the store remembers as many as it may of this sender. The op was not taken;
	// sending it again later is right.
	ErrOverloaded = errors.New("counter: too many ops are waiting")
	// ErrSpent is the ErrOverloaded of a sender of which the store remembers as many
	// ops as it may: only time helps.
	ErrSpent = fmt.Errorf("%w: the store remembers as many of this sender as it may", ErrOverloaded)
	// ErrNewName means that the op would have made a counter, and its sender may
	// make no more at the moment. It was not applied.
	ErrNewName = errors.New("counter: the sender has made too many counters")
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
	// MaxQueue is how many ops may wait, of all counters; each takes 250 bytes
	// or so. One sender may have as many waiting as there is room left: half of
	// them when it is alone. Default 32,768.
	MaxQueue int
	// Calls is how many store calls may be under way at once, each for another
	// counter. A sender whose turn it is waits for that many at most. Default 4.
	Calls int
	// Patience is how long a failing store call is repeated, with the same
	// ops, before they are refused. It counts from the Submit of the newest
	// of them, so that ops that have waited behind a failing call are not
	// kept for as long again. While the store is away ops that have waited
	// for so long are refused without a call. Default 5 s.
	Patience time.Duration
	// CallTimeout bounds one store call. Default 3 s.
	CallTimeout time.Duration
	// Applied is called once after each successful store call with the state
	// it returned, in order for each counter, before the calls of done for
	// its ops. from has the shares of their senders, nil for those without one,
	// and is not kept. It must not block. Nil: it is not called.
	Applied func(name string, v Value, from []any)
	// Health is called after each store call: with nil when the store has
	// answered, be it with ErrOverflow, and else with its error. A call that
	// has run out of time while others were answered is slow, and no error: it
	// is repeated, and Health is not called. It must not block, and is called
	// concurrently for different counters. Nil: it is not called.
	Health func(err error)
	Logger *slog.Logger // nil: discard
}

// A Batcher is group commit in front of a store, in turns: while a store call
// for a counter is under way, ops for it wait, and then go together into the
// next. Senders take turns, whatever each has waiting (fairQueue). An idle
// counter is not delayed and costs nothing. Its methods may be called
// concurrently.
//
// Calls are made for one counter each. A store that takes ops of several at
// once would get them in turn and be what serve calls.
type Batcher struct {
	// set once
	store Store
	opts  BatcherOptions
	guard *guard
	// base ends when Close has run out of time: it is the context of all
	// store calls.
	base context.Context
	cut  context.CancelFunc

	state storeState
	known nameSet // counters that exist

	mu      sync.Mutex // guards the rest
	queue   *fairQueue
	working int // goroutines in work
	closed  bool
	wg      sync.WaitGroup // Add only under mu while not closed
}

// NewBatcher returns a batcher in front of s. Nil options are the defaults.
func NewBatcher(s Store, opts *BatcherOptions) *Batcher {
	b := &Batcher{store: s}
	b.base, b.cut = context.WithCancel(context.Background())
	if opts != nil {
		b.opts = *opts
	}
	if b.opts.MaxQueue <= 0 {
		b.opts.MaxQueue = 1 << 15
	}
	if b.opts.Calls <= 0 {
		b.opts.Calls = 4
	}
	if b.opts.Patience <= 0 {
		b.opts.Patience = 5 * time.Second
	}
	if b.opts.CallTimeout <= 0 {
		b.opts.CallTimeout = 3 * time.Second
	}
	if b.opts.Applied == nil {
		b.opts.Applied = func(string, Value, []any) {}
	}
	if b.opts.Health == nil {
		b.opts.Health = func(error) {}
	}
	if b.opts.Logger == nil {
		b.opts.Logger = slog.New(slog.DiscardHandler)
	}
	b.guardCallbacks()
	b.queue = newFairQueue(b.opts.MaxQueue)
	return b
}

// Submit applies op to the counter called name, later, in the turn of a
// sender, which may be nil. It never blocks. done is called exactly once: with
// the state after a store call that applied op, or that found it applied
// already; or with an error, which is ErrBadName, ErrBadOp, ErrOverflow,
// ErrNewName, ErrOverloaded, ErrSpent, ErrUnavailable or ErrBatcherClosed. For one
// counter and sender done is called in the order of Submit, except for ops that
// are refused at once, which are answered before Submit returns.
func (b *Batcher) Submit(from Sender, name string, op Op, done func(Value, error)) {
	done = b.guard.guarded(done)
	b.submit(from, name, op, func(v Value, _ bool, err error) { done(v, err) })
}

func (b *Batcher) submit(from Sender, name string, op Op, done func(v Value, applied bool, err error)) {
	if err := b.enqueue(name, submitted{from: from, op: op, done: done, at: time.Now()}); err != nil {
		done(Value{}, false, err)
	}
}

// Apply is Submit, and waits. When ctx ends first it returns ctx's error, and
// it is unknown whether op is applied.
func (b *Batcher) Apply(ctx context.Context, from Sender, name string, op Op) (Value, error) {
	v, _, err := b.ApplyOnce(ctx, from, name, op)
	return v, err
}

// ApplyOnce is Apply, and says whether the last call of the store applied op. It
// did not when op had been applied before: because it was submitted twice, or by
// a call whose answer got lost.
func (b *Batcher) ApplyOnce(ctx context.Context, from Sender, name string, op Op) (v Value, applied bool, err error) {
	type result struct {
		v       Value
		applied bool
		err     error
	}
	ch := make(chan result, 1) // room for an answer that nobody waits for any more
	b.submit(from, name, op, func(v Value, applied bool, err error) { ch <- result{v, applied, err} })
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
	if s.from == nil {
		return b.push(name, s)
	}
	var err error
	if s.share, err = b.guard.share(s.from); err != nil {
		return err
	}
	if err := b.guard.takeOp(s.from); err != nil {
		return err
	}
	err = b.push(name, s)
	if err != nil {
		b.guard.returnOp(s.from)
	}
	return err
}

func (b *Batcher) push(name string, s submitted) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrBatcherClosed
	}
	if b.queue.full(s.share) {
		return ErrOverloaded
	}
	b.queue.push(name, s)
	if b.working < b.opts.Calls && b.queue.isReady() {
		b.working++
		b.wg.Go(b.work)
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
		b.serve(name, batch)
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

// serve answers the ops of one turn.
func (b *Batcher) serve(name string, batch []submitted) {
	if err := b.state.away(); err != nil && time.Since(newest(batch)) > b.opts.Patience {
		// Each would be one more call that fails, and all behind it would wait.
		b.refuse(batch, fmt.Errorf("%w: %w", ErrUnavailable, err))
		return
	}
	batch, err := b.admit(name, batch)
	if err != nil {
		b.refuse(batch, err)
		return
	}
	if len(batch) > 0 {
		_ = b.apply(name, batch) // its ops have been answered
	}
}

// newest returns when the last op of a batch was submitted.
func newest(batch []submitted) (at time.Time) {
	for _, s := range batch {
		if s.at.After(at) {
			at = s.at
		}
	}
	return at
}

// apply makes one store call for a batch and answers its ops.
func (b *Batcher) apply(name string, batch []submitted) error {
	v, applied, err := b.persist(name, batch)
	if errors.Is(err, ErrOverflow) && len(batch) > 1 {
		// One op too many must not fail the others.
		return b.applyEach(name, batch)
	}
	if err != nil {
		b.refuse(batch, err)
		return err
	}
	b.known.add(name)
	b.opts.Applied(name, v, shares(batch))
	for i, s := range batch {
		if !applied[i] {
			b.guard.returnOp(s.from)
		}
		s.done(v, applied[i], nil)
	}
	return nil
}

// shares returns on whose behalf the ops of a batch are, each at least once.
func shares(batch []submitted) []any {
	all := make([]any, 0, 1)
	for i, s := range batch {
		if i == 0 || s.share != batch[i-1].share {
			all = append(all, s.share)
		}
	}
	return all
}

// applyEach applies the ops one by one. When the store goes away it refuses
// the rest: each of them would be as patient as the one before.
func (b *Batcher) applyEach(name string, batch []submitted) error {
	for i := range batch {
		if err := b.apply(name, batch[i:i+1]); errors.Is(err, ErrUnavailable) {
			b.refuse(batch[i+1:], err)
			return err
		}
	}
	return nil
}

// refuse answers ops with an error.
func (b *Batcher) refuse(batch []submitted, err error) {
	for _, s := range batch {
		b.guard.returnOp(s.from)
		s.done(Value{}, false, err)
	}
}

// persist calls the store until it answers, for Patience.
func (b *Batcher) persist(name string, batch []submitted) (v Value, applied []bool, err error) {
	ops := make([]Op, len(batch))
	for i, s := range batch {
		ops[i] = s.op
	}
	err = b.patiently(name, newest(batch), func(ctx context.Context) error {
		v, applied, err = b.store.Apply(ctx, name, ops...)
		if err == nil || errors.Is(err, ErrOverflow) || errors.Is(err, ErrBadOp) || errors.Is(err, ErrBadName) {
			b.state.answered()
			b.opts.Health(nil)
		}
		return err
	})
	return v, applied, err
}

// patiently calls the store until it answers, for Patience since a time. It
// returns nil, an error that is an answer, or ErrUnavailable.
func (b *Batcher) patiently(name string, since time.Time, call func(context.Context) error) error {
	deadline := since.Add(b.opts.Patience)
	for try := 0; ; try++ {
		began := time.Now()
		err := b.call(call)
		if err == nil || errors.Is(err, ErrOverflow) || errors.Is(err, ErrBadOp) || errors.Is(err, ErrBadName) {
			return err
		}
		b.failed(name, began, err)
		pause := rand.N(min(minRetry<<min(try, 10), maxRetry) + 1)
		if time.Now().Add(pause).After(deadline) || !b.pause(pause) {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

// failed takes in that a store call has failed that began at a time.
func (b *Batcher) failed(name string, began time.Time, err error) {
	b.opts.Logger.Debug("store call failed", "counter", name, "err", err)
	if errors.Is(err, context.DeadlineExceeded) && b.state.answeredSince(began) {
		return // slow
	}
	b.state.fail(err)
	b.opts.Health(err)
}

func (b *Batcher) call(f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(b.base, b.opts.CallTimeout)
	defer cancel()
	return f(ctx)
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
