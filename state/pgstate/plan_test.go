package pgstate_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"lockstep/internal/testserver"
	"lockstep/state"
	"lockstep/state/pgstate"
)

// quiet are settings under which nothing but the test touches tables.
var quiet = []string{"autovacuum=off", "bgwriter_delay=10s"}

// rowsRead closes a store, whose sessions then tell the server's statistics what
// they have done, and returns how many rows of topics and lanes were ever read.
func rowsRead(t *testing.T, url string, s *pgstate.Store) int {
	t.Helper()
	_ = s.Close()
	eventually(t, "the sessions to end", func() error {
		if n := query[int](t, url, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"); n > 0 {
			return fmt.Errorf("there are %d", n)
		}
		return nil
	})
	return query[int](t, url, "SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_user_tables WHERE relname IN ('lockstep_lane', 'lockstep_topic')")
}

// TestCallsReadTheirOwnLanesOnly of 200,000 of one topic, and of 20,000 topics,
// of which the server has no statistics: what is new and hot has none. Functions
// keep the plans that they have made in a session, perhaps when the server
// knew of a single page.
func TestCallsReadTheirOwnLanesOnly(t *testing.T) {
	server := testserver.Postgres(t, quiet...)
	server.Own()
	url := server.URL + "&pool_max_conns=1&pool_max_conn_lifetime=1h"
	s := open(t, url, nil)
	commit(t, s, "x", "1", clicks(0, 1, 1)...)
	execute(t, server.URL, "VACUUM lockstep_lane", "VACUUM lockstep_topic")
	calls := func(first int) { // five
		commit(t, s, "x", "1", clicks(first, 64, 1)...)
		commit(t, s, "x", "1", clicks(first, 64, 2)...)
		s.Commit(t.Context(), state.Step{Topic: "x", Moves: clicks(first, 64, 2)})
		marks := make([]state.Mark, 64)
		for i := range marks {
			marks[i] = state.Mark{Topic: "x", Client: clientOf(first + i), UpTo: 2}
		}
		if err := s.Finish(t.Context(), marks...); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 8 { // plans are made, and kept
		calls(64 * (i + 1))
	}
	execute(t, server.URL, "INSERT INTO lockstep_lane (topic, client, last, start, app, age) SELECT id, gen_random_uuid(), 1, 1, app, 0"+
		" FROM lockstep_topic, generate_series(1, 200000)", "INSERT INTO lockstep_topic (app, topic, v, logged, trimmed)"+
		" SELECT app, convert_to('x' || n, 'UTF8'), 1, 0, 0 FROM lockstep_topic, generate_series(1, 20000) n")
	// The sessions may tell late what they did before: nine times five calls.
	const most = 9 * 5 * 64 * 6
	for i, plans := range []string{"made before", "made then"} {
		before := query[int](t, server.URL, "SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_user_tables WHERE relname IN ('lockstep_lane', 'lockstep_topic')")
		calls(1000 * (i + 1))
		if rows := rowsRead(t, server.URL, s) - before; rows < 64 || rows > most {
			t.Errorf("with plans %s: %d rows were read, want %d at most", plans, rows, most)
		}
		s = open(t, url, nil)
	}
}

// nextID is the id of the transaction that begins next.
func nextID(t *testing.T, url string) uint64 {
	return query[uint64](t, url, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
}

// TestAConflictWritesNothing, so that it waits for no disk: it has no
// transaction id, and adds nothing to the log of the server.
func TestAConflictWritesNothing(t *testing.T) {
	server := testserver.Postgres(t, quiet...)
	server.Own()
	s := open(t, server.URL, nil)
	r := commit(t, s, "x", "1", clicks(0, 3, 1)...)
	base := state.Record{Epoch: r.Epoch}
	steps := map[string]state.Step{
		"of an old base":                 {Topic: "x", Base: base, Data: []byte("2"), Moves: clicks(3, 1, 1)},
		"of a move":                      {Topic: "x", Base: r, Data: []byte("2"), Moves: clicks(0, 1, 1)},
		"of a base that never was":       {Topic: "y", Base: r, Data: []byte("2"), Moves: clicks(0, 1, 1)},
		"of a move on what is not there": {Topic: "y", Base: base, Data: []byte("2"), Moves: clicks(0, 1, 2)},
	}
	const position = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			s.Commit(t.Context(), step) // what it loads may be made smaller by that
			id, wal := nextID(t, server.URL), query[int64](t, server.URL, position)
			for range 20 {
				if o := s.Commit(t.Context(), step)[0]; !errors.Is(o.Err, state.ErrConflict) {
					t.Fatalf("got %v, want a conflict", o.Err)
				}
			}
			if now := nextID(t, server.URL); now != id {
				t.Errorf("%d transaction ids were given away", now-id)
			}
			// A running server notes now and then what runs: some tens of bytes.
			if now := query[int64](t, server.URL, position); now-wal > 200 {
				t.Errorf("%d bytes of WAL were written", now-wal)
			}
		})
	}
}

// TestAConflictAfterAWaitDoesNotWaitForTheDisk: it holds the topic until its
// transaction ends. Here nothing becomes durable: the server waits for a standby
// that is not there. Only steps that were done wait for it.
func TestAConflictAfterAWaitDoesNotWaitForTheDisk(t *testing.T) {
	server := testserver.Postgres(t, quiet...)
	server.Own()
	s := open(t, server.URL, nil)
	r := commit(t, s, "x", "1", clicks(0, 1, 1)...)
	other := commit(t, s, "y", "1", clicks(0, 1, 1)...)
	execute(t, server.URL, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
	late := state.Step{Topic: "x", Base: r, Data: []byte("2"), Moves: clicks(1, 1, 1)}
	for _, c := range []struct {
		name  string
		steps []state.Step
		done  bool
	}{
		{"alone", []state.Step{late}, false},
		{"before one that is done", []state.Step{late, {Topic: "y", Base: other, Data: []byte("2"), Moves: clicks(1, 1, 1)}}, true},
		{"behind one that is done", []state.Step{late, {Topic: "a", Base: state.Record{Epoch: r.Epoch}, Data: []byte("2"), Moves: clicks(1, 1, 1)}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.steps[0].Base = get(t, s, "x")
			faster := overtake(t, server.URL, "x")
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			answered := make(chan state.Outcome, 1)
			go func() { answered <- s.Commit(ctx, c.steps...)[0] }()
			waits(t, server.URL, "Lock")
			faster()
			if !c.done {
				if o := <-answered; !errors.Is(o.Err, state.ErrConflict) || o.Record.Version != c.steps[0].Base.Version+1 {
					t.Errorf("got %+v, want a conflict with the record of the faster one", o)
				}
				return
			}
			waits(t, server.URL, "IPC") // for the standby
			cancel()
			if o := <-answered; o.Err == nil || errors.Is(o.Err, state.ErrConflict) {
				t.Errorf("got %+v, want that it is unknown", o)
			}
		})
	}
}

// overtake changes a topic in a transaction that the result ends.
func overtake(t *testing.T, url, topic string) (end func()) {
	t.Helper()
	c := connect(t, url)
	if _, err := c.Exec(t.Context(), "BEGIN; SET LOCAL synchronous_commit = local; UPDATE lockstep_topic SET v = v + 1 WHERE topic = convert_to('"+topic+"', 'UTF8')"); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if _, err := c.Exec(t.Context(), "COMMIT"); err != nil {
			t.Fatal(err)
		}
	}
}

// waits waits until a session waits for something.
func waits(t *testing.T, url, what string) {
	t.Helper()
	eventually(t, "a session to wait for "+what, func() error {
		if query[int](t, url, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND wait_event_type = $1", what) == 0 {
			return errors.New("none does")
		}
		return nil
	})
}

// TestMovesStayWithinTheirPage: an update that does not (it is not HOT) adds to
// the index, and to what VACUUM has to do.
func TestMovesStayWithinTheirPage(t *testing.T) {
	server := testserver.Postgres(t, quiet...)
	server.Own()
	s := open(t, server.URL, nil)
	const clients, rounds = 256, 60
	position := func() int64 {
		return query[int64](t, server.URL, "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
	}
	commit(t, s, "x", "0", clicks(0, clients, 1)...)
	commit(t, s, "x", "0", clicks(0, clients, 2)...)
	execute(t, server.URL, "CHECKPOINT")
	commit(t, s, "x", "0", clicks(0, clients, 3)...) // whole pages, the first time after a checkpoint
	wal := position()
	for seq := range uint64(rounds) {
		if seq%10 == 0 {
			s.Shift(state.Lifetime / 7) // their age changes, too
		}
		commit(t, s, "x", "0", clicks(0, clients, seq+4)...)
	}
	each := (position() - wal) / rounds
	t.Logf("a commit of %d moves writes %d bytes of WAL", clients, each)
	if each > 44_000 { // half of what a record for each op took
		t.Errorf("a commit of %d moves writes %d bytes of WAL", clients, each)
	}
	_ = rowsRead(t, server.URL, s)
	for _, table := range []string{"lockstep_lane", "lockstep_topic"} {
		updates := query[int](t, server.URL, "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = $1", table)
		hot := query[int](t, server.URL, "SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = $1", table)
		t.Logf("%s: %d of %d updates within their page", table, hot, updates)
		if updates < rounds || hot*100 < updates*99 {
			t.Errorf("%s: %d of %d updates stayed within their page", table, hot, updates)
		}
	}
}

// TestALogIsTrimmedInBoundedSteps, of which nobody sees anything.
func TestALogIsTrimmedInBoundedSteps(t *testing.T) {
	server := testserver.Postgres(t)
	s := open(t, server.URL, &pgstate.Options{Prefix: rand.Text()})
	newest := get(t, s, "x")
	add := func(entries, keep int, seq uint64) {
		t.Helper()
		o := s.Commit(t.Context(), state.Step{Topic: "x", Base: newest, Log: make([][]byte, entries), Keep: keep, Moves: clicks(0, 1, seq)})[0]
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		newest = o.Record
	}
	for i := range uint64(6) {
		add(state.MaxLog, 0, i+1)
	}
	add(1, 3, 7)
	const rows = "SELECT count(*) FROM lockstep_log"
	for i, want := range []int{6*state.MaxLog + 1 - 1024, 3, 3} {
		first, entries, err := s.Entries(t.Context(), "x", 0, 100)
		if err != nil || first != 6*state.MaxLog-1 || len(entries) != 3 {
			t.Errorf("got %d entries from number %d on, %v; want the last 3", len(entries), first, err)
		}
		if got := query[int](t, server.URL, rows); got != want && !server.Lent() {
			t.Errorf("%d commits later %d entries are there, want %d", i, got, want)
		}
		add(0, 3, uint64(i)+8)
	}
}

// TestLargeDataAreCompressedFast where the server can: pglz takes six times as
// long for each commit.
func TestLargeDataAreCompressedFast(t *testing.T) {
	server := testserver.Postgres(t)
	open(t, server.URL, nil)
	if !query[bool](t, server.URL, "SELECT 'lz4' = ANY(enumvals) FROM pg_settings WHERE name = 'default_toast_compression'") {
		t.Skip("the server was built without lz4")
	}
	const method = "SELECT attcompression::text FROM pg_attribute WHERE attrelid = 'lockstep_topic'::regclass AND attname = 'data'"
	if got := query[string](t, server.URL, method); got != "l" {
		t.Errorf("got %q, want l", got)
	}
}

// TestALaneTakesLittle: there is one for each page load and topic, for a week.
func TestALaneTakesLittle(t *testing.T) {
	server := testserver.Postgres(t, quiet...)
	server.Own()
	s := open(t, server.URL, nil)
	const lanes = 40 * state.MaxMoves
	for i := range lanes / state.MaxMoves {
		commit(t, s, "counter:lobby", "0", clicks(i*state.MaxMoves, state.MaxMoves, 1)...)
	}
	if each := query[int](t, server.URL, "SELECT pg_total_relation_size('lockstep_lane')") / lanes; each > 230 {
		t.Errorf("a lane takes %d bytes", each)
	} else {
		t.Logf("a lane takes %d bytes", each)
	}
}

// TestCallsWithTopicsInCommonDoNotDeadlock, in whatever order they have them,
// with marks and sweeps between them.
func TestCallsWithTopicsInCommonDoNotDeadlock(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	one := open(t, server.URL, nil)
	stores := []*pgstate.Store{one, open(t, server.URL, nil)}
	var topics []string
	for i := range 8 {
		topics = append(topics, fmt.Sprint("t", i))
		commit(t, one, topics[i], "0", clicks(0, 64, 1)...)
	}
	together(6, func(n int) {
		s := stores[n%2]
		for round := range uint64(12) {
			steps := make([]state.Step, len(topics))
			marks := make([]state.Mark, 0, 64)
			for i := range topics {
				k := (i + n) % len(topics)
				if n%2 == 1 {
					k = len(topics) - 1 - k
				}
				moves := clicks(0, 64, 1)
				for m := range moves {
					moves[m].Max = round*8 + uint64(n) + 1
					moves[m].To = state.Lane{Last: moves[m].Max + 1, From: 1}
				}
				steps[i] = state.Step{Topic: topics[k], Base: get(t, s, topics[k]), Moves: moves}
				for m := range 8 {
					marks = append(marks, state.Mark{Topic: topics[k], Client: clientOf(m * n), UpTo: state.MaxSeq})
				}
			}
			for _, o := range s.Commit(t.Context(), steps...) {
				if o.Err != nil && !errors.Is(o.Err, state.ErrConflict) {
					t.Error(o.Err)
					return
				}
			}
			if err := s.Finish(t.Context(), marks...); err != nil {
				t.Error(err)
			}
			if _, err := s.Sweep(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	if n := query[int](t, server.URL, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"); n > 0 {
		t.Errorf("%d deadlocks", n)
	}
}

// TestATransactionThatDoesNotEndWellHasDoneNothing though each of its steps
// said that it was done.
func TestATransactionThatDoesNotEndWellHasDoneNothing(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	s := open(t, server.URL, nil)
	commit(t, s, "x", "0", clicks(0, 1, 1)...)
	execute(t, server.URL, "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not that one'; END $$",
		"CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON lockstep_topic DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()")
	x, y := get(t, s, "x"), get(t, s, "y")
	steps := []state.Step{
		{Topic: "x", Base: x, Data: []byte("1"), Moves: clicks(0, 1, 2)},
		{Topic: "y", Base: y, Data: []byte("1"), Moves: clicks(0, 1, 1)},
	}
	for i, o := range s.Commit(t.Context(), steps...) {
		if o.Err == nil || errors.Is(o.Err, state.ErrConflict) {
			t.Errorf("step %d: got %+v, want an error", i, o)
		}
	}
	if got := get(t, s, "x"); !got.Same(x) {
		t.Errorf("got %+v, want %+v", got, x)
	}
}
