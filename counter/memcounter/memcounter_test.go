package memcounter_test

import (
	"testing"
	"time"

	"lockstep/counter"
	"lockstep/counter/countertest"
	"lockstep/counter/memcounter"
)

func TestStoreKeepsTheContract(t *testing.T) {
	const window = 2 * time.Second
	countertest.Run(t, func(testing.TB) counter.Store {
		return memcounter.New(&memcounter.Options{Window: window})
	}, &countertest.Options{
		Window: window,
		// Replicas of one process share the store itself.
		Second: func(_ testing.TB, s counter.Store) counter.Store { return s },
	})
}
