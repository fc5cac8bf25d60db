package countertest

import (
	"errors"
	"math"
	"strings"

	"lockstep/counter"
)

// limitCases say what is refused, and that it leaves no trace.
func limitCases() []testCase {
	return []testCase{
		{name: "an op that would pass the upper end is refused and can be applied later", run: upperEnd},
		{name: "an op that would pass the lower end is refused and can be applied later", run: lowerEnd},
		{name: "one overflow in the middle of a call undoes and forgets all of it", run: overflowInCall},
		{name: "a repeated op can't overflow", run: repeatedAtTheEnd},
		{name: "an op that is not valid is refused with its whole call", run: badOps},
		{name: "no ops and too many ops are refused", run: badLengths},
		{name: "a name that is not valid is refused", run: badNames},
	}
}

func upperEnd(e *env) {
	v, _ := e.apply(increment(math.MaxInt64 - 2))
	e.want(v, math.MaxInt64-2, 1)
	v, _ = e.apply(increment(2))
	e.want(v, math.MaxInt64, 2)
	for _, over := range []counter.Op{increment(1), increment(math.MaxInt64)} {
		e.wantRefused(v, counter.ErrOverflow, over)
	}
	over := increment(1)
	e.wantRefused(v, counter.ErrOverflow, over)
	e.apply(decrement(5))
	v, applied := e.apply(over)
	e.wantApplied(applied, true)
	e.want(v, math.MaxInt64-4, 4)
}

func lowerEnd(e *env) {
	e.apply(decrement(math.MaxInt64))
	v, _ := e.apply(decrement(1))
	e.want(v, math.MinInt64, 2)
	over := decrement(1)
	e.wantRefused(v, counter.ErrOverflow, over)
	e.wantRefused(v, counter.ErrOverflow, decrement(math.MaxInt64))
	e.apply(increment(1))
	v, applied := e.apply(over)
	e.wantApplied(applied, true)
	e.want(v, math.MinInt64, 4)
}

func overflowInCall(e *env) {
	before, _ := e.apply(increment(math.MaxInt64 - 1))
	first, last := increment(1), reset()
	e.wantRefused(before, counter.ErrOverflow, first, increment(1), last)
	v, applied := e.apply(first, last)
	e.wantApplied(applied, true, true)
	e.want(v, 0, 3)
}

func repeatedAtTheEnd(e *env) {
	op := increment(math.MaxInt64)
	e.apply(op)
	v, applied := e.apply(op, op)
	e.wantApplied(applied, false, false)
	e.want(v, math.MaxInt64, 1)
}

func badOps(e *env) {
	before, _ := e.apply(increment(3))
	for _, bad := range []counter.Op{
		{}, {ID: "fifteen-is-short", Kind: 0}, increment(-1), decrement(math.MinInt64), newOp(counter.Reset, -1), newOp(4, 1),
		{ID: strings.Repeat("x", 15), Kind: counter.Increment}, {ID: strings.Repeat("x", 65), Kind: counter.Increment},
		{ID: "sixteen and blank", Kind: counter.Increment}, {ID: "sixteen.and.dots", Kind: counter.Increment},
		{ID: "sixteen-and-nul-\x00", Kind: counter.Increment}, {ID: "sixteen-ünd-utf-8", Kind: counter.Increment},
	} {
		first := increment(1)
		e.wantRefused(before, counter.ErrBadOp, first, bad)
	}
}

func badLengths(e *env) {
	before, _ := e.apply(increment(3))
	e.wantRefused(before, counter.ErrBadOp)
	e.wantRefused(before, counter.ErrBadOp, increments(counter.MaxOps+1)...)
}

func badNames(e *env) {
	for _, name := range []string{"", strings.Repeat("x", 65), "Upper", "a b", "a_b", "a:b", "a/b", "ä", "a\x00", "a\n", "{a}", "a'"} {
		if _, _, err := e.store.Apply(e.ctx, name, increment(1)); !errors.Is(err, counter.ErrBadName) {
			e.Errorf("Apply to %q: got %v, want ErrBadName", name, err)
		}
		if _, err := e.store.Get(e.ctx, e.name, name); !errors.Is(err, counter.ErrBadName) {
			e.Errorf("Get of %q: got %v, want ErrBadName", name, err)
		}
	}
}

// wantRefused applies ops that have to be refused with target, and leave the
// state as it was.
func (e *env) wantRefused(before counter.Value, target error, ops ...counter.Op) {
	e.Helper()
	if _, _, err := e.store.Apply(e.ctx, e.name, ops...); !errors.Is(err, target) {
		e.Fatalf("got error %v, want %v", err, target)
	}
	if got := e.get(); got != before {
		e.Fatalf("a refused call left %+v, want %+v", got, before)
	}
}
