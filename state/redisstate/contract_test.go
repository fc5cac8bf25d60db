package redisstate_test

import (
	"os"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lockstep/internal/testserver"
	"lockstep/state"
	"lockstep/state/redisstate"
	"lockstep/state/statetest"
)

// A bench is a server with all stores that a suite has opened there, of which
// it moves the clocks.
type bench struct {
	url  string
	opts redisstate.Options
	like redis.UniversalClient // nil: by the URL

	mu     sync.Mutex // guards the rest
	ahead  time.Duration
	stores []*redisstate.Store
}

func (b *bench) open(t testing.TB) state.Store {
	t.Helper()
	s := b.store(t)
	b.mu.Lock()
	defer b.mu.Unlock()
	s.Shift(b.ahead)
	b.stores = append(b.stores, s)
	return s
}

func (b *bench) store(t testing.TB) *redisstate.Store {
	t.Helper()
	if b.like == nil {
		return open(t, b.url, &b.opts)
	}
	s, err := redisstate.OpenLike(t.Context(), b.like, &b.opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func (b *bench) shift(_ testing.TB, _ state.Store, d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ahead += d
	for _, s := range b.stores {
		s.Shift(d)
	}
}

func (b *bench) options() *statetest.Options {
	another := func(t testing.TB, _ state.Store) state.Store { return b.open(t) }
	return &statetest.Options{Reopen: another, Second: another, Shift: b.shift}
}

func TestStoreKeepsTheContract(t *testing.T) {
	t.Parallel()
	server := testserver.Redis(t)
	b := &bench{url: server.URL, opts: redisstate.Options{Prefix: "test:"}}
	o := b.options()
	if !server.Lent() {
		o.Crash = func(testing.TB) { server.Kill(); server.Start() }
		o.Copy = func(t testing.TB, _ state.Store) func(testing.TB, state.Store) state.Store {
			copied := t.TempDir() + "/copy" // nobody writes, and what was acknowledged is on disk
			if err := os.CopyFS(copied, os.DirFS(server.Dir)); err != nil {
				t.Fatal(err)
			}
			return func(t testing.TB, s state.Store) state.Store {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				server.Kill()
				if err := os.RemoveAll(server.Dir); err != nil {
					t.Fatal(err)
				}
				if err := os.CopyFS(server.Dir, os.DirFS(copied)); err != nil {
					t.Fatal(err)
				}
				server.Start()
				return b.open(t)
			}
		}
	}
	statetest.Run(t, b.open, o)
}

// TestStoreKeepsTheContractOverTLS: with the certificate checked, and a user
// who needs a password.
func TestStoreKeepsTheContractOverTLS(t *testing.T) {
	t.Parallel()
	server := testserver.RedisTLS(t, testserver.NewAuthority(t))
	b := &bench{url: server.URL, opts: redisstate.Options{Prefix: "test:"}}
	statetest.Run(t, b.open, b.options())
}

func TestStoreKeepsTheContractInACluster(t *testing.T) {
	t.Parallel()
	b := &bench{url: "redis+cluster://" + startCluster(t)[0]}
	statetest.Run(t, b.open, b.options())
}

func BenchmarkStore(b *testing.B) {
	statetest.Benchmark(b, open(b, testserver.Redis(b, "--appendfsync", "no").URL, &redisstate.Options{Prefix: "bench:"}))
}

func BenchmarkShares(b *testing.B) {
	statetest.BenchmarkShares(b, open(b, testserver.Redis(b).URL, &redisstate.Options{Prefix: "bench:"}))
}

func BenchmarkList(b *testing.B) {
	statetest.BenchmarkList(b, open(b, testserver.Redis(b).URL, &redisstate.Options{Prefix: "bench:"}))
}
