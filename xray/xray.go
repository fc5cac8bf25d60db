// Package xray follows ops on their way: from the tab to its replica, through the queue and the
// store, through the broker to each replica, and to the last tab there. A person at a tab looks at
// their own clicks in the page; a program is given what was followed, to send it on as traces.
//
// It is a set of hooks (lockstep.Hooks). While nobody looks they do nothing, and what is followed
// is a sample. It measures and decides nothing: what tabs say of themselves is shown, and no more.
//
// No clock of another machine is believed. A replica that is asked to tells, on a topic of the
// broker, how long it took from when it heard of a change; the broker's part is the time until the
// own broadcast comes back to this replica.
package xray

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"lockstep"
	"lockstep/htmx"
	"lockstep/live"
	"lockstep/state"
)

const (
	// lookTime is how long a tab, or a replica, looks that has said so: they repeat it.
	lookTime = 10 * time.Second
	// askPause is the time between two messages to the other replicas that somebody here looks.
	askPause = 3 * time.Second
	// opPause is the shortest time between two ops of a tab that are followed: the others are not.
	opPause = 100 * time.Millisecond
	// patience is how long an op is followed, and a state that another replica has asked for.
	patience = 3 * time.Second
	// tick is the time between two looks at what has changed of these.
	tick = 100 * time.Millisecond
	// visitPause is the shortest time between two states of a topic that others are told of.
	visitPause = 50 * time.Millisecond
)

// Bounds of what is kept at a time.
const (
	maxTopics  = 64
	maxLookers = 256 // tabs
	maxTraces  = 256
	maxMarks   = 64 // of a topic
	maxVisits  = 32 // of a topic
	maxAskers  = 64 // replicas that look at a topic
	maxOthers  = 64 // replicas that have told of an op
)

// Options of a Recorder. Zero values are the defaults.
type Options struct {
	Logger *slog.Logger // nil: slog.Default()
	// Sample reports whether an op is followed that no person looks at. It must not block. Nil:
	// none is.
	Sample func(op htmx.Op) bool
	// Done is called with each op that was followed, some seconds after it came, one at a time. It
	// must not block for long. Nil: nobody is told.
	Done func(t Trace)
}

// A Recorder follows ops of one replica. Its methods may be called concurrently.
type Recorder struct {
	// set once
	opts Options
	id   string        // of this replica, on the broker
	kick chan struct{} // of size 1: there is something to do
	app  *lockstep.App // set by Follow

	watching atomic.Int32 // topics that are watched

	mu      sync.Mutex // guards the rest
	topics  map[string]*watch
	lookers map[*live.Session]*looker
	traces  int // of all topics
}

// A looker is a tab at which a person looks.
type looker struct{ until, next time.Time }

// A watch is a topic that somebody looks at, here or at another replica.
type watch struct {
	until  time.Time // here
	asked  time.Time // when the others were asked last
	askers map[string]time.Time
	marks  []live.Mark
	traces []*trace
	visits []*visit
	last   time.Time // when the last visit began
}

// New returns a recorder, which is given to an application as its Hooks, and then to Follow. Nil
// options are the defaults.
func New(opts *Options) *Recorder {
	r := &Recorder{
		id: strconv.FormatUint(rand.Uint64(), 36), kick: make(chan struct{}, 1),
		topics: make(map[string]*watch), lookers: make(map[*live.Session]*looker),
	}
	if opts != nil {
		r.opts = *opts
	}
	if r.opts.Logger == nil {
		r.opts.Logger = slog.Default()
	}
	return r
}

// Follow has the recorder work for an application from its Start to its Stop, whose Hooks it is. It
// is called once, before Start.
func (r *Recorder) Follow(a *lockstep.App) {
	r.app = a
	a.Background(r.run)
}

// Watches implements live.Hooks.
func (r *Recorder) Watches(topic string) bool {
	if r.watching.Load() == 0 {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.topics[topic] != nil
}

// Look implements lockstep.Hooks.
func (r *Recorder) Look(s *live.Session, topic string) {
	if s.Passing() {
		return // it is over when there is something to see
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.watch(topic)
	if w == nil {
		return
	}
	w.until = now.Add(lookTime)
	one := r.lookers[s]
	if one == nil {
		if len(r.lookers) >= maxLookers {
			return
		}
		one = new(looker)
		r.lookers[s] = one
	}
	one.until = w.until
	r.wake()
}

// Op implements lockstep.Hooks.
func (r *Recorder) Op(s *live.Session, op htmx.Op, do string) func(state.Answer, state.Trace) {
	if r.watching.Load() == 0 && r.opts.Sample == nil {
		return nil
	}
	sampled := r.opts.Sample != nil && r.opts.Sample(op)
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	looks := r.looks(s, now)
	if !looks && !sampled || r.traces >= maxTraces {
		return nil
	}
	w := r.watch(op.Topic)
	if w == nil {
		return nil
	}
	t := &trace{writer: s.Writer(), sampled: sampled, Trace: Trace{Op: op, Do: do, Replica: r.app.Replica(), Came: now}}
	if looks {
		t.session = s
	}
	if until := now.Add(lookTime); sampled && w.until.Before(until) {
		w.until = until
	}
	w.traces = append(w.traces, t)
	r.traces++
	r.wake()
	return func(a state.Answer, step state.Trace) { r.answered(op.Topic, t, a, step) }
}

// looks reports whether a person looks at the ops of a tab, and follows one more. The caller holds
// mu.
func (r *Recorder) looks(s *live.Session, now time.Time) bool {
	one := r.lookers[s]
	if one == nil || now.After(one.until) || now.Before(one.next) {
		return false
	}
	one.next = now.Add(opPause)
	return true
}

// answered takes the answer to an op.
func (r *Recorder) answered(topic string, t *trace, a state.Answer, step state.Trace) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.Verdict, t.Step, t.answered = a.Verdict, step, true
	if w := r.topics[topic]; w != nil && step.Version > 0 {
		for _, m := range w.marks { // it may have been shown before its answer was known
			t.take(m)
		}
	}
	r.wake()
}

// Reached implements live.Hooks.
func (r *Recorder) Reached(m live.Mark) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.topics[m.Topic]
	if w == nil {
		return
	}
	if len(w.marks) == maxMarks {
		w.marks = append(w.marks[:0], w.marks[maxMarks/2:]...)
	}
	w.marks = append(w.marks, m)
	news := false
	for _, t := range w.traces {
		news = t.take(m) || news
	}
	for _, v := range w.visits {
		news = v.take(m) || news
	}
	if m.Point == live.Heard && w.visit(m) {
		news = true
	}
	if news {
		r.wake()
	}
}

// watch returns the watch of a topic; nil: there are too many. The caller holds mu.
func (r *Recorder) watch(topic string) *watch {
	w := r.topics[topic]
	if w == nil && len(r.topics) < maxTopics {
		w = &watch{askers: make(map[string]time.Time)}
		r.topics[topic] = w
		r.watching.Store(int32(len(r.topics)))
	}
	return w
}

// wake has run look at what there is.
func (r *Recorder) wake() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// run tells tabs, other replicas and Options.Done what there is to tell, until ctx ends.
func (r *Recorder) run(ctx context.Context) {
	r.listen(ctx)
	timer := time.NewTimer(0)
	defer timer.Stop()
	timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.kick:
		case <-timer.C:
		}
		now := time.Now()
		todo, more := r.collect(now)
		for _, do := range todo {
			do(ctx)
		}
		if more {
			timer.Reset(tick)
		}
	}
}

// collect returns what is to be done, and whether there will be more. It forgets what is over.
func (r *Recorder) collect(now time.Time) (todo []func(context.Context), more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s, one := range r.lookers {
		if now.After(one.until) {
			delete(r.lookers, s)
		}
	}
	var ask []string
	for topic, w := range r.topics {
		if now.Before(w.until) && now.Sub(w.asked) >= askPause {
			w.asked = now
			ask = append(ask, topic)
		}
		todo = append(todo, r.collectTraces(w, now)...)
		todo = append(todo, r.collectVisits(topic, w, now)...)
		for id, until := range w.askers {
			if now.After(until) {
				delete(w.askers, id)
			}
		}
		if now.After(w.until) && len(w.askers)+len(w.traces) == 0 {
			delete(r.topics, topic)
		}
	}
	r.watching.Store(int32(len(r.topics)))
	if len(ask) > 0 {
		todo = append([]func(context.Context){func(ctx context.Context) { r.broadcast(ctx, message{Look: ask}) }}, todo...)
	}
	return todo, len(r.topics) > 0
}

// collectTraces is collect for the ops of a topic.
func (r *Recorder) collectTraces(w *watch, now time.Time) (todo []func(context.Context)) {
	kept := w.traces[:0]
	for _, t := range w.traces {
		over := now.Sub(t.Came) > patience
		if t.session != nil && t.due(now, over) {
			s, told := t.session, t.json()
			todo = append(todo, func(context.Context) { s.XRay(told) })
		}
		if !over {
			kept = append(kept, t)
			continue
		}
		r.traces--
		if r.opts.Done != nil && t.sampled && t.answered {
			whole := t.whole()
			todo = append(todo, func(context.Context) { r.opts.Done(whole) })
		}
	}
	clear(w.traces[len(kept):])
	w.traces = kept
	return todo
}

// collectVisits is collect for the states of a topic that others have asked for.
func (r *Recorder) collectVisits(topic string, w *watch, now time.Time) (todo []func(context.Context)) {
	kept := w.visits[:0]
	for _, v := range w.visits {
		over := now.Sub(v.heard) > patience
		if v.due(over) {
			m := message{Shown: v.shown(topic)}
			todo = append(todo, func(ctx context.Context) { r.broadcast(ctx, m) })
		}
		if !over {
			kept = append(kept, v)
		}
	}
	w.visits = kept
	return todo
}
