package pgcounter_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep/counter"
	"lockstep/counter/pgcounter"
	"lockstep/internal/testserver"
)

// execute runs statements as an administrator would, each in its own
// transaction.
func execute(t *testing.T, url string, statements ...string) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.WithoutCancel(t.Context()))
	for _, statement := range statements {
		if _, err := c.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func query[T any](t *testing.T, url, statement string) (v T) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.WithoutCancel(t.Context()))
	if err := c.QueryRow(t.Context(), statement).Scan(&v); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return v
}

func TestTheEpochGrows(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	s := open(t, server.URL, nil)
	for name, c := range map[string]struct {
		lose func(t *testing.T)
		left int64 // of 5
	}{
		"when the table has been emptied": {func(t *testing.T) {
			execute(t, server.URL, "TRUNCATE lockstep_counter, lockstep_op")
		}, 0},
		"when all tables but the functions have been emptied": {func(t *testing.T) {
			execute(t, server.URL, "TRUNCATE lockstep_counter, lockstep_op, lockstep_meta")
		}, 0},
		"when a standby has been promoted":                               {func(t *testing.T) { promote(t, server) }, 5},
		"when the server has been started anew, perhaps with older data": {func(*testing.T) { server.Restart() }, 5},
		"when the data are of another system": {func(t *testing.T) {
			execute(t, server.URL, "UPDATE lockstep_meta SET incarnation = '1' || incarnation")
		}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			before := apply(t, s, "x", 5)
			c.lose(t)
			after := get(t, s, "x")
			if after.N != c.left || after.Epoch <= before.Epoch {
				t.Errorf("got %+v after %+v, want %d in a newer epoch", after, before, c.left)
			}
			if again := get(t, s, "x"); again != after {
				t.Errorf("got %+v, then %+v", after, again)
			}
			execute(t, server.URL, "TRUNCATE lockstep_counter, lockstep_op")
		})
	}
}

// promote makes the server run as a standby for a moment, which begins a new
// timeline.
func promote(t *testing.T, server *testserver.Server) {
	t.Helper()
	dir := query[string](t, server.URL, "SHOW data_directory")
	execute(t, server.URL, fmt.Sprintf("COPY (SELECT 1) TO '%s/standby.signal'", dir))
	server.Restart()
	if !query[bool](t, server.URL, "SELECT pg_promote()") {
		t.Fatal("the standby was not promoted")
	}
}

// TestAnAcknowledgedOpSurvivesWhereCommitsDoNotWait: the database is told not to wait for
// the disk, which the store does not follow.
func TestAnAcknowledgedOpSurvivesWhereCommitsDoNotWait(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	execute(t, server.URL, "ALTER DATABASE postgres SET synchronous_commit = off",
		"ALTER SYSTEM SET wal_writer_delay = '10s'", "SELECT pg_reload_conf()")
	s := open(t, server.URL, nil)
	want := apply(t, s, "x", 5)
	server.Kill()
	server.Start()
	if got := get(t, s, "x"); got.N != want.N || got.Version != want.Version {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestPrefixAndNameDoNotRunTogether(t *testing.T) {
	url := testserver.Postgres(t).URL
	one, other := open(t, url, &pgcounter.Options{Prefix: "a"}), open(t, url, &pgcounter.Options{Prefix: "ab"})
	apply(t, one, "bx", 3)
	if v := get(t, other, "x"); v.N != 0 {
		t.Errorf("another application sees %+v", v)
	}
}

func TestOldOpsAreDeletedAndOthersAreNot(t *testing.T) {
	url := testserver.Postgres(t).URL
	long := open(t, url, &pgcounter.Options{Prefix: "long:"})
	apply(t, long, "x", 3)
	execute(t, url, "INSERT INTO lockstep_op SELECT 'gone:/x', i::text, now() FROM generate_series(1, 12000) i")
	open(t, url, &pgcounter.Options{Prefix: "short:", Window: 100 * time.Millisecond})

	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for query[int](t, url, "SELECT count(*) FROM lockstep_op WHERE name LIKE 'gone%'") > 0 {
		select {
		case <-again.C:
		case <-limit.C:
			t.Fatal("old ops stay")
		}
	}
	_, applied, err := long.Apply(t.Context(), "x", counter.Op{ID: "op-x-000000000002", Kind: counter.Increment})
	if err != nil || applied[0] {
		t.Errorf("an op of another application was forgotten: %v, %v", applied, err)
	}
}
