package pgstate_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"lockstep/internal/testserver"
	"lockstep/state"
	"lockstep/state/pgstate"
	"lockstep/state/statetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, url string, opts *pgstate.Options) *pgstate.Store {
	t.Helper()
	s, err := pgstate.Open(context.Background(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// A suite opens stores whose clocks are moved together.
type suite struct {
	server *testserver.Server
	opts   *pgstate.Options
	like   *pgxpool.Pool // nil: by the server's URL
	shift  time.Duration
	stores []*pgstate.Store
}

func (u *suite) open(t testing.TB) state.Store {
	s := u.store(t)
	s.Shift(u.shift)
	u.stores = append(u.stores, s)
	return s
}

func (u *suite) store(t testing.TB) *pgstate.Store {
	t.Helper()
	if u.like == nil {
		return open(t, u.server.URL, u.opts)
	}
	s, err := pgstate.OpenLike(t.Context(), u.like, u.opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func (u *suite) reopen(t testing.TB, s state.Store) state.Store {
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return u.open(t)
}

func (u *suite) another(t testing.TB, _ state.Store) state.Store { return u.open(t) }

func (u *suite) move(_ testing.TB, _ state.Store, d time.Duration) {
	u.shift += d
	for _, s := range u.stores {
		s.Shift(d)
	}
}

func (u *suite) run(t *testing.T, o *statetest.Options) {
	o.Reopen, o.Second, o.Shift = u.reopen, u.another, u.move
	statetest.Run(t, func(t testing.TB) state.Store {
		u.shift, u.stores = 0, nil
		return u.open(t)
	}, o)
}

func TestStoreKeepsTheContract(t *testing.T) {
	t.Parallel()
	u := &suite{server: testserver.Postgres(t), opts: &pgstate.Options{Prefix: "test:"}}
	o := &statetest.Options{}
	if !u.server.Lent() {
		o.Crash = func(testing.TB) { u.server.Kill(); u.server.Start() }
		o.Copy = u.copy
	}
	u.run(t, o)
}

// copy takes a backup as an administrator does. Where the server's data are,
// its user may write.
func (u *suite) copy(t testing.TB, _ state.Store) func(testing.TB, state.Store) state.Store {
	t.Helper()
	dir := u.server.Dir + rand.Text()
	program := fmt.Sprintf("%s/pg_basebackup --pgdata %s --dbname %s --checkpoint fast --no-sync",
		query[string](t, u.server.URL, "SELECT setting FROM pg_config WHERE name = 'BINDIR'"), dir, strings.Replace(u.server.URL, "?", "\\?", 1))
	execute(t, u.server.URL, "COPY (SELECT 1) TO PROGRAM '"+program+"'")
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return func(t testing.TB, s state.Store) state.Store {
		t.Helper()
		_ = s.Close()
		u.server.Stop()
		if err := os.RemoveAll(u.server.Dir); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("cp", "-a", dir, filepath.Clean(u.server.Dir)).CombinedOutput(); err != nil {
			t.Fatalf("cp: %v: %s", err, out)
		}
		u.server.Start()
		return u.open(t)
	}
}

// TestStoreKeepsTheContractOverTLS: with the certificate checked, and a user
// who needs a password and may make tables, and no more.
func TestStoreKeepsTheContractOverTLS(t *testing.T) {
	t.Parallel()
	u := &suite{server: testserver.PostgresTLS(t, testserver.NewAuthority(t)), opts: &pgstate.Options{Prefix: "test:"}}
	u.run(t, &statetest.Options{})
}

// TestStoreKeepsTheContractThroughAPooler that gives each transaction another
// session.
func TestStoreKeepsTheContractThroughAPooler(t *testing.T) {
	t.Parallel()
	server := testserver.Postgres(t)
	server.Own()
	u := &suite{server: testserver.PgBouncer(t, server, "transaction"), opts: &pgstate.Options{Prefix: "test:"}}
	u.run(t, &statetest.Options{})
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
			s, err := pgstate.Open(t.Context(), c.url, nil)
			switch {
			case err == nil:
				t.Error("it was accepted", s.Close())
			case !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter"):
				t.Errorf("got %v, want an error with %q and no password", err, c.says)
			}
		})
	}
}

// clientOf returns a client of its own for each number.
func clientOf(n int) (c state.Client) {
	binary.BigEndian.PutUint64(c[:], uint64(n)*0x9e3779b97f4a7c15) // as if it were random
	binary.BigEndian.PutUint64(c[8:], uint64(n))
	return c
}

// clicks are the moves of n clients, from number first on, that make their first
// to seq-th op.
func clicks(first, n int, seq uint64) []state.Move {
	moves := make([]state.Move, n)
	for i := range moves {
		moves[i] = state.Move{Client: clientOf(first + i), Min: seq - 1, Max: seq - 1, To: state.Lane{Last: seq, From: seq}}
	}
	return moves
}

// commit does a step, on the newest record. A store does not retry, and has
// connections that a restart of the server has cut: some calls may fail.
func commit(t testing.TB, s state.Store, topic, data string, moves ...state.Move) state.Record {
	t.Helper()
	step := state.Step{Topic: topic, Data: []byte(data), Moves: moves}
	var o state.Outcome
	for range 20 {
		if o = s.Commit(context.Background(), step)[0]; o.Err == nil {
			o.Record.Data = step.Data
			return o.Record
		}
		step.Base = o.Record
	}
	t.Fatal(o.Err)
	return state.Record{}
}

// get reads a record, as commit does.
func get(t testing.TB, s state.Store, topic string) state.Record {
	t.Helper()
	var err error
	for range 20 {
		var r []state.Record
		if r, err = s.Read(context.Background(), topic); err == nil {
			return r[0]
		}
	}
	t.Fatal(err)
	return state.Record{}
}

// TestReplicasThatStartTogether make the tables at once.
func TestReplicasThatStartTogether(t *testing.T) {
	url := testserver.Postgres(t).URL
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := pgstate.Open(context.Background(), url, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if _, err := s.Read(context.Background(), "x"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestARoleThatMayOnlyUseTheTables opens a store that another has made.
func TestARoleThatMayOnlyUseTheTables(t *testing.T) {
	server := testserver.Postgres(t)
	commit(t, open(t, server.URL, nil), "x", "2", clicks(0, 2, 1)...)
	server.Own()
	execute(t, server.URL, "CREATE ROLE modest LOGIN", "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
		"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO modest")
	for _, prefix := range []string{"", "its own:"} {
		modest := open(t, strings.Replace(server.URL, "postgres@", "modest@", 1), &pgstate.Options{Prefix: prefix})
		commit(t, modest, "y", "3", clicks(0, 3, 1)...)
		if r := get(t, modest, "y"); string(r.Data) != "3" || r.Version != 1 {
			t.Errorf("got %+v, want 3", r)
		}
		if err := modest.Finish(t.Context(), state.Mark{Topic: "y", Client: clientOf(0), UpTo: 1}); err != nil {
			t.Error(err)
		}
		if _, err := modest.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestApplicationsAreApart(t *testing.T) {
	url := testserver.Postgres(t).URL
	one, other := open(t, url, &pgstate.Options{Prefix: "a"}), open(t, url, &pgstate.Options{Prefix: "ab"})
	for _, topic := range []string{"x", "bx", "/x"} {
		commit(t, one, topic, "3", clicks(0, 1, 1)...)
		if r := get(t, other, topic); r.Version != 0 {
			t.Errorf("another application sees %+v", r)
		}
	}
	if r := get(t, other, "x"); r.Version != 0 {
		t.Errorf("another application sees %+v", r)
	}
	// Its lanes are others, too: these are the first moves of the same clients.
	commit(t, other, "x", "1", clicks(0, 1, 1)...)
}

func TestErrorsContainNoPassword(t *testing.T) {
	for _, url := range []string{"postgres://u:hunter2@127.0.0.1:1", "postgres://u:hunter2@[::1"} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := pgstate.Open(ctx, url, nil)
		cancel()
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
	}
}

func BenchmarkStore(b *testing.B) {
	statetest.Benchmark(b, open(b, testserver.Postgres(b).URL, &pgstate.Options{Prefix: "bench:"}))
}

func BenchmarkShares(b *testing.B) {
	statetest.BenchmarkShares(b, open(b, testserver.Postgres(b).URL, &pgstate.Options{Prefix: "bench:"}))
}

func BenchmarkList(b *testing.B) {
	statetest.BenchmarkList(b, open(b, testserver.Postgres(b).URL, &pgstate.Options{Prefix: "bench:"}))
}
