package boltcounter_test

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"lockstep/counter"
	"lockstep/counter/boltcounter"
	"lockstep/counter/countertest"
)

func TestStoreKeepsTheContract(t *testing.T) {
	const window = 2 * time.Second
	var paths sync.Map // of the file of each store
	open := func(t testing.TB, path string) counter.Store {
		s, err := boltcounter.Open(path, &boltcounter.Options{Window: window})
		if err != nil {
			t.Fatal(err)
		}
		paths.Store(s, path)
		return s
	}
	countertest.Run(t, func(t testing.TB) counter.Store {
		return open(t, filepath.Join(t.TempDir(), "counters.db"))
	}, &countertest.Options{
		Window: window,
		Reopen: func(t testing.TB, s counter.Store) counter.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			path, _ := paths.Load(s)
			return open(t, path.(string))
		},
	})
}

func BenchmarkGet(b *testing.B) {
	countertest.Benchmark(b, open(b, filepath.Join(b.TempDir(), "counters.db")))
}
