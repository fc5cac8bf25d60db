package counter

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"lockstep/internal/repeats"
)

// A guard keeps panics of the application's callbacks, and of a store, from the
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
	fault := fmt.Errorf("counter: panic in %s: %v", callback, p)
	if err != nil {
		*err = fault
	}
	if g.panics.Add(time.Now()) > 0 {
		g.log.Error("callback failed", "callback", callback, "err", fault, "stack", string(debug.Stack()))
	}
}

// guardCallbacks wraps what a batcher calls. An op whose store call has panicked
// is unknown, as after any other error: it is sent again.
func (b *Batcher) guardCallbacks() {
	g := &guard{log: b.opts.Logger}
	b.guard, b.store = g, guardedStore{b.store, g}
	applied, health := b.opts.Applied, b.opts.Health
	b.opts.Applied = func(name string, v Value, from []any) {
		defer g.caught("Applied", nil)
		applied(name, v, from)
	}
	b.opts.Health = func(err error) {
		defer g.caught("Health", nil)
		health(err)
	}
}

// guarded returns done, which may panic.
func (g *guard) guarded(done func(Value, error)) func(Value, error) {
	return func(v Value, err error) {
		defer g.caught("done", nil)
		done(v, err)
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

// takeOp returns nil or why the op of a sender is not taken.
func (g *guard) takeOp(from Sender) error {
	return g.ask("Sender.TakeOp", func() error {
		if !from.TakeOp() {
			return ErrSpent
		}
		return nil
	})
}

// newName returns nil or why a sender makes no counter.
func (g *guard) newName(from Sender) error {
	return g.ask("Sender.NewName", func() error {
		if !from.NewName() {
			return ErrNewName
		}
		return nil
	})
}

// returnOp takes back a takeOp. A nil sender has nothing to take back.
func (g *guard) returnOp(from Sender) {
	if from == nil {
		return
	}
	defer g.caught("Sender.ReturnOp", nil)
	from.ReturnOp()
}

// ask returns what a sender has answered. A panic is no answer: the op is not
// taken, and is sent again.
func (g *guard) ask(callback string, f func() error) error {
	var answer, fault error
	func() {
		defer g.caught(callback, &fault)
		answer = f()
	}()
	if fault != nil {
		return fmt.Errorf("%w: %w", ErrOverloaded, fault)
	}
	return answer
}

// A guardedStore is a store whose panics are errors.
type guardedStore struct {
	Store
	guard *guard
}

// Apply implements Store. An answer that does not say which ops were applied is
// an error too.
func (s guardedStore) Apply(ctx context.Context, name string, ops ...Op) (v Value, applied []bool, err error) {
	defer s.guard.caught("Store.Apply", &err)
	v, applied, err = s.Store.Apply(ctx, name, ops...)
	if err == nil && len(applied) != len(ops) {
		err = fmt.Errorf("counter: the store says of %d ops whether it has applied them, and was given %d", len(applied), len(ops))
	}
	return v, applied, err
}

// Get implements Store. An answer for fewer names, or for more, is an error too.
func (s guardedStore) Get(ctx context.Context, names ...string) (values []Value, err error) {
	defer s.guard.caught("Store.Get", &err)
	values, err = s.Store.Get(ctx, names...)
	if err == nil && len(values) != len(names) {
		err = fmt.Errorf("counter: the store was asked for %d counters and answered for %d", len(names), len(values))
	}
	return values, err
}
