package countertest

import (
	"strings"

	"lockstep/counter"
)

// applyCases say what ops do, and what Get returns.
func applyCases() []testCase {
	return []testCase{
		{name: "a counter that nobody has touched is zero, with the epoch of the store", run: unknownIsZero},
		{name: "increment, decrement and reset do what they say, and each adds one to the version", run: kinds},
		{name: "ops of one call are applied in their order", run: orderInCall},
		{name: "the most ops of a call are applied at once", run: mostOps},
		{name: "counters do not touch each other", run: independent},
		{name: "the epoch is not zero and does not change", run: stableEpoch},
		{name: "Get answers in the order of the names, repeated and unknown ones too", run: getMany},
		{name: "the longest names and ids, and every character of them, are told apart", run: extremeNames},
	}
}

func unknownIsZero(e *env) {
	v := e.get()
	if v.N != 0 || v.Version != 0 || v.Epoch == 0 {
		e.Fatalf("got %+v, want zero but for the epoch", v)
	}
	if got, _ := e.apply(increment(0)); got.Epoch != v.Epoch {
		e.Fatalf("got epoch %d after the first op, want %d", got.Epoch, v.Epoch)
	}
	if got := e.getAt(e.store); len(got) != 0 {
		e.Fatalf("got %v for no names", got)
	}
}

func kinds(e *env) {
	for i, step := range []struct {
		op   counter.Op
		want int64
	}{
		{increment(0), 1}, {increment(1), 2}, {increment(40), 42}, {decrement(0), 41}, {decrement(50), -9},
		{increment(1 << 60), 1<<60 - 9}, {reset(), 0}, {reset(), 0}, {decrement(3), -3}, {newOp(counter.Reset, 7), 0},
	} {
		v, applied := e.apply(step.op)
		e.wantApplied(applied, true)
		e.want(v, step.want, uint64(i+1))
	}
}

func orderInCall(e *env) {
	v, applied := e.apply(increment(5), reset(), increment(0))
	e.wantApplied(applied, true, true, true)
	e.want(v, 1, 3)
	v, _ = e.apply(decrement(7), reset())
	e.want(v, 0, 5)
}

func mostOps(e *env) {
	v, applied := e.apply(increments(counter.MaxOps)...)
	for i, ok := range applied {
		if !ok {
			e.Fatalf("op %d of %d was not applied", i, counter.MaxOps)
		}
	}
	e.want(v, counter.MaxOps, counter.MaxOps)
}

func independent(e *env) {
	other := freshName()
	e.apply(increment(3))
	e.applyAt(e.store, other, decrement(4), decrement(4))
	values := e.getAt(e.store, e.name, other)
	if values[0].N != 3 || values[0].Version != 1 || values[1].N != -8 || values[1].Version != 2 {
		e.Fatalf("got %+v, want 3 in version 1 and -8 in version 2", values)
	}
}

func stableEpoch(e *env) {
	before := e.get().Epoch
	if before == 0 {
		e.Fatal("the epoch is zero")
	}
	for range 3 {
		v, _ := e.apply(increment(0), reset())
		if other, _ := e.applyAt(e.store, freshName(), increment(0)); v.Epoch != before || other.Epoch != before {
			e.Fatalf("got epochs %d and %d, want %d", v.Epoch, other.Epoch, before)
		}
	}
}

func getMany(e *env) {
	names := []string{freshName(), freshName(), freshName()}
	for i, name := range names[:2] {
		e.applyAt(e.store, name, increment(int64(i+1)))
	}
	unknown := names[2]
	values := e.getAt(e.store, names[1], unknown, names[0], names[1], unknown)
	for i, want := range []int64{2, 0, 1, 2, 0} {
		if values[i].N != want || values[i].Epoch != values[0].Epoch {
			e.Errorf("name %d: got %+v, want %d", i, values[i], want)
		}
	}
}

func extremeNames(e *env) {
	long := (e.name + strings.Repeat("-9az", 16))[:64]
	for _, name := range []string{long, long[:63], long[:62] + "-"} {
		for i, id := range []string{
			"AZaz09_-AZaz09_-", "azaz09_-AZaz09_-", "AZaz09_--Zaz09_-", strings.Repeat("x", 64), strings.Repeat("x", 63),
		} {
			v, applied := e.applyAt(e.store, name, counter.Op{ID: id, Kind: counter.Increment})
			e.wantApplied(applied, true)
			if v.N != int64(i+1) {
				e.Fatalf("got %d after op %q, want %d", v.N, id, i+1)
			}
		}
	}
}
