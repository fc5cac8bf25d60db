package pgstate_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"lockstep/internal/testserver"
)

// connect connects an administrator, until the test ends.
func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// execute runs statements as an administrator would, each in its own
// transaction.
func execute(t testing.TB, url string, statements ...string) {
	t.Helper()
	c := connect(t, url)
	defer c.Close(context.WithoutCancel(t.Context()))
	for _, statement := range statements {
		if _, err := c.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func query[T any](t testing.TB, url, statement string, args ...any) (v T) {
	t.Helper()
	c := connect(t, url)
	defer c.Close(context.WithoutCancel(t.Context()))
	if err := c.QueryRow(t.Context(), statement, args...).Scan(&v); err != nil {
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
		left uint64 // the version
	}{
		"when the topics have been emptied": {func(t *testing.T) {
			execute(t, server.URL, "TRUNCATE lockstep_topic")
		}, 0},
		"when the lanes have been emptied": {func(t *testing.T) {
			execute(t, server.URL, "TRUNCATE lockstep_lane")
		}, 5},
		"when the log has been emptied": {func(t *testing.T) {
			execute(t, server.URL, "TRUNCATE lockstep_log")
		}, 5},
		"when all tables but the functions have been emptied": {func(t *testing.T) {
			execute(t, server.URL, "TRUNCATE lockstep_app, lockstep_topic, lockstep_lane, lockstep_log")
		}, 0},
		"when what is known of the application has been lost": {func(t *testing.T) {
			execute(t, server.URL, "TRUNCATE lockstep_app")
		}, 5},
		"when a standby has been promoted":                               {func(t *testing.T) { promote(t, server) }, 5},
		"when the server has been started anew, perhaps with older data": {func(*testing.T) { server.Restart() }, 5},
		"when the data are of another system": {func(t *testing.T) {
			execute(t, server.URL, "UPDATE lockstep_app SET incarnation = '1' || incarnation")
		}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			before := get(t, s, "x")
			for i := range uint64(5) {
				before = commit(t, s, "x", "data", clicks(0, 3, i+1)...)
			}
			c.lose(t)
			after := get(t, s, "x")
			if after.Version != c.left || after.Epoch <= before.Epoch {
				t.Errorf("got %+v after %+v, want version %d in a newer epoch", after, before, c.left)
			}
			if again := get(t, s, "x"); !again.Same(after) {
				t.Errorf("got %+v, then %+v", after, again)
			}
			execute(t, server.URL, "TRUNCATE lockstep_topic, lockstep_lane")
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

// TestAnAcknowledgedStepSurvivesWhereCommitsDoNotWait: the database is told not
// to wait for the disk, which the store does not follow.
func TestAnAcknowledgedStepSurvivesWhereCommitsDoNotWait(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	execute(t, server.URL, "ALTER DATABASE postgres SET synchronous_commit = off",
		"ALTER SYSTEM SET wal_writer_delay = '10s'", "SELECT pg_reload_conf()")
	s := open(t, server.URL, nil)
	want := commit(t, s, "x", "data", clicks(0, 3, 1)...)
	server.Kill()
	server.Start()
	if got := get(t, s, "x"); got.Version != want.Version || string(got.Data) != "data" {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
