package rediscounter_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lockstep/counter"
	"lockstep/counter/countertest"
	"lockstep/counter/rediscounter"
	"lockstep/internal/redisclient"
	"lockstep/internal/testserver"
)

func TestMain(m *testing.M) {
	redisclient.Silence()
	goleak.VerifyTestMain(m)
}

// window is long enough for every case that relies on it.
const window = 3 * time.Second

func open(t testing.TB, url string, opts *rediscounter.Options) counter.Store {
	t.Helper()
	s, err := rediscounter.Open(context.Background(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStoreKeepsTheContract(t *testing.T) {
	server := testserver.Redis(t)
	url := server.URL
	opts := &rediscounter.Options{Prefix: "test:", Window: window}
	another := func(t testing.TB, _ counter.Store) counter.Store { return open(t, url, opts) }
	o := &countertest.Options{Reopen: another, Second: another, Window: window}
	if !server.Lent() {
		o.Crash = func(testing.TB) { server.Kill(); server.Start() }
	}
	countertest.Run(t, func(t testing.TB) counter.Store { return open(t, url, opts) }, o)
}

// TestStoreKeepsTheContractOverTLS: with the certificate checked, and a user
// who needs a password.
func TestStoreKeepsTheContractOverTLS(t *testing.T) {
	server := testserver.RedisTLS(t, testserver.NewAuthority(t))
	opts := &rediscounter.Options{Prefix: "test:"}
	another := func(t testing.TB, _ counter.Store) counter.Store { return open(t, server.URL, opts) }
	countertest.Run(t, func(t testing.TB) counter.Store { return open(t, server.URL, opts) },
		&countertest.Options{Reopen: another, Second: another})
}

func apply(t *testing.T, s counter.Store, name string, n int) counter.Value {
	t.Helper()
	var v counter.Value
	for i := range n {
		var err error
		v, _, err = s.Apply(t.Context(), name, counter.Op{ID: fmt.Sprintf("op-%s-%012d", name, i), Kind: counter.Increment})
		if err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// get reads a counter. A store does not retry, and has connections that a
// restart of the server has cut: some calls may fail.
func get(t *testing.T, s counter.Store, name string) counter.Value {
	t.Helper()
	var err error
	for range 20 {
		var v []counter.Value
		if v, err = s.Get(t.Context(), name); err == nil {
			return v[0]
		}
	}
	t.Fatal(err)
	return counter.Value{}
}

// TestAFlushedRedisBeginsANewEpoch: a smaller version must not look older.
func TestAFlushedRedisBeginsANewEpoch(t *testing.T) {
	server := testserver.Redis(t)
	server.Own()
	s := open(t, server.URL, nil)
	before := apply(t, s, "x", 5)
	c, err := redisclient.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if after := get(t, s, "x"); after.N != 0 || !after.Newer(before) {
		t.Errorf("got %+v after %+v, want 0 in a newer epoch", after, before)
	}
	if v := apply(t, s, "x", 1); v.N != 1 || !v.Newer(before) {
		t.Errorf("got %+v after %+v", v, before)
	}
}

func TestARedisThatForgetsBeginsANewEpoch(t *testing.T) {
	server := testserver.Redis(t, "--appendonly", "no")
	s := open(t, server.URL, nil)
	before := apply(t, s, "x", 5)
	server.Kill()
	server.Start()
	if after := get(t, s, "x"); after.N != 0 || !after.Newer(before) {
		t.Errorf("got %+v after %+v, want 0 in a newer epoch", after, before)
	}
}

func TestAPrefixWithBracesIsRefused(t *testing.T) {
	if _, err := rediscounter.Open(t.Context(), "redis://127.0.0.1:1", &rediscounter.Options{Prefix: "}x{"}); err == nil || !strings.Contains(err.Error(), "braces") {
		t.Errorf("got %v, want an error about the braces", err)
	}
}

func TestApplicationsAreApart(t *testing.T) {
	url := testserver.Redis(t).URL
	one, other := open(t, url, &rediscounter.Options{Prefix: "one:"}), open(t, url, &rediscounter.Options{Prefix: "other:"})
	apply(t, one, "x", 3)
	if v := get(t, other, "x"); v.N != 0 {
		t.Errorf("another application sees %+v", v)
	}
}

func TestErrorsContainNoPassword(t *testing.T) {
	for _, url := range []string{"redis://u:hunter2@127.0.0.1:1", "redis://u:hunter2@[::1"} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := rediscounter.Open(ctx, url, nil)
		cancel()
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	s := open(b, testserver.Redis(b, "--appendfsync", "no").URL, nil)
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("%d ops", n), func(b *testing.B) {
			ops := make([]counter.Op, n)
			i := 0
			for b.Loop() {
				for k := range ops {
					i++
					ops[k] = counter.Op{ID: fmt.Sprintf("bench-%d-%016d", n, i), Kind: counter.Increment}
				}
				if _, _, err := s.Apply(b.Context(), "bench", ops...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	countertest.Benchmark(b, open(b, testserver.Redis(b).URL, &rediscounter.Options{Prefix: "bench:"}))
}
