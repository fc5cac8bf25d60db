package pgcounter_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lockstep/counter"
	"lockstep/counter/countertest"
	"lockstep/counter/pgcounter"
	"lockstep/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// window is long enough for every case that relies on it.
const window = 3 * time.Second

func open(t testing.TB, url string, opts *pgcounter.Options) counter.Store {
	t.Helper()
	s, err := pgcounter.Open(context.Background(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStoreKeepsTheContract(t *testing.T) {
	server := testserver.Postgres(t)
	url := server.URL
	opts := &pgcounter.Options{Prefix: "test:", Window: window}
	another := func(t testing.TB, _ counter.Store) counter.Store { return open(t, url, opts) }
	o := &countertest.Options{Reopen: another, Second: another, Window: window}
	if !server.Lent() {
		o.Crash = func(testing.TB) { server.Kill(); server.Start() }
	}
	countertest.Run(t, func(t testing.TB) counter.Store { return open(t, url, opts) }, o)
}

// TestStoreKeepsTheContractOverTLS: with the certificate checked, and a user
// who needs a password and may make tables, and no more.
func TestStoreKeepsTheContractOverTLS(t *testing.T) {
	server := testserver.PostgresTLS(t, testserver.NewAuthority(t))
	opts := &pgcounter.Options{Prefix: "test:"}
	another := func(t testing.TB, _ counter.Store) counter.Store { return open(t, server.URL, opts) }
	countertest.Run(t, func(t testing.TB) counter.Store { return open(t, server.URL, opts) },
		&countertest.Options{Reopen: another, Second: another})
}

func TestAURLThatIsWrongIsNotShown(t *testing.T) {
	ca := testserver.NewAuthority(t)
	server := testserver.PostgresTLS(t, ca)
	_, port, _ := strings.Cut(server.Addr, ":")
	for _, c := range []struct{ name, url, says string }{
		{"a bad escape", "postgres://u:hunter2%2@x/y", "not a valid PostgreSQL URL"},
		{"a password with a slash", "postgres://u:hunter2/z@x/y", "not a valid PostgreSQL URL"},
		{"an authority that is not there", "postgres://u:hunter2@x/y?sslmode=verify-full&sslrootcert=/nowhere", "open /nowhere"},
		{"an authority that is not known", strings.Replace(server.URL, ca.File, testserver.NewAuthority(t).File, 1), "unknown authority"},
		{"another host", strings.Replace(server.URL, server.Addr, "localhost:"+port, 1), "localhost"},
		{"another password", strings.Replace(server.URL, "hunter2", "hunter3", 1), "authentication failed"},
		{"no TLS", strings.Replace(server.URL, "verify-full", "disable", 1), "pg_hba.conf"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := pgcounter.Open(t.Context(), c.url, nil)
			switch {
			case err == nil:
				t.Error("it was accepted", s.Close())
			case !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter"):
				t.Errorf("got %v, want an error with %q and no password", err, c.says)
			}
		})
	}
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

// TestReplicasThatStartTogether make the tables at once.
func TestReplicasThatStartTogether(t *testing.T) {
	url := testserver.Postgres(t).URL
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := pgcounter.Open(context.Background(), url, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if _, err := s.Get(context.Background(), "x"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestARoleThatMayOnlyUseTheTables opens a store that another has made.
func TestARoleThatMayOnlyUseTheTables(t *testing.T) {
	server := testserver.Postgres(t)
	apply(t, open(t, server.URL, nil), "x", 2)
	server.Own()
	execute(t, server.URL, "CREATE ROLE modest LOGIN", "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
		"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO modest")
	modest := open(t, strings.Replace(server.URL, "postgres@", "modest@", 1), nil)
	if v := apply(t, modest, "y", 3); v.N != 3 {
		t.Errorf("got %+v, want 3", v)
	}
	if v := get(t, modest, "x"); v.N != 2 {
		t.Errorf("got %+v, want 2", v)
	}
}

func TestApplicationsAreApart(t *testing.T) {
	url := testserver.Postgres(t).URL
	one, other := open(t, url, &pgcounter.Options{Prefix: "one:"}), open(t, url, &pgcounter.Options{Prefix: "other:"})
	apply(t, one, "x", 3)
	if v := get(t, other, "x"); v.N != 0 {
		t.Errorf("another application sees %+v", v)
	}
}

func TestErrorsContainNoPassword(t *testing.T) {
	for _, url := range []string{"postgres://u:hunter2@127.0.0.1:1", "postgres://u:hunter2@[::1"} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := pgcounter.Open(ctx, url, nil)
		cancel()
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	s := open(b, testserver.Postgres(b).URL, nil)
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
	countertest.Benchmark(b, open(b, testserver.Postgres(b).URL, &pgcounter.Options{Prefix: "bench:"}))
}
