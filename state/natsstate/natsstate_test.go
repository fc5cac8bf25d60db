package natsstate_test

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lockstep/internal/testserver"
	"lockstep/state"
	"lockstep/state/natsstate"
	"lockstep/state/statetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, url string, opts *natsstate.Options) *natsstate.Store {
	t.Helper()
	s, err := natsstate.Open(context.Background(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// client returns a client that nobody knows.
func client() (c state.Client) {
	_, _ = rand.Read(c[:]) // it does not fail
	return c
}

// first is the first move of a client.
func first(c state.Client) state.Move {
	return state.Move{Client: c, To: state.Lane{Last: 1, From: 1}}
}

// step makes the data of a topic a number, by a client of its own.
func step(topic string, base state.Record, n int) state.Step {
	return state.Step{Topic: topic, Base: base, Data: []byte(strconv.Itoa(n)), Moves: []state.Move{first(client())}}
}

// click adds n to the number that a topic is, in as many commits.
func click(t testing.TB, s state.Store, topic string, n int) state.Record {
	t.Helper()
	r := get(t, s, topic)
	for range n {
		before, _ := strconv.Atoi(string(r.Data))
		change := step(topic, r, before+1)
		o := s.Commit(t.Context(), change)[0]
		if o.Err != nil {
			t.Error(o.Err)
			return r
		}
		r = o.Record
		r.Data = change.Data
	}
	return r
}

// get reads a topic. A store does not retry, and has a connection that a restart of
// the server has cut: some calls may fail.
func get(t testing.TB, s state.Store, topic string) state.Record {
	t.Helper()
	var err error
	for range 20 {
		var r []state.Record
		if r, err = s.Read(t.Context(), topic); err == nil {
			return r[0]
		}
	}
	t.Error(err)
	return state.Record{}
}

// A bench is a server with all stores that a suite has opened there, of which it
// moves the clocks.
type bench struct {
	url  string
	opts natsstate.Options

	mu     sync.Mutex // guards the rest
	ahead  time.Duration
	stores []*natsstate.Store
}

func (b *bench) open(t testing.TB) state.Store {
	t.Helper()
	s := open(t, b.url, &b.opts)
	b.mu.Lock()
	defer b.mu.Unlock()
	s.Shift(b.ahead)
	b.stores = append(b.stores, s)
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
	server := testserver.JetStream(t, "")
	b := &bench{url: server.URL, opts: natsstate.Options{Prefix: "test:"}}
	o := b.options()
	if !server.Lent() {
		o.Crash = func(testing.TB) { server.Kill(); server.Start() }
		o.Copy = func(t testing.TB, _ state.Store) func(testing.TB, state.Store) state.Store {
			data, copied := filepath.Join(server.Dir, "jetstream"), filepath.Join(t.TempDir(), "copy")
			if err := os.CopyFS(copied, os.DirFS(data)); err != nil { // nobody writes
				t.Fatal(err)
			}
			return func(t testing.TB, s state.Store) state.Store {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				server.Kill()
				if err := os.RemoveAll(data); err != nil {
					t.Fatal(err)
				}
				if err := os.CopyFS(data, os.DirFS(copied)); err != nil {
					t.Fatal(err)
				}
				server.Start()
				return b.open(t)
			}
		}
	}
	statetest.Run(t, b.open, o)
}
