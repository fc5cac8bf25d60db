// Package countertest is the definition of a correct counter.Store as a test
// suite: each backend runs it against the real thing. It is not for
// applications.
package countertest

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/counter"
)

// patience is when a case fails. What is correct takes a fraction of it.
const patience = time.Minute

// Options of Run. Nil and zero leave cases out, which are skipped with the
// reason.
type Options struct {
	// Reopen closes s and opens a store on the same data, as after a restart.
	// Nil: the store forgets.
	Reopen func(t testing.TB, s counter.Store) counter.Store
	// Second opens another store on the data of s, as another replica has.
	// Nil: only one can be open.
	Second func(t testing.TB, s counter.Store) counter.Store
	// Crash kills the server of the store, as kill -9 does, and starts it
	// again. Nil: the store has no server, or it forgets.
	Crash func(t testing.TB)
	// Window says that open gives its stores this dedup window. It must
	// outlast the other cases, which rely on it: 2 s at least. 0: that ops
	// are forgotten is not tested.
	Window time.Duration
}

// A testCase is one sentence of the contract.
type testCase struct {
	name string
	run  func(e *env)
	// lacks says what of the options is missing for the case. Nil: nothing.
	lacks func(o Options) string
}

// Run runs the suite; open is called once for each case and Run closes what it
// returns. The data may be that of other cases and runs: each uses counters
// that nobody else does. Nil options are the zero Options.
func Run(t *testing.T, open func(t testing.TB) counter.Store, opts *Options) {
	var o Options
	if opts != nil {
		o = *opts
	}
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			if missing := c.missing(o); missing != "" {
				t.Skip(missing)
			}
			c.try(t, open, o)
		})
	}
}

// cases returns the whole suite.
func cases() []testCase {
	return slices.Concat(applyCases(), dedupCases(), concurrencyCases(), limitCases(), lifeCases(), crashCases())
}

func (c testCase) missing(o Options) string {
	if c.lacks == nil {
		return ""
	}
	return c.lacks(o)
}

// try runs the case with a store of its own.
func (c testCase) try(t testing.TB, open func(t testing.TB) counter.Store, o Options) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	e := &env{TB: t, ctx: ctx, opts: o, name: freshName()}
	defer e.close()
	e.store = e.own(open(t))
	c.run(e)
}

// env is what a case works with.
type env struct {
	testing.TB
	ctx    context.Context
	opts   Options
	name   string // of a counter that nobody else uses
	store  counter.Store
	stores []counter.Store // to be closed
}

// own closes s at the end of the case.
func (e *env) own(s counter.Store) counter.Store {
	e.stores = append(e.stores, s)
	return s
}

func (e *env) close() {
	for _, s := range slices.Backward(e.stores) {
		if err := s.Close(); err != nil {
			e.Errorf("Close: %v", err)
		}
	}
}

// apply applies ops to the case's counter.
func (e *env) apply(ops ...counter.Op) (counter.Value, []bool) {
	e.Helper()
	return e.applyAt(e.store, e.name, ops...)
}

// applyAt applies ops to any counter of any store.
func (e *env) applyAt(s counter.Store, name string, ops ...counter.Op) (counter.Value, []bool) {
	e.Helper()
	v, applied, err := s.Apply(e.ctx, name, ops...)
	if err != nil {
		e.Fatalf("Apply of %d ops: %v", len(ops), err)
	}
	if len(applied) != len(ops) {
		e.Fatalf("Apply of %d ops reported on %d", len(ops), len(applied))
	}
	return v, applied
}

// get returns the state of the case's counter.
func (e *env) get() counter.Value {
	e.Helper()
	return e.getAt(e.store, e.name)[0]
}

// getAt returns the states of counters of any store.
func (e *env) getAt(s counter.Store, names ...string) []counter.Value {
	e.Helper()
	values, err := s.Get(e.ctx, names...)
	if err != nil {
		e.Fatalf("Get of %d names: %v", len(names), err)
	}
	if len(values) != len(names) {
		e.Fatalf("Get of %d names returned %d values", len(names), len(values))
	}
	return values
}

// want compares a count and a version, and those that Get returns.
func (e *env) want(v counter.Value, n int64, version uint64) {
	e.Helper()
	if v.N != n || v.Version != version {
		e.Fatalf("got n %d, version %d, want %d, %d", v.N, v.Version, n, version)
	}
	if got := e.get(); got != v {
		e.Fatalf("Get returned %+v, Apply %+v", got, v)
	}
}

// wantApplied compares what Apply reported of each op.
func (e *env) wantApplied(got []bool, want ...bool) {
	e.Helper()
	if !slices.Equal(got, want) {
		e.Fatalf("applied: got %v, want %v", got, want)
	}
}

func freshName() string { return "t-" + strings.ToLower(rand.Text()) }

// newOp returns an op that nobody else has.
func newOp(k counter.Kind, delta int64) counter.Op {
	return counter.Op{ID: rand.Text(), Kind: k, Delta: delta}
}

func increment(delta int64) counter.Op { return newOp(counter.Increment, delta) }
func decrement(delta int64) counter.Op { return newOp(counter.Decrement, delta) }
func reset() counter.Op                { return newOp(counter.Reset, 0) }

// increments returns n ops that add 1.
func increments(n int) []counter.Op {
	ops := make([]counter.Op, n)
	for i := range ops {
		ops[i] = increment(0)
	}
	return ops
}
