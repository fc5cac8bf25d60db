// Package statetest is the definition of a correct state.Store as a test suite:
// each backend runs it against the real thing. It is not for applications.
package statetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"lockstep/state"
)

// patience is when a case fails. What is correct takes a fraction of it.
const patience = time.Minute

// Options of Run. Nil and zero leave cases out, which are skipped with the
// reason.
type Options struct {
	// Reopen closes s and opens a store on the same data, as after a restart.
	// Nil: the store forgets.
	Reopen func(t testing.TB, s state.Store) state.Store
	// Second opens another store on the data of s, as another replica has.
	// Nil: only one can be open.
	Second func(t testing.TB, s state.Store) state.Store
	// Crash kills the server of the store, as kill -9 does, and starts it
	// again. Nil: the store has no server, or it forgets.
	Crash func(t testing.TB)
	// Copy takes a copy of the data of s, as a backup does. What it returns can
	// be called several times: it closes the store that it is given, puts the
	// copy in the place of its data, and opens a store on it. Nil: that is
	// tested elsewhere, or the store forgets.
	Copy func(t testing.TB, s state.Store) (restore func(testing.TB, state.Store) state.Store)
	// Shift moves the clock by which s forgets lanes, for all stores that are
	// open on the same data, and those that Reopen, Second and restore open
	// later in the case. It is called between calls of the store only. Nil: that
	// lanes are forgotten is not tested.
	Shift func(t testing.TB, s state.Store, d time.Duration)
	// Lifetime and DoneLifetime are those of the stores that open returns.
	// Zero: the defaults of package state. The suite moves the clock and does not
	// wait, but a case must take much less time than DoneLifetime. Lifetime is a
	// hundred times DoneLifetime, or more.
	Lifetime, DoneLifetime time.Duration
}

// A testCase is one sentence of the contract.
type testCase struct {
	name string
	run  func(e *env)
	// lacks says what of the options is missing for the case. Nil: nothing.
	lacks func(o Options) string
}

// Run runs the suite; open is called once for each case and Run closes what it
// returns. The data may be that of other cases and runs: each uses topics that
// nobody else does. Nil options are the zero Options.
func Run(t *testing.T, open func(t testing.TB) state.Store, opts *Options) {
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
	return slices.Concat(
		commitCases(), moveCases(), stepsCases(), readCases(), logCases(), byteCases(), limitCases(),
		concurrencyCases(), raceCases(), lifeCases(), restoreCases(), crashCases(), forgetCases(), clockCases(), opsCases(), produceCases(), randomCases(),
	)
}

func (c testCase) missing(o Options) string {
	if c.lacks == nil {
		return ""
	}
	return c.lacks(o)
}

// try runs the case with a store of its own.
func (c testCase) try(t testing.TB, open func(t testing.TB) state.Store, o Options) {
	if o.Lifetime == 0 {
		o.Lifetime = state.Lifetime
	}
	if o.DoneLifetime == 0 {
		o.DoneLifetime = state.DoneLifetime
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	e := &env{TB: t, ctx: ctx, opts: o, topic: freshTopic()}
	defer e.close()
	e.store = e.own(open(t))
	c.run(e)
}

func lacksSecond(o Options) string {
	if o.Second == nil {
		return "no Options.Second: one process at a time can open this store"
	}
	return ""
}

func lacksReopen(o Options) string {
	if o.Reopen == nil {
		return "no Options.Reopen: this store forgets"
	}
	return ""
}

func lacksCrash(o Options) string {
	if o.Crash == nil {
		return "no Options.Crash: this store has no server, or forgets"
	}
	return ""
}

func lacksCopy(o Options) string {
	if o.Copy == nil {
		return "no Options.Copy: restored data are not tested here"
	}
	return ""
}

func lacksShift(o Options) string {
	if o.Shift == nil {
		return "no Options.Shift: lifetimes are too long to wait for"
	}
	return ""
}

func lacksShiftOrReopen(o Options) string {
	if missing := lacksShift(o); missing != "" {
		return missing
	}
	return lacksReopen(o)
}
