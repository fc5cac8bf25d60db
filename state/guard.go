package state

import (
	"context"
	"fmt"

	"lockstep/internal/callback"
)

// A guard keeps panics of the application's code, and of a store, from the
// goroutines of a Batcher.
type guard struct{ callback.Guard }

// guardCallbacks wraps what a batcher calls. A step whose call has panicked is
// unknown, as after any other error: it is tried again.
func (b *Batcher) guardCallbacks() {
	g := &guard{callback.Guard{Log: b.opts.Logger, Package: "state"}}
	b.guard, b.store = g, guardedStore{b.store, g}
	committed, health := b.opts.Committed, b.opts.Health
	b.opts.Committed = func(c Commit) {
		defer g.Caught("Committed", nil)
		committed(c)
	}
	b.opts.Health = func(err error) {
		defer g.Caught("Health", nil)
		health(err)
	}
}

// guarded returns done, which may panic.
func (g *guard) guarded(done func(Answer)) func(Answer) {
	return func(a Answer) {
		defer g.Caught("done", nil)
		done(a)
	}
}

// share returns the share of a sender, as what can be the key of a map, or an
// error when it returns none.
func (g *guard) share(from Sender) (key any, err error) {
	err = g.ask("Sender.Share", func() error {
		if key = from.Share(); !equal(key, key) { // panics too, if it can't be compared
			panic("what it returned is not equal to itself")
		}
		return nil
	})
	return key, err
}

func equal(a, b any) bool { return a == b }

// read, write and diff are those of a kind.
func (g *guard) read(kind Reducer, data []byte) (s any, err error) {
	defer g.Caught("a kind's Unmarshal", &err)
	return kind.read(data)
}

func (g *guard) write(kind Reducer, s any) (data []byte, err error) {
	defer g.Caught("a kind's Marshal", &err)
	return kind.write(s)
}

func (g *guard) diff(kind Reducer, before, after any) (change []byte, err error) {
	defer g.Caught("a kind's Diff", &err)
	return kind.diff(before, after)
}

// newTopic returns nil or why a sender makes no topic.
func (g *guard) newTopic(from Sender) error {
	return g.ask("Sender.NewTopic", func() error {
		if !from.NewTopic() {
			return ErrNewTopic
		}
		return nil
	})
}

// takeLane returns nil or why a sender makes no lane.
func (g *guard) takeLane(from Sender) error {
	return g.ask("Sender.TakeLane", func() error {
		if !from.TakeLane() {
			return ErrNewLane
		}
		return nil
	})
}

// returnLane takes back a takeLane.
func (g *guard) returnLane(from Sender) {
	defer g.Caught("Sender.ReturnLane", nil)
	from.ReturnLane()
}

// oweLanes tells a sender by how much its lanes have grown.
func (g *guard) oweLanes(from Sender, n int) {
	defer g.Caught("Sender.OweLanes", nil)
	from.OweLanes(n)
}

// ask returns what a sender has answered. A panic is no answer: the op is not
// taken, and is sent again.
func (g *guard) ask(callback string, f func() error) error {
	var answer, fault error
	func() {
		defer g.Caught(callback, &fault)
		answer = f()
	}()
	if fault != nil {
		return fmt.Errorf("%w: %w", ErrOverloaded, fault)
	}
	return answer
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
	defer s.guard.Caught("Store.Commit", &err)
	return s.Store.Commit(ctx, steps...), nil
}

// Finish implements Store.
func (s guardedStore) Finish(ctx context.Context, marks ...Mark) (err error) {
	defer s.guard.Caught("Store.Finish", &err)
	return s.Store.Finish(ctx, marks...)
}
