package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Errors of a Batcher: why an op is to be sent again (Answer.Err), beside errors
// of the store.
var (
	// ErrOverloaded means that too many ops wait, of this sender or in all.
	ErrOverloaded = errors.New("state: too many ops are waiting")
	// ErrNewTopic means that the op would have made a topic, and its sender may make
	// no more for now.
	ErrNewTopic = errors.New("state: the sender has made too many topics")
	// ErrNewLane means that the store may keep no more lanes of the sender for now.
	ErrNewLane = errors.New("state: the sender has made too many lanes")
	// ErrUnavailable means that the store could not be reached for Patience. It is
	// unknown whether the op was applied.
	ErrUnavailable = errors.New("state: the store can't be reached")
	// ErrContended means that other replicas were faster again and again.
	ErrContended = errors.New("state: other replicas were faster each time")
	// ErrClosed means that the batcher takes no more ops.
	ErrClosed = errors.New("state: the batcher is closed")
)

// Reasons of answers, as the person who acted reads them.
const (
	ReasonBadOp     = "this can't be an action"
	ReasonUnknown   = "unknown action"
	ReasonTooLarge  = "there is no room left for this"
	ReasonNewTopic  = "your address has made as many new pages as it may for now; those that exist can be used"
	ReasonNewLane   = "too many new visitors from your address at the moment; what you did waits"
	ReasonOverload  = "too many changes at the moment; what you did waits"
	ReasonAway      = "this can't be saved at the moment; what you did waits"
	ReasonEarly     = "what you did before has to come first; what you did waits"
	ReasonStale     = "your click is sent again"
	ReasonLater     = "a newer version of this page is needed; what you did waits"
	ReasonFailed    = "this could not be done"
	ReasonWithdrawn = "withdrawn"
)

// The pause between two tries of a store call doubles from minRetry to
// maxRetry, with full jitter.
const (
	minRetry = 50 * time.Millisecond
	maxRetry = time.Second
)

// maxConflicts is how often a step is tried anew without a pause.
const maxConflicts = 64

// BatcherOptions of a Batcher. Zero values are the defaults.
type BatcherOptions struct {
	// MaxQueue is how many ops may wait, of all topics; each takes 400 bytes or so,
	// beside its input. One sender may have as many waiting as there is room left:
	// half of them when it is alone. Default 32,768.
	MaxQueue int
	// Calls is how many store calls may be under way at once, each with what waits
	// for up to MaxSteps topics. Default 4.
	Calls int
	// Patience is how long a failing step is repeated, with the same ops, before
	// they are to be sent again. It counts from the Submit of the newest of them.
	// While the store is away ops that have waited for so long are answered without
	// a call. Default 5 s.
	Patience time.Duration
	// CallTimeout bounds one store call. Default 3 s.
	CallTimeout time.Duration
	// OpLifetime is how old an op may be: less than the store's Lifetime by the
	// greatest difference of two clocks and the longest time for which a message
	// can wait unseen. Default OpLifetime.
	OpLifetime time.Duration
	// Warm is how many topics' newest records are kept at least, so that an op needs
	// no read: fewer when they are more than 64 MiB together. Default 1,024.
	Warm int
	// Committed is called once after each step that was done, in order for each
	// topic, before the calls of done for its ops. It is also called, without a
	// Base, before ops are acknowledged that a newer record contains, which it was
	// not called with: the answer of their step was lost, or another replica has done
	// it. It must not block. Nil: it is not called.
	Committed func(c Commit)
	// Health is called after each store call: with nil when the store has
	// answered, be it with a conflict, and else with its error. A call that has run
	// out of time while others were answered is slow, and no error: it is repeated,
	// and Health is not called. It must not block. Nil: it is not called.
	Health func(err error)
	// Clock returns the time, which must not jump. Nil: that of the process.
	Clock func() time.Time
	// Rand returns a random duration from 0 to below n, of pauses. Nil: math/rand.
	Rand   func(n time.Duration) time.Duration
	Logger *slog.Logger // nil: slog.Default()
}

// Stats of a Batcher.
type Stats struct {
	Calls     uint64 // of the store's Commit
	Commits   uint64 // steps that were done
	Conflicts uint64 // steps that were tried anew
	Ops       uint64 // ops that were dealt with for the first time
	Entries   uint64 // that were appended to logs
}

// A Batcher is group commit in front of a store: it runs the actions of the ops
// that wait, on the newest state that it knows, and commits what comes of them.
// While a call is under way for a topic its ops wait, and then go together into
// the next; ops of many topics go into one call. Senders take turns, whatever
// each has waiting (fairQueue). An idle topic is not delayed and costs nothing.
// Its methods may be called concurrently.
type Batcher struct {
	// set once
	store  Store
	kinds  map[string]Reducer
	opts   BatcherOptions
	guard  *guard
	began  time.Time
	patrol time.Duration // the shortest limit of an action
	looks  *time.Timer   // of look
	// base ends when Close has run out of time: it is the context of all
	// store calls.
	base context.Context
	cut  context.CancelFunc
	// closing is closed by Close.
	closing chan struct{}

	away   storeState
	warm   *recent[string, warmth]
	lanes  *recent[laneKey, struct{}] // that exist
	failed *recent[laneKey, int]      // ops whose action failed for good, or took too long, and how often
	marks  marks
	counts struct{ calls, commits, conflicts, ops, entries atomic.Uint64 }

	mu      sync.Mutex // guards the rest
	queue   *fairQueue
	again   []*try              // to be made again now
	working int                 // goroutines in work
	idle    int                 // of these, that wait for something to do, and were not called
	more    sync.Cond           // on mu, for them
	watches map[*watch]struct{} // of these
	patrols bool                // looks is set
	closed  bool
	wg      sync.WaitGroup // Add only under mu while not closed, or by what it counts
}

// A laneKey names a lane, and an op of it.
type laneKey struct {
	topic  string
	client Client
	seq    uint64 // 0 for the lane
}

// maxWarm bounds the records that are kept, in bytes: twice as much may be, with what was
// known before.
const maxWarm = 64 << 20

// NewBatcher returns a batcher in front of s, for topics of the given kinds. Nil
// options are the defaults. It panics when kinds can't be what they are. Its
// goroutines, Calls at most, end with Close, which does not close s.
func NewBatcher(s Store, opts *BatcherOptions, kinds ...Reducer) *Batcher {
	b := &Batcher{store: s, began: time.Now(), patrol: DefaultLimit, kinds: make(map[string]Reducer, len(kinds)), closing: make(chan struct{})}
	for _, k := range kinds {
		if err := k.problem(); err != nil {
			panic(err.Error())
		}
		if b.kinds[k.name()] != nil {
			panic(fmt.Sprintf("state: two kinds %q", k.name()))
		}
		b.kinds[k.name()] = k
		b.patrol = min(b.patrol, k.limit())
	}
	b.base, b.cut = context.WithCancel(context.Background())
	if opts != nil {
		b.opts = *opts
	}
	b.opts.setDefaults()
	b.guardCallbacks()
	b.warm = newRecent[string, warmth](b.opts.Warm)
	b.warm.heavy, b.warm.weigh = maxWarm, func(w warmth) int { return len(w.record.Data) }
	b.lanes = newRecent[laneKey, struct{}](1 << 15)
	b.failed = newRecent[laneKey, int](1 << 10)
	b.queue = newFairQueue(b.opts.MaxQueue)
	b.watches = make(map[*watch]struct{}, b.opts.Calls)
	b.more.L = &b.mu
	b.looks = time.AfterFunc(time.Hour, b.look)
	b.looks.Stop() // until there is a worker
	return b
}

func (o *BatcherOptions) setDefaults() {
	setDefault(&o.MaxQueue, 1<<15)
	setDefault(&o.Calls, 4)
	setDefault(&o.Patience, 5*time.Second)
	setDefault(&o.CallTimeout, 3*time.Second)
	setDefault(&o.OpLifetime, OpLifetime)
	setDefault(&o.Warm, 1<<10)
	if o.Committed == nil {
		o.Committed = func(Commit) {}
	}
	if o.Health == nil {
		o.Health = func(error) {}
	}
	if o.Clock == nil {
		began := time.Now()
		o.Clock = func() time.Time { return began.Add(time.Since(began)) }
	}
	if o.Rand == nil {
		o.Rand = rand.N[time.Duration]
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

func setDefault[T int | time.Duration](v *T, to T) {
	if *v <= 0 {
		*v = to
	}
}

// Submit applies op to a topic, later, in the turn of a sender, which may be nil.
// It never blocks. done is called exactly once. For one client and topic done is
// called in the order of Submit, except for ops that are answered at once, which
// are answered before Submit returns. done must not block: what waits behind it is
// answered later.
func (b *Batcher) Submit(from Sender, topic string, op Op, done func(Answer)) {
	done = b.guard.guarded(done)
	if answer, refused := b.enqueue(topic, submitted{from: from, op: op, done: done, at: b.opts.Clock()}); refused {
		done(answer)
	}
}

// Apply is Submit, and waits. When ctx ends first it returns ctx's error, and it
// is unknown whether op is applied.
func (b *Batcher) Apply(ctx context.Context, from Sender, topic string, op Op) (Answer, error) {
	ch := make(chan Answer, 1) // room for an answer that nobody waits for any more
	b.Submit(from, topic, op, func(a Answer) { ch <- a })
	select {
	case a := <-ch:
		return a, nil
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
}

// Learn takes in a record of a topic that the store has said, or a replica that
// is believed: the next op of the topic is computed from it. What is older than
// what is known changes nothing. r must not be changed afterwards.
func (b *Batcher) Learn(topic string, r Record) { b.LearnState(topic, r, nil) }

// LearnState is Learn, with the state of the record if the caller has read it: see
// HeardState.
func (b *Batcher) LearnState(topic string, r Record, s any) {
	s = b.shared(topic, s)
	b.warm.change(topic, func(w warmth, _ bool) (warmth, bool) {
		if !r.Newer(w.record) {
			return w, false
		}
		w.record, w.bare, w.state = r, false, s
		return w, true
	})
}

// shared returns a state of a topic, or nil when the actions of its kind may change what they are
// given: others have it.
func (b *Batcher) shared(topic string, s any) any {
	kind, _ := keyOf(topic)
	if k := b.kinds[kind]; s == nil || k == nil || !k.shares() {
		return nil
	}
	return s
}

// correct takes in that the store has denied one record, and said another. What
// it has denied is dropped even if that looks newer, or each call would conflict.
func (b *Batcher) correct(topic string, denied, said Record) {
	b.warm.change(topic, func(w warmth, _ bool) (warmth, bool) {
		if said.Same(w.record) || !w.record.Same(denied) && !said.Newer(w.record) {
			return w, false
		}
		w.record, w.bare, w.state = said, false, nil
		return w, true
	})
}

// Stats returns what the batcher has done since it was made.
func (b *Batcher) Stats() Stats {
	return Stats{
		Calls: b.counts.calls.Load(), Commits: b.counts.commits.Load(),
		Conflicts: b.counts.conflicts.Load(), Ops: b.counts.ops.Load(), Entries: b.counts.entries.Load(),
	}
}

// Close takes no more ops and waits for those it has. When ctx ends first, the
// store calls under way are cancelled, what is left is to be sent again, and
// ctx's error is returned. All ops are answered when it returns. Closing twice
// is harmless.
func (b *Batcher) Close(ctx context.Context) error {
	b.close()
	defer b.looks.Stop()
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

func (b *Batcher) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		close(b.closing)
		b.idle = 0
		b.more.Broadcast() // they end
	}
}

// enqueue reports true when the op is answered at once.
func (b *Batcher) enqueue(topic string, s submitted) (Answer, bool) {
	kind, _ := keyOf(topic)
	switch {
	case !s.op.valid() || CheckTopic(topic) != nil:
		return Answer{Verdict: Refused, Reason: ReasonBadOp}, true
	case b.kinds[kind] == nil:
		return Answer{Verdict: Refused, Reason: ReasonUnknown}, true
	}
	if s.from != nil {
		var err error
		if s.share, err = b.guard.share(s.from); err != nil {
			return Answer{Reason: ReasonOverload, Err: err}, true
		}
		if err := b.takeLane(topic, &s); err != nil {
			return Answer{Reason: ReasonNewLane, Err: err}, true
		}
	}
	if err := b.push(topic, s); err != nil {
		b.returnLane(&s)
		return Answer{Reason: ReasonOverload, Err: err}, true
	}
	return Answer{}, false
}

// takeLane asks the sender for a lane, when the op may make one.
func (b *Batcher) takeLane(topic string, s *submitted) error {
	if s.op.Seq != s.op.From {
		return nil // it is not the first of its lane, or it will wait for that
	}
	if _, known := b.lanes.get(laneKey{topic, s.op.Client, 0}); known {
		return nil
	}
	err := b.guard.takeLane(s.from)
	s.lane = err == nil
	return err
}

func (b *Batcher) returnLane(s *submitted) {
	if s.lane {
		b.guard.returnLane(s.from)
	}
}

func (b *Batcher) push(topic string, s submitted) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return ErrClosed
	}
	if b.queue.full(s.share) {
		return ErrOverloaded
	}
	b.queue.push(topic, s)
	b.hire()
	return nil
}

// hire calls a worker if there is something to do, or starts one if there is room.
// Workers stay until Close: a goroutine for each call, and its stack, took an
// eighth of what a call in memory does. The caller holds mu.
func (b *Batcher) hire() {
	switch {
	case !b.busy():
	case b.idle > 0:
		b.idle--
		b.more.Signal()
	case b.working < b.opts.Calls:
		b.working++
		b.wg.Add(1)
		w := b.startWatch()
		go func() { // ends with Close, or is given up
			if b.work(w) {
				b.wg.Done()
			}
		}()
	}
}

// busy reports whether something waits for a call. The caller holds mu.
func (b *Batcher) busy() bool { return len(b.again) > 0 || b.queue.isReady() }

// rest waits until there is something to do; after close it does not. The caller
// holds mu.
func (b *Batcher) rest() {
	for !b.busy() && !b.closed {
		b.idle++
		b.more.Wait()
	}
	b.lookOut()
}

// work makes store calls until the batcher is closed and nothing waits for one. It
// reports false when it was given up.
func (b *Batcher) work(w *watch) bool {
	for {
		tries := b.take(w)
		if len(tries) == 0 {
			return true
		}
		if !b.serve(w, tries) {
			return false
		}
		b.back(tries)
	}
}

// back takes in that a call has ended.
func (b *Batcher) back(tries []*try) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range tries {
		b.queue.back(t.turn)
	}
	b.hire()
}

// take returns what goes into the next call, when there is something; nothing means
// that work has ended.
func (b *Batcher) take(w *watch) (tries []*try) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rest()
	n := min(len(b.again), MaxSteps)
	tries = append(tries, b.again[:n]...)
	b.again = slices.Delete(b.again, 0, n)
	for _, t := range tries {
		b.queue.call(t.turn)
		if room := MaxMoves - len(t.ops); t.open && room > 0 {
			t.ops = append(t.ops, b.queue.more(t.topic, room)...)
		}
	}
	for len(tries) < MaxSteps {
		topic, ops, turn := b.queue.next()
		if len(ops) == 0 {
			break
		}
		tries = append(tries, b.newTry(topic, ops, turn))
	}
	for _, t := range tries {
		b.queue.send(t.turn)
	}
	if len(tries) == 0 {
		b.working--
		delete(b.watches, w)
	}
	return tries
}

// serve makes one store call, and answers what it decides. What is left comes
// again. It reports false when the worker was given up.
func (b *Batcher) serve(w *watch, tries []*try) bool {
	steps, pending := make([]Step, 0, len(tries)), make([]*try, 0, len(tries))
	all := &shift{tries}
	for _, t := range tries {
		t.shift = all
		open, ok := b.compute(w, t)
		if !ok {
			return false
		}
		if open {
			steps, pending = append(steps, t.run.step), append(pending, t)
		}
	}
	if len(steps) == 0 {
		return true
	}
	began := b.opts.Clock()
	outcomes := b.commit(steps)
	for i, t := range pending {
		b.conclude(t, outcomes[i], began)
	}
	return true
}

// commit makes one store call.
func (b *Batcher) commit(steps []Step) []Outcome {
	ctx, cancel := context.WithTimeout(b.base, b.opts.CallTimeout)
	defer cancel()
	began := time.Now()
	b.counts.calls.Add(1)
	outcomes := b.store.Commit(ctx, steps...)
	b.heard(Failure(outcomes), began)
	return outcomes
}

func isConflict(err error) bool { return errors.Is(err, ErrConflict) }

// heard takes in what came of a store call that began at a time.
func (b *Batcher) heard(err error, began time.Time) {
	if err == nil {
		b.away.answered()
		b.opts.Health(nil)
		return
	}
	b.opts.Logger.Debug("store call failed", "err", err)
	if errors.Is(err, context.DeadlineExceeded) && b.away.answeredSince(began) {
		return // slow
	}
	b.away.fail(err)
	b.opts.Health(err)
}

// conclude takes in what became of a try's step, whose call began at a time.
func (b *Batcher) conclude(t *try, o Outcome, began time.Time) {
	switch {
	case o.Err == nil:
		b.counts.commits.Add(1)
		b.counts.entries.Add(uint64(len(t.run.step.Log)))
		b.done(t, o, began)
	case isConflict(o.Err):
		if !t.run.look {
			b.counts.conflicts.Add(1)
		}
		// When only lanes are not as was thought, those of what comes now may not be
		// either, and so on: it goes into the next call.
		from := t.record
		t.open = !t.learn(o, began)
		b.correct(t.topic, from, t.record)
		if t.conflicts++; t.conflicts > maxConflicts {
			b.putOff(t, Answer{Reason: ReasonOverload, Err: ErrContended})
			return
		}
		b.repeat(t)
	case errors.Is(o.Err, ErrBadStep):
		b.opts.Logger.Error("the store does not take a step", "topic", t.topic, "err", o.Err)
		b.putOff(t, Answer{Reason: ReasonAway, Err: o.Err})
	default:
		b.later(t, o.Err)
	}
}

// later makes a try again after a pause, unless it has been tried for Patience.
// The outcome of its step is unknown: the guards of its moves say more then.
func (b *Batcher) later(t *try, err error) {
	t.open = false // nothing new makes it wait for longer
	pause := b.opts.Rand(min(minRetry<<min(t.failures, 10), maxRetry) + 1)
	t.failures++
	if b.opts.Clock().Add(pause).After(newest(t.ops).Add(b.opts.Patience)) || b.base.Err() != nil {
		b.putOff(t, Answer{Reason: ReasonAway, Err: fmt.Errorf("%w: %w", ErrUnavailable, err)})
		return
	}
	b.wg.Go(func() { // ends after the pause
		b.pause(pause, nil)
		b.repeat(t)
	})
}

// repeat makes a try again.
func (b *Batcher) repeat(t *try) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.again = append(b.again, t)
	b.hire()
}

// release lets the next call of a topic come.
func (b *Batcher) release(topic string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.queue.release(topic)
	b.hire()
}

// putOff answers all ops of a try alike, and ends it.
func (b *Batcher) putOff(t *try, a Answer) {
	for i := range t.ops {
		b.returnLane(&t.ops[i])
		t.ops[i].done(a)
	}
	b.end(t, nil)
}

// newest returns when the last op of a batch was submitted.
func newest(batch []submitted) (at time.Time) {
	for i := range batch {
		if batch[i].at.After(at) {
			at = batch[i].at
		}
	}
	return at
}

// pause waits, at most until over is closed.
func (b *Batcher) pause(d time.Duration, over <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-over:
	case <-b.base.Done():
	}
}
