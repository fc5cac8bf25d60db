package countertest

import "time"

// dedupCases say that an op is applied once, however often it comes.
func dedupCases() []testCase {
	return []testCase{
		{name: "an op repeated in the same call is applied once", run: repeatedInCall},
		{name: "an op repeated in a later call is applied once and answered with the current state", run: repeatedLater},
		{name: "a call of old and new ops applies the new ones only", run: mixedCall},
		{name: "an op id belongs to one counter", run: idsPerCounter},
		{name: "an op repeated at another replica is applied once", run: repeatedElsewhere, lacks: lacksSecond},
		{name: "an op is forgotten after the window, and not before", run: forgotten, lacks: lacksWindow},
	}
}

func repeatedInCall(e *env) {
	op := increment(5)
	v, applied := e.apply(op, increment(1), op, op)
	e.wantApplied(applied, true, true, false, false)
	e.want(v, 6, 2)
}

func repeatedLater(e *env) {
	first, wipe := increment(5), reset()
	e.apply(first)
	e.apply(increment(1))
	v, applied := e.apply(first)
	e.wantApplied(applied, false)
	e.want(v, 6, 2)

	e.apply(wipe)
	e.apply(increment(1))
	v, applied = e.apply(wipe)
	e.wantApplied(applied, false)
	e.want(v, 1, 4)
}

func mixedCall(e *env) {
	old, gone := increment(1), reset()
	e.apply(old, gone)
	fresh := increment(10)
	v, applied := e.apply(gone, fresh, old, fresh, increment(100))
	e.wantApplied(applied, false, true, false, false, true)
	e.want(v, 110, 4)
}

func idsPerCounter(e *env) {
	op, other := increment(1), freshName()
	e.apply(op)
	v, applied := e.applyAt(e.store, other, op)
	e.wantApplied(applied, true)
	if v.N != 1 || v.Version != 1 {
		e.Fatalf("got %+v of the other counter, want 1 in version 1", v)
	}
}

func lacksSecond(o Options) string {
	if o.Second == nil {
		return "no Options.Second: one process at a time can open this store"
	}
	return ""
}

func repeatedElsewhere(e *env) {
	op := increment(2)
	want, _ := e.apply(op)
	second := e.own(e.opts.Second(e, e.store))
	got, applied := e.applyAt(second, e.name, op)
	e.wantApplied(applied, false)
	if got != want {
		e.Fatalf("the second handle returned %+v, want %+v", got, want)
	}
	v, applied := e.applyAt(second, e.name, increment(3))
	e.wantApplied(applied, true)
	e.want(v, 5, 2)
}

func lacksWindow(o Options) string {
	if o.Window == 0 {
		return "no Options.Window: the window is too long to wait for"
	}
	return ""
}

// forgotten repeats an op until it is applied again. A repeated op does not
// prolong the window, or this would not end.
func forgotten(e *env) {
	op := increment(1)
	start := time.Now()
	e.apply(op)
	again := time.NewTicker(e.opts.Window / 20)
	defer again.Stop()
	for {
		select {
		case <-again.C:
		case <-e.ctx.Done():
			e.Fatalf("an op is still remembered after %v, the window is %v", time.Since(start), e.opts.Window)
		}
		v, applied := e.apply(op, increment(0))
		if !applied[0] {
			continue
		}
		// Clocks of servers count in milliseconds.
		if age := time.Since(start); age < e.opts.Window-10*time.Millisecond {
			e.Fatalf("an op was forgotten after %v, the window is %v", age, e.opts.Window)
		}
		e.want(v, v.N, uint64(v.N)) // each op has added one to both
		return
	}
}
