package boltstate_test

import (
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"lockstep/state"
	"lockstep/state/boltstate"
	"lockstep/state/statetest"
)

// files are the stores that the suite has opened.
type files struct {
	mu    sync.Mutex
	paths map[state.Store]string
	ahead map[string]time.Duration // the clock of the stores on a file
}

func (f *files) open(t testing.TB, path string) state.Store {
	t.Helper()
	s, err := boltstate.Open(path, nil)
	must(t, err)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.paths[s] = path
	s.Shift(f.ahead[path])
	return s
}

func (f *files) shift(_ testing.TB, s state.Store, d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.(*boltstate.Store).Shift(d)
	f.ahead[f.paths[s]] += d
}

// closed closes a store and returns the path of its file.
func (f *files) closed(t testing.TB, s state.Store) string {
	t.Helper()
	must(t, s.Close())
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.paths[s]
}

func (f *files) reopen(t testing.TB, s state.Store) state.Store {
	t.Helper()
	return f.open(t, f.closed(t, s))
}

// copyOf is a backup as an operator makes it, but for that the program runs: the
// suite does nothing meanwhile.
func (f *files) copyOf(t testing.TB, s state.Store) func(testing.TB, state.Store) state.Store {
	t.Helper()
	f.mu.Lock()
	path := f.paths[s]
	f.mu.Unlock()
	backup := filepath.Join(t.TempDir(), "backup")
	copyFile(t, path, backup)
	return func(t testing.TB, s state.Store) state.Store {
		t.Helper()
		path := f.closed(t, s)
		copyFile(t, backup, path)
		return f.open(t, path)
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	r, err := os.Open(from)
	must(t, err)
	defer r.Close()
	w, err := os.Create(to)
	must(t, err)
	_, err = io.Copy(w, r)
	must(t, err)
	must(t, w.Close())
}

func TestStoreKeepsTheContract(t *testing.T) {
	f := files{paths: make(map[state.Store]string), ahead: make(map[string]time.Duration)}
	statetest.Run(t, func(t testing.TB) state.Store {
		return f.open(t, filepath.Join(t.TempDir(), "states.db"))
	}, &statetest.Options{
		Reopen: f.reopen,
		Copy:   f.copyOf,
		Shift:  f.shift,
		// Replicas of one process share the store itself.
		Second: func(_ testing.TB, s state.Store) state.Store { return s },
	})
}

func BenchmarkStore(b *testing.B) {
	statetest.Benchmark(b, open(b, filepath.Join(b.TempDir(), "states.db")))
}

func BenchmarkShares(b *testing.B) {
	statetest.BenchmarkShares(b, open(b, filepath.Join(b.TempDir(), "states.db")))
}

func BenchmarkList(b *testing.B) {
	statetest.BenchmarkList(b, open(b, filepath.Join(b.TempDir(), "states.db")))
}
