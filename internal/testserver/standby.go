package testserver

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// PostgresPair starts a PostgreSQL server and a standby that follows it. Both
// are always the test's own.
func PostgresPair(t testing.TB) (primary, standby *Server) {
	t.Helper()
	primary = newPostgres(t, publicDir(t))
	primary.asPostgres(t)
	primary.run()
	return primary, PostgresStandby(t, primary)
}

// PostgresStandby starts a standby of a PostgreSQL server that runs.
func PostgresStandby(t testing.TB, primary *Server) *Server {
	t.Helper()
	primary.Own()
	host, port, err := net.SplitHostPort(primary.Addr)
	if err != nil {
		t.Fatal(err)
	}
	standby := newPostgresAt(t, filepath.Join(publicDir(t), "data"))
	standby.asPostgres(t)
	run(t, asPostgres(t), filepath.Join(postgresBin(t), "pg_basebackup"), "--pgdata", standby.Dir, "--host", host, "--port", port,
		"--username", "postgres", "--checkpoint", "fast", "--wal-method", "stream", "--no-sync")
	standby.Follow(primary)
	return standby.run()
}

// asPostgres makes a server's URL that of the user "postgres", and has it asked
// by that.
func (s *Server) asPostgres(t testing.TB) {
	s.URL = "postgres://postgres@" + s.Addr + "/postgres?sslmode=disable"
	s.ping = func(ctx context.Context) error { return psql(ctx, postgresBin(t), s.URL, "SELECT 1") }
}

// Follow has a PostgreSQL server that does not run become a standby of another
// when it starts. The other must have all that this one has.
func (s *Server) Follow(primary *Server) {
	s.t.Helper()
	host, port, err := net.SplitHostPort(primary.Addr)
	if err != nil {
		s.t.Fatal(err)
	}
	appendTo(s.t, filepath.Join(s.Dir, "postgresql.auto.conf"), "primary_conninfo = 'host="+host+" port="+port+" user=postgres'\n")
	giveToPostgres(s.t, filepath.Join(s.Dir, "standby.signal"), nil)
}

// Promote makes a PostgreSQL standby a primary, and waits until it is.
func (s *Server) Promote() {
	s.t.Helper()
	if err := s.psql("SELECT pg_promote(true, 60)"); err != nil {
		s.t.Fatal(err)
	}
}

// CatchUp waits until a standby has all that its primary has acknowledged.
func (s *Server) CatchUp(primary *Server) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		err := primary.psql("DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()) THEN RAISE 'behind'; END IF; END $$")
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			s.t.Fatalf("testserver: %s does not catch up: %v", s.Addr, err)
		}
	}
}

// psql has a PostgreSQL server run statements.
func (s *Server) psql(statements string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return psql(ctx, postgresBin(s.t), s.URL, statements)
}

func appendTo(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}
