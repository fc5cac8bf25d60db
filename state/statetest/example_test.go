package statetest_test

import (
	"testing"

	"lockstep/state"
	"lockstep/state/memstate"
	"lockstep/state/statetest"
)

// The test of a store, which forgets when it is closed.
func ExampleRun() {
	var t *testing.T // of TestStore
	testStore := func() {
		statetest.Run(t, func(testing.TB) state.Store { return memstate.New(nil) }, nil)
	}
	_ = testStore // go test runs it
}
