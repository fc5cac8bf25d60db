package countertest

import (
	"context"
	"errors"

	"lockstep/counter"
)

// lifeCases say what survives, and how calls and stores end.
func lifeCases() []testCase {
	return []testCase{
		{name: "a call whose context has ended fails and applies nothing", run: cancelled},
		{name: "closing twice is harmless", run: closeTwice},
		{name: "what was applied survives a restart, and so does the memory of ops", run: reopened, lacks: lacksReopen},
	}
}

func cancelled(e *env) {
	before, _ := e.apply(increment(3))
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	op := increment(1)
	if _, _, err := e.store.Apply(ctx, e.name, op); !errors.Is(err, context.Canceled) {
		e.Fatalf("Apply with a cancelled context: got %v, want the context's error", err)
	}
	if _, err := e.store.Get(ctx, e.name); !errors.Is(err, context.Canceled) {
		e.Fatalf("Get with a cancelled context: got %v, want the context's error", err)
	}
	e.want(before, 3, 1)
	_, applied := e.apply(op)
	e.wantApplied(applied, true)
}

func closeTwice(e *env) {
	e.apply(increment(1))
	for i := range 2 {
		if err := e.store.Close(); err != nil {
			e.Errorf("Close number %d: %v", i+1, err)
		}
	}
}

func lacksReopen(o Options) string {
	if o.Reopen == nil {
		return "no Options.Reopen: this store forgets"
	}
	return ""
}

func reopened(e *env) {
	old := []counter.Op{increment(5), reset(), decrement(9)}
	before, _ := e.apply(old...)
	for range 2 {
		e.store = e.own(e.opts.Reopen(e, e.store))
		// A store that can't tell a restart from a restored copy begins a new
		// epoch each time; never an older one.
		after := e.get()
		e.want(after, -9, 3)
		if after.Epoch < before.Epoch {
			e.Fatalf("got epoch %d after a restart, before it was %d", after.Epoch, before.Epoch)
		}
		v, applied := e.apply(old...)
		e.wantApplied(applied, false, false, false)
		e.want(v, -9, 3)
		if got := e.getAt(e.store, freshName())[0]; got != (counter.Value{Epoch: after.Epoch}) {
			e.Fatalf("an unused counter has %+v after a restart, want epoch %d and nothing else", got, after.Epoch)
		}
		before = after
	}
	v, applied := e.apply(increment(10))
	e.wantApplied(applied, true)
	e.want(v, 1, 4)
}
