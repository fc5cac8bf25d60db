package pgstate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/internal/pgclient"
	"lockstep/internal/testserver"
	"lockstep/precondition"
	"lockstep/state"
	"lockstep/state/pgstate"
)

// together runs calls at the same time, so that a pool uses as many connections.
func together(n int, call func(i int)) {
	done := make(chan struct{})
	for i := range n {
		go func() { call(i); done <- struct{}{} }()
	}
	for range n {
		<-done
	}
}

// eventually waits for up to ten seconds.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// first is a step of a topic that has no record yet, by a client of its own.
func first(s state.Store, topic string, client int) error {
	records, err := s.Read(context.Background(), topic)
	if err != nil {
		return err
	}
	return s.Commit(context.Background(), state.Step{Topic: topic, Base: records[0], Data: []byte("1"), Moves: clicks(client, 1, 1)})[0].Err
}

// TestAnAddressThatLeadsToTheOldPrimaryForAWhile: connections that are made
// meanwhile are to a standby; none may be kept. The first call after the
// address is right must work.
func TestAnAddressThatLeadsToTheOldPrimaryForAWhile(t *testing.T) {
	old, next := testserver.PostgresPair(t)
	address := testserver.NewProxy(t, old.Addr)
	s := open(t, address.Rewrite(old.URL), nil)
	before := commit(t, s, "x", "3", clicks(0, 3, 1)...)
	next.CatchUp(old)
	old.Stop()
	next.Promote()
	old.Follow(next)
	old.Start()
	together(8, func(int) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		// The connection that was cut, perhaps, and then new ones.
		_, _ = s.Read(ctx, "x")
		if _, err := s.Read(ctx, "x"); !errors.Is(err, pgclient.ErrReadOnly) {
			t.Errorf("from a standby: got %v, want %v", err, pgclient.ErrReadOnly)
		}
	})
	address.Target(next.Addr)
	step := state.Step{Topic: "x", Base: before, Data: []byte("4"), Moves: clicks(3, 1, 1)}
	o := s.Commit(t.Context(), step)[0]
	if !errors.Is(o.Err, state.ErrConflict) || string(o.Record.Data) != "3" || !o.Record.Newer(before) {
		t.Errorf("got %+v; want what there was, in a newer epoch", o)
	}
	step.Base = o.Record
	if o := s.Commit(t.Context(), step)[0]; o.Err != nil {
		t.Errorf("got %v", o.Err)
	}
}

// TestAServerThatBecomesReadOnly under connections that are open: none of them
// is kept after the first error, and each call fails at most once. A step that
// conflicts is refused as one that would be done: what a server says that takes
// no writes may be old.
func TestAServerThatBecomesReadOnly(t *testing.T) {
	server, elsewhere := testserver.Postgres(t), testserver.Postgres(t)
	server.Own()
	address := testserver.NewProxy(t, server.Addr)
	s := open(t, address.Rewrite(server.URL), nil)
	open(t, elsewhere.URL, nil) // makes the tables
	together(8, func(i int) { commit(t, s, fmt.Sprint("x", i), "1", clicks(0, 1, 1)...) })
	execute(t, server.URL, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
	stale := state.Step{Topic: "x", Moves: clicks(0, 1, 1)}
	eventually(t, "the server to refuse", func() error {
		if o := s.Commit(t.Context(), stale)[0]; !errors.Is(o.Err, pgclient.ErrReadOnly) {
			return fmt.Errorf("it answers %w", o.Err)
		}
		return nil
	})
	address.Target(elsewhere.Addr)
	// One more may fail: it may have been given a connection before.
	once := first(s, "y", 0)
	if err := first(s, "z", 0); err != nil {
		t.Errorf("got %v, then %v", once, err)
	}
}

// TestAServerThatTakesNoWritesIsNotRead: what it says may be old.
func TestAServerThatTakesNoWritesIsNotRead(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	s := open(t, server.URL, nil)
	commit(t, s, "x", "1", clicks(0, 1, 1)...)
	execute(t, server.URL, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
	for name, call := range map[string]func() error{
		"Read":    func() error { _, err := s.Read(t.Context(), "x"); return err },
		"Entries": func() error { _, _, err := s.Entries(t.Context(), "x", 0, 1); return err },
		"Finish":  func() error { return s.Finish(t.Context(), state.Mark{Topic: "x", Client: clientOf(0), UpTo: 1}) },
	} {
		eventually(t, "the server to be refused", func() error {
			if err := call(); !errors.Is(err, pgclient.ErrReadOnly) {
				return errors.Join(errors.New("it was asked by "+name), err)
			}
			return nil
		})
	}
}

// TestAStandbyIsRefusedAtStart in a sentence.
func TestAStandbyIsRefusedAtStart(t *testing.T) {
	_, standby := testserver.PostgresPair(t)
	if s, err := pgstate.Open(t.Context(), standby.URL, nil); err == nil || !strings.Contains(err.Error(), "takes no writes") {
		t.Errorf("got %v, want that it takes no writes", err)
		if err == nil {
			s.Close()
		}
	}
}

// TestOfSeveralHostsTheOneThatTakesWritesIsUsed as PostgreSQL's own URLs list
// them.
func TestOfSeveralHostsTheOneThatTakesWritesIsUsed(t *testing.T) {
	primary, standby := testserver.PostgresPair(t)
	s := open(t, strings.Replace(primary.URL, primary.Addr, standby.Addr+","+primary.Addr, 1), nil)
	if err := first(s, "x", 0); err != nil {
		t.Error(err)
	}
}

// TestAnOldPrimaryThatDoesNotKnow goes on taking writes, and its connections
// work: they are used for a bounded time.
func TestAnOldPrimaryThatDoesNotKnow(t *testing.T) {
	one, other := testserver.Postgres(t), testserver.Postgres(t)
	one.Own()
	open(t, other.URL, nil)
	address := testserver.NewProxy(t, one.Addr)
	s := open(t, address.Rewrite(one.URL)+"&pool_max_conn_lifetime=1s&pool_max_conn_lifetime_jitter=0s", nil)
	commit(t, s, "x", "1", clicks(0, 1, 1)...)
	address.Target(other.Addr)
	eventually(t, "the other server", func() error {
		if r := get(t, s, "x"); r.Version != 0 {
			return fmt.Errorf("got %+v of the first", r)
		}
		return nil
	})
}

// TestSettingsOfTheRoleDoNotBreakTheStore: steps of one topic that wait for
// each other fail when they are serializable.
func TestSettingsOfTheRoleDoNotBreakTheStore(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	execute(t, server.URL, "ALTER ROLE postgres SET default_transaction_isolation = 'serializable'")
	s := open(t, server.URL, nil)
	together(8, func(i int) {
		step := state.Step{Topic: "x"}
		for seq := uint64(1); seq <= 10; {
			step.Moves = clicks(i, 1, seq)
			o := s.Commit(t.Context(), step)[0]
			if o.Err != nil && !errors.Is(o.Err, state.ErrConflict) {
				t.Errorf("op %d of %d: %v", seq, i, o.Err)
				return
			}
			if o.Err == nil {
				seq++
			}
			step.Base = o.Record
		}
	})
}

func TestPoolMaxConns(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	const busy = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
	for _, c := range []struct {
		name, option string
		most         int
	}{
		{"as documented", "&pool_max_conns=2", 2},
		{"the default", "", 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, strings.Replace(server.URL, "postgres://", "postgresql://", 1)+c.option, nil)
			together(12, func(i int) { commit(t, s, fmt.Sprint(c.name, i), "1", clicks(0, 5, 1)...) })
			if n := query[int](t, server.URL, busy); n > c.most {
				t.Errorf("got %d connections, want %d at most", n, c.most)
			}
			_ = s.Close()
		})
	}
}

func TestWhatTheServerDoesNotMeetIsSaid(t *testing.T) {
	server := testserver.Postgres(t, "fsync=off", "full_page_writes=off", "autovacuum=off")
	server.Own()
	seen := precondition.NewPart("store", nil)
	s := open(t, server.URL, &pgstate.Options{Preconditions: seen})
	var names []string
	for _, u := range seen.Unmet() {
		names = append(names, u.Name)
	}
	if want := []string{"postgres_autovacuum", "postgres_fsync", "postgres_full_page_writes"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	well := testserver.Postgres(t)
	seen = precondition.NewPart("store", nil)
	open(t, well.URL, &pgstate.Options{Preconditions: seen})
	if got := seen.Unmet(); len(got) != 0 {
		t.Errorf("of a server as it comes: got %v", got)
	}
	_ = s.Close()
}
