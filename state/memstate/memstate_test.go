package memstate_test

import (
	"sync/atomic"
	"testing"
	"time"

	"lockstep/state"
	"lockstep/state/memstate"
	"lockstep/state/statetest"
)

func TestStoreKeepsTheContract(t *testing.T) {
	var ahead atomic.Int64
	opts := &memstate.Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }}
	statetest.Run(t, func(testing.TB) state.Store { return memstate.New(opts) }, &statetest.Options{
		// Replicas of one process share the store itself.
		Second: func(_ testing.TB, s state.Store) state.Store { return s },
		Shift:  func(_ testing.TB, _ state.Store, d time.Duration) { ahead.Add(int64(d)) },
	})
}

func BenchmarkStore(b *testing.B) { statetest.Benchmark(b, memstate.New(nil)) }
