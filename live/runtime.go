package live

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/htmx"
	"lockstep/internal/callback"
)

// Options of a Runtime. Zero values are the defaults.
type Options struct {
	Logger *slog.Logger // nil: slog.Default()
	// FrameInterval is the shortest time between two frames of one room to
	// the same tab; the first change after a pause is shown at once. What
	// changes in between is conflated: newest wins. Default 33 ms.
	FrameInterval time.Duration
	// SendTimeout is how long one message to a tab may take before the tab
	// is taken for stalled and closed. Default 10 s.
	SendTimeout time.Duration
	// StatusInterval is the time between two status messages to each tab, by
	// which the tab knows that its connection is alive. Tabs are told of it, and
	// go by it. Default 20 s.
	StatusInterval time.Duration
	// Hooks are told how far changes have come. Nil: nobody is.
	Hooks Hooks
	// Painters is how many tabs at a time are asked to say when what they were sent is on the screen,
	// at most: see Runtime.Paints. Default 0: none.
	Painters int
	// Welcome returns what each tab is shown when it connects, e.g. which
	// replica serves it. Nil: nothing. It may be called concurrently.
	Welcome func() []htmx.Partial
}

// A Runtime owns the sessions and rooms of one replica and every goroutine
// that works for them. Its methods may be called concurrently.
type Runtime struct {
	// set once
	opts    Options
	log     *slog.Logger
	made    time.Time
	stopped chan struct{} // closed by Stop
	writers []*writer
	news    chan struct{} // of size 1: something has been reported
	stats   stats
	guard   callback.Guard // of the application's callbacks
	watched watchedTabs

	painters painters

	mu       sync.Mutex // guards the rest
	phase    phase
	sessions map[*Session]struct{}
	passing  int // of these, which are no tabs
	health   health
	ages     []func() time.Duration // of kinds of rooms
	roomsOf  []func() []*room       // of all kinds, and of feeds
	topics   map[string]struct{}    // of all rooms: two must not share one
	kinds    map[string]struct{}    // names of rooms
	wg       sync.WaitGroup         // every goroutine; Add only under mu before phaseStopped
}

// A phase is where a runtime is in its life. It only grows.
type phase uint8

const (
	phaseIdle     phase = iota // it was not started: no sessions and no goroutines
	phaseRunning               // sessions come and go
	phaseDraining              // no session comes any more; goroutines work for those that are left
	phaseStopped               // no goroutine begins any more
)

// NewRuntime returns a runtime that refuses sessions until Start. Nil options
// are the defaults; negative ones a panic.
func NewRuntime(opts *Options) *Runtime {
	r := &Runtime{
		made:     time.Now(),
		stopped:  make(chan struct{}),
		sessions: make(map[*Session]struct{}),
		news:     make(chan struct{}, 1),
		health:   health{sources: make(map[source]*condition), told: htmx.Live},
		topics:   make(map[string]struct{}),
		kinds:    make(map[string]struct{}),
	}
	if opts != nil {
		r.opts = *opts
	}
	mustBe(r.opts.check())
	setDefault(&r.opts.FrameInterval, 33*time.Millisecond)
	setDefault(&r.opts.SendTimeout, 10*time.Second)
	setDefault(&r.opts.StatusInterval, htmx.StatusInterval)
	if r.opts.Welcome == nil {
		r.opts.Welcome = func() []htmx.Partial { return nil }
	}
	r.writers = newWriters(r)
	r.log = r.opts.Logger
	if r.log == nil {
		r.log = slog.Default()
	}
	r.guard.Log, r.guard.Package, r.guard.Failed = r.log, "live", func() { r.stats.failures.Add(1) }
	return r
}

func setDefault(d *time.Duration, to time.Duration) {
	if *d <= 0 {
		*d = to
	}
}

// Start lets sessions in. A runtime starts once: after Drain or Stop it does
// nothing.
func (r *Runtime) Start() {
	r.mu.Lock()
	idle := r.phase == phaseIdle
	r.phase = max(r.phase, phaseRunning)
	r.mu.Unlock()
	if !idle {
		return
	}
	r.spawn(r.sendStatus)
	r.spawn(r.watchHealth)
	for _, w := range r.writers {
		r.spawn(w.run)
	}
}

// Connect makes the session of a tab that has just connected and mounts view
// on it. The caller then hands it each message with Session.Receive and calls
// Session.Disconnect when the connection has ended. The error is ErrDraining,
// or what Mount returned; then the session has ended, which has been logged,
// and conn has been told to close.
func (r *Runtime) Connect(ctx context.Context, conn Conn, view View) (*Session, error) {
	s := r.newSession(conn, view)
	if !r.admit(s) {
		s.kill(ReasonNotServing, nil)
		return nil, ErrDraining
	}
	s.push(&frame{message: r.welcome(s)})
	if err := s.mount(ctx); err != nil {
		s.kill(ReasonMountFailed, err)
		return nil, fmt.Errorf("live: mount: %w", err)
	}
	return s, nil
}

// admit takes a session in. It reports false when the runtime takes none.
func (r *Runtime) admit(s *Session) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.phase != phaseRunning {
		return false
	}
	r.sessions[s] = struct{}{}
	if s.Passing() {
		r.passing++
	}
	return true
}

func (r *Runtime) newSession(conn Conn, view View) *Session {
	s := &Session{conn: conn, wire: conn.Wire(), view: view, id: r.stats.accepted.Add(1)}
	s.rooms = make([]*member, 0, len(s.inline))
	s.writer = r.writers[s.id%uint64(len(r.writers))]
	conn.Bind(s)
	return s
}

// drainPace is how many tabs a draining replica sends away in a second at
// least: a few tabs are gone at once, many take the time they are given.
const drainPace = 500

// Drain refuses new sessions and closes those there are with CodeRestart,
// spread evenly over at most the given time; what a tab has sent before is
// finished and acknowledged first. It returns when the last has left, or with
// ctx's error.
func (r *Runtime) Drain(ctx context.Context, over time.Duration) error {
	r.mu.Lock()
	r.phase = max(r.phase, phaseDraining)
	leaving := slices.Collect(maps.Keys(r.sessions))
	r.mu.Unlock()

	over = min(over, time.Duration(len(leaving))*time.Second/drainPace)
	if _, err := r.sendAway(ctx, leaving, over, ReasonDrain); err != nil {
		return err
	}
	for _, s := range leaving {
		if err := s.left(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Stop closes what Drain has left and waits for every goroutine. Stopping
// twice is harmless. Rooms stop with their runtime.
func (r *Runtime) Stop() {
	r.mu.Lock()
	if r.phase != phaseStopped {
		r.phase = phaseStopped
		close(r.stopped)
	}
	left := slices.Collect(maps.Keys(r.sessions))
	r.mu.Unlock()
	for _, s := range left {
		s.kill(ReasonStopped, nil)
	}
	r.wg.Wait()
}

// spawn runs f in a goroutine that Stop waits for. It reports false, and does
// not run f, when the runtime is not running.
func (r *Runtime) spawn(f func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.phase != phaseRunning && r.phase != phaseDraining {
		return false
	}
	r.wg.Go(f)
	return true
}

// pause waits for d, or less if the runtime stops: then it reports false.
func (r *Runtime) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.stopped:
		return false
	}
}

// pauseUnless is pause, and ends early when something comes on early.
func (r *Runtime) pauseUnless(d time.Duration, early <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-early:
		return true
	case <-r.stopped:
		return false
	}
}

// claimTopic reports whether no other room has the topic, and takes it.
func (r *Runtime) claimTopic(topic string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.topics[topic]; taken {
		return false
	}
	r.topics[topic] = struct{}{}
	return true
}

func (r *Runtime) releaseTopic(topic string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.topics, topic)
}

// sendStatus tells every tab the status, for ever.
func (r *Runtime) sendStatus() {
	for r.pause(r.opts.StatusInterval) {
		r.tellAll()
	}
}

func (r *Runtime) tellAll() {
	f := &frame{message: htmx.Welcome(r.toldStatus(), r.opts.StatusInterval, r.Clock())}
	r.mu.Lock()
	all := slices.Collect(maps.Keys(r.sessions))
	r.mu.Unlock()
	for _, s := range all {
		s.push(f)
	}
}

func (r *Runtime) welcome(s *Session) []byte {
	var parts []htmx.Partial
	if !s.Passing() {
		_ = r.guard.Call("Welcome", func() { parts = r.opts.Welcome() }) // it has been logged, and the tab does without
	}
	return htmx.Welcome(r.toldStatus(), r.opts.StatusInterval, r.Clock(), parts...)
}

// proof answers a tab that asks whether its connection is alive.
func (r *Runtime) proof() []byte { return htmx.Proof(r.toldStatus(), r.opts.StatusInterval, r.Clock()) }

// Clock is the time as tabs are told it: it does not jump while the runtime
// lives. What judges the stamps of ops must go by it.
func (r *Runtime) Clock() time.Time { return r.made.Add(time.Since(r.made)) }

// now is the time since the runtime was made.
func (r *Runtime) now() time.Duration { return time.Since(r.made) }

// forget takes note of a session's end.
func (r *Runtime) forget(s *Session, e *ending) {
	r.mu.Lock()
	if _, admitted := r.sessions[s]; admitted && s.Passing() {
		r.passing--
	}
	delete(r.sessions, s)
	r.mu.Unlock()
	r.watched.forget(s)
	r.painters.leave(s)
	r.stats.closed[e.why].Add(1)
	args := []any{"session", s.id, "reason", e.why.String(), "code", int(e.why.Code())}
	if e.err != nil {
		args = append(args, "err", e.err)
	}
	r.log.Log(context.Background(), e.why.facts().level, "session closed", args...)
}

// Closed returns how many sessions have ended for a reason. Those of all
// reasons together, and the ones that are connected now, are Stats.Accepted.
func (r *Runtime) Closed(why Reason) uint64 { return r.stats.closed[why].Load() }

// Stats is a snapshot of what a runtime has done since it was made.
type Stats struct {
	Sessions int    // connected now, without those that are passing
	Accepted uint64 // sessions ever
	Events   uint64 // actions received
	Acks     uint64 // ops acknowledged
	Refusals uint64 // messages refused
	Limited  uint64 // of these, as too many: see the interface Limiter
	States   uint64 // states of rooms that were to be shown; those beyond Renders were conflated
	Renders  uint64 // frames rendered
	Wholes   uint64 // times that a tab was sent all items, and not what had changed
	Messages uint64 // messages sent to tabs
	// Deliveries are those of them that were the state of a room which has one in a store.
	Deliveries uint64
	Bytes      uint64 // their payload
	Repairs    uint64 // states that were read from the store because no broadcast brought them
	// Corrections are states that a broadcast had said, and the store did not.
	Corrections uint64
	Stalled     uint64 // sessions closed because the tab did not read
	Failures    uint64 // views, components and callbacks that failed or panicked
}

type stats struct {
	accepted, events, acks, refusals, limited, states, renders, wholes, messages, deliveries, bytes, repairs, corrections, stalled, failures atomic.Uint64

	closed [lastReason + 1]atomic.Uint64 // by Reason
}

// Stats returns a snapshot of the runtime's counters.
func (r *Runtime) Stats() Stats {
	r.mu.Lock()
	n := len(r.sessions) - r.passing
	r.mu.Unlock()
	return Stats{
		Sessions: n, Accepted: r.stats.accepted.Load(), Events: r.stats.events.Load(), Acks: r.stats.acks.Load(),
		Refusals: r.stats.refusals.Load(), Limited: r.stats.limited.Load(), States: r.stats.states.Load(), Renders: r.stats.renders.Load(), Wholes: r.stats.wholes.Load(), Messages: r.stats.messages.Load(), Deliveries: r.stats.deliveries.Load(),
		Bytes: r.stats.bytes.Load(), Repairs: r.stats.repairs.Load(), Corrections: r.stats.corrections.Load(), Stalled: r.stats.stalled.Load(), Failures: r.stats.failures.Load(),
	}
}
