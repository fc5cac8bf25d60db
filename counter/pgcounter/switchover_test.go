package pgcounter_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/counter"
	"lockstep/counter/pgcounter"
	"lockstep/internal/pgclient"
	"lockstep/internal/testserver"
	"lockstep/precondition"
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

// TestAnAddressThatLeadsToTheOldPrimaryForAWhile: connections that are made
// meanwhile are to a standby; none may be kept. The first call after the
// address is right must work.
func TestAnAddressThatLeadsToTheOldPrimaryForAWhile(t *testing.T) {
	old, next := testserver.PostgresPair(t)
	address := testserver.NewProxy(t, old.Addr)
	s := open(t, address.Rewrite(old.URL), nil)
	before := apply(t, s, "x", 3)
	next.CatchUp(old)
	old.Stop()
	next.Promote()
	old.Follow(next)
	old.Start()
	together(8, func(int) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		// The connection that was cut, perhaps, and then new ones.
		_, _ = s.Get(ctx, "x")
		if _, err := s.Get(ctx, "x"); !errors.Is(err, pgclient.ErrReadOnly) {
			t.Errorf("from a standby: got %v, want %v", err, pgclient.ErrReadOnly)
		}
	})
	address.Target(next.Addr)
	v, _, err := s.Apply(t.Context(), "x", counter.Op{ID: "op-x-the-first-after", Kind: counter.Increment})
	if err != nil || v.N != 4 || !v.Newer(before) {
		t.Errorf("got %+v, %v; want 4 in a newer epoch", v, err)
	}
}

// TestAServerThatBecomesReadOnly under connections that are open: none of them
// is kept after the first error, and each call fails at most once.
func TestAServerThatBecomesReadOnly(t *testing.T) {
	server, elsewhere := testserver.Postgres(t), testserver.Postgres(t)
	server.Own()
	address := testserver.NewProxy(t, server.Addr)
	s := open(t, address.Rewrite(server.URL), nil)
	open(t, elsewhere.URL, nil) // makes the tables
	together(8, func(i int) { apply(t, s, fmt.Sprint("x", i), 1) })
	execute(t, server.URL, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
	op := counter.Op{ID: "op-x-the-first-after", Kind: counter.Increment}
	eventually(t, "the server to refuse", func() error {
		if _, _, err := s.Apply(t.Context(), "x", op); err != nil {
			return nil
		}
		return errors.New("it has applied an op")
	})
	address.Target(elsewhere.Addr)
	// One more may fail: it may have been given a connection before.
	_, _, first := s.Apply(t.Context(), "y", op)
	v, _, second := s.Apply(t.Context(), "y", op)
	if second != nil || v.N != 1 {
		t.Errorf("got %v, then %+v, %v", first, v, second)
	}
}

// TestAServerThatTakesNoWritesIsNotRead: what it says may be old.
func TestAServerThatTakesNoWritesIsNotRead(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	s := open(t, server.URL, nil)
	apply(t, s, "x", 1)
	execute(t, server.URL, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
	eventually(t, "the server to be refused", func() error {
		if _, err := s.Get(t.Context(), "x"); !errors.Is(err, pgclient.ErrReadOnly) {
			return errors.Join(errors.New("it was read"), err)
		}
		return nil
	})
}

// TestAStandbyIsRefusedAtStart in a sentence.
func TestAStandbyIsRefusedAtStart(t *testing.T) {
	_, standby := testserver.PostgresPair(t)
	if s, err := pgcounter.Open(t.Context(), standby.URL, nil); err == nil || !strings.Contains(err.Error(), "takes no writes") {
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
	if v := apply(t, s, "x", 1); v.N != 1 {
		t.Errorf("got %+v", v)
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
	apply(t, s, "x", 1)
	address.Target(other.Addr)
	eventually(t, "the other server", func() error {
		if v := get(t, s, "x"); v.N != 0 {
			return fmt.Errorf("got %+v of the first", v)
		}
		return nil
	})
}

// TestSettingsOfTheRoleDoNotBreakTheStore: ops of one counter that wait for
// each other fail when they are serializable.
func TestSettingsOfTheRoleDoNotBreakTheStore(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	execute(t, server.URL, "ALTER ROLE postgres SET default_transaction_isolation = 'serializable'")
	s := open(t, server.URL, nil)
	together(8, func(i int) {
		for k := range 10 {
			op := counter.Op{ID: fmt.Sprintf("op-serializable-%d-%d", i, k), Kind: counter.Increment}
			if _, _, err := s.Apply(t.Context(), "x", op); err != nil {
				t.Errorf("op %d of %d: %v", k, i, err)
				return
			}
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
			together(12, func(i int) { apply(t, s, fmt.Sprint("x", i), 5) })
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
	s := open(t, server.URL, &pgcounter.Options{Preconditions: seen})
	var names []string
	for _, u := range seen.Unmet() {
		names = append(names, u.Name)
	}
	if want := []string{"postgres_autovacuum", "postgres_fsync", "postgres_full_page_writes"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	well := testserver.Postgres(t)
	seen = precondition.NewPart("store", nil)
	open(t, well.URL, &pgcounter.Options{Preconditions: seen})
	if got := seen.Unmet(); len(got) != 0 {
		t.Errorf("of a server as it comes: got %v", got)
	}
	_ = s.Close()
}
