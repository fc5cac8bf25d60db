package state

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"lockstep/internal/repeats"
)

// A guard keeps panics of the application's code, and of a store, from the
// goroutines of a Batcher. The log has one line of them in ten seconds.
type guard struct {
	log    *slog.Logger
	panics repeats.Counter
}

// caught is deferred around a call. With err it makes an error of the panic.
func (g *guard) caught(callback string, err *error) {
	p := recover()
	if p == nil {
		return
	}
	fault := fmt.Errorf("state: panic in %s: %v", callback, p)
	if err != nil {
		*err = fault
	}
	if g.panics.Add(time.Now()) > 0 {
		g.log.Error("callback failed", "callback", callback, "err", fault, "stack", string(debug.Stack()))
	}
}

// guardCallbacks wraps what a batcher calls. A step whose call has panicked is
// unknown, as after any other error: it is tried again.
func (b *Batcher) guardCallbacks() {
	g := &guard{log: b.opts.Logger}
	b.guard, b.store = g, guardedStore{b.store, g}
	committed, health := b.opts.Committed, b.opts.Health
	b.opts.Committed = func(topic string, r Record) {
		defer g.caught("Committed", nil)
		committed(topic, r)
	}
	b.opts.Health = func(err error) {
		defer g.caught("Health", nil)
		health(err)
	}
}

// guarded returns done, which may panic.
func (g *guard) guarded(done func(Answer)) func(Answer) {
	return func(a Answer) {
		defer g.caught("done", nil)
		done(a)
	}
}

// A sender that panics has no share of its own, and may do nothing that is
// scarce.

func (g *guard) share(s Sender) (share any) {
	defer g.caught("Share", nil)
	return s.Share()
}

func (g *guard) newTopic(s Sender) (ok bool) {
	defer g.caught("NewTopic", nil)
	return s.NewTopic()
}

func (g *guard) takeLane(s Sender) (ok bool) {
	defer g.caught("TakeLane", nil)
	return s.TakeLane()
}

func (g *guard) returnLane(s Sender) {
	defer g.caught("ReturnLane", nil)
	s.ReturnLane()
}

// A guardedStore is a store whose panics are errors, and whose answers are whole.
type guardedStore struct {
	Store
	guard *guard
}

// Commit implements Store.
func (s guardedStore) Commit(ctx context.Context, steps ...Step) []Outcome {
	outcomes, err := s.commit(ctx, steps)
	if err == nil && len(outcomes) != len(steps) {
		err = fmt.Errorf("state: the store was given %d steps and answered %d", len(steps), len(outcomes))
	}
	if err != nil {
		return Failed(len(steps), err)
	}
	for i := range outcomes {
		o, moves := &outcomes[i], len(steps[i].Moves)
		if o.Err == nil && len(o.Made) != moves || isConflict(o.Err) && len(o.Lanes) != moves {
			o.Err = fmt.Errorf("state: the store's answer is not of %d moves", moves)
		}
	}
	return outcomes
}

func (s guardedStore) commit(ctx context.Context, steps []Step) (outcomes []Outcome, err error) {
	defer s.guard.caught("Store.Commit", &err)
	return s.Store.Commit(ctx, steps...), nil
}

// Finish implements Store.
func (s guardedStore) Finish(ctx context.Context, marks ...Mark) (err error) {
	defer s.guard.caught("Store.Finish", &err)
	return s.Store.Finish(ctx, marks...)
}
