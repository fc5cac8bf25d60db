package pgstate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"lockstep/internal/testserver"
	"lockstep/state/pgstate"
)

// formerSchema is that of the earlier version, as far as it matters.
var formerSchema = []string{
	"CREATE TABLE lockstep_meta (one boolean PRIMARY KEY DEFAULT true CHECK (one), epoch bigint NOT NULL, incarnation text NOT NULL)",
	"CREATE TABLE lockstep_counter (name text PRIMARY KEY, n bigint NOT NULL DEFAULT 0, v bigint NOT NULL DEFAULT 0)",
	"CREATE TABLE lockstep_op (name text NOT NULL, id text NOT NULL, until timestamptz NOT NULL, PRIMARY KEY (name, id))",
	"CREATE FUNCTION lockstep_epoch() RETURNS bigint LANGUAGE sql AS $$ SELECT epoch FROM lockstep_meta $$",
	`CREATE FUNCTION lockstep_apply(p_name text, p_ids text[], p_amounts bigint[], p_resets boolean[], p_window interval,
		OUT e bigint, OUT n bigint, OUT v bigint, OUT applied boolean[]) LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO lockstep_counter AS c (name, n, v) VALUES (p_name, 1, 1) ON CONFLICT (name) DO UPDATE SET n = c.n + 1, v = c.v + 1
			RETURNING c.n, c.v INTO n, v; END $$`,
	"INSERT INTO lockstep_meta (epoch, incarnation) VALUES (1000, 'x')",
}

// asTopic is how the test's application takes counters over.
func asTopic(name string, n int64) (string, []byte) { return "counter:" + name, fmt.Append(nil, n) }

// TestCountersOfAnEarlierVersionAreTakenOver once, by replicas that start
// together, in an epoch that is newer than theirs.
func TestCountersOfAnEarlierVersionAreTakenOver(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	execute(t, server.URL, formerSchema...)
	const future = 1 << 50 // a clock was wrong
	execute(t, server.URL, fmt.Sprintf("UPDATE lockstep_meta SET epoch = %d", int64(future)),
		"INSERT INTO lockstep_counter SELECT 'lockstep:/c' || i, i, i + 5 FROM generate_series(1, 2500) i",
		"INSERT INTO lockstep_counter VALUES ('lockstep:/größe', -7, 3)")
	var mu sync.Mutex
	calls := make(map[string]int)
	counter := func(name string, n int64) (string, []byte) {
		mu.Lock()
		defer mu.Unlock()
		calls[name]++
		return asTopic(name, n)
	}
	together(4, func(int) {
		s, err := pgstate.Open(context.Background(), server.URL, &pgstate.Options{Counter: counter})
		if err != nil {
			t.Error(err)
			return
		}
		defer s.Close()
		for topic, want := range map[string]string{"counter:c1": "1", "counter:c2500": "2500", "counter:größe": "-7"} {
			if r := get(t, s, topic); string(r.Data) != want {
				t.Errorf("%s: got %+v, want %s", topic, r, want)
			}
		}
		if r := get(t, s, "counter:c2500"); r.Epoch != future+1 || r.Version < 2505 {
			t.Errorf("got %+v, want what is newer than version 2505 of epoch %d", r, int64(future))
		}
	})
	if len(calls) != 2501 {
		t.Errorf("%d counters were taken over, want 2501", len(calls))
	}
	for name, n := range calls {
		if n != 1 {
			t.Errorf("%s was taken over %d times", name, n)
		}
	}
	if left := query[*string](t, server.URL, "SELECT string_agg(relname, ', ') FROM pg_class WHERE relname IN ('lockstep_counter', 'lockstep_op', 'lockstep_meta', 'lockstep_former')"); left != nil {
		t.Errorf("there still is %s", *left)
	}
	s := open(t, server.URL, nil) // nothing is left to be refused
	commit(t, s, "counter:c1", "2", clicks(0, 1, 1)...)
}

// TestAnEarlierVersionThatRunsOnIsStopped: what it counted from now on would be
// lost.
func TestAnEarlierVersionThatRunsOnIsStopped(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	execute(t, server.URL, formerSchema...)
	const apply = "SELECT coalesce(n, 0) FROM lockstep_apply('lockstep:/x', '{}', '{}', '{}', '1 minute')"
	query[int](t, server.URL, apply)
	open(t, server.URL, &pgstate.Options{Counter: asTopic})
	c := connect(t, server.URL)
	var n int
	if err := c.QueryRow(t.Context(), apply).Scan(&n); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("it counts: got %v", err)
	}
	for _, statement := range formerSchema[3:5] { // as it starts
		if _, err := c.Exec(t.Context(), strings.Replace(statement, "CREATE", "CREATE OR REPLACE", 1)); err != nil {
			return
		}
	}
	t.Error("it starts")
}

// TestCountersOfAnotherApplicationAreLeftAlone: it is still of the earlier
// version.
func TestCountersOfAnotherApplicationAreLeftAlone(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	execute(t, server.URL, formerSchema...)
	execute(t, server.URL, "INSERT INTO lockstep_counter VALUES ('lockstep:/x', 1, 1), ('other:/x', 2, 2), ('lockstep:', 3, 3)")
	open(t, server.URL, &pgstate.Options{Prefix: "third:"}) // has none
	s := open(t, server.URL, &pgstate.Options{Counter: asTopic})
	if r := get(t, s, "counter:x"); string(r.Data) != "1" || r.Epoch <= 1000 {
		t.Errorf("got %+v", r)
	}
	if left := query[string](t, server.URL, "SELECT string_agg(name, ' ' ORDER BY name) FROM lockstep_counter"); left != "lockstep: other:/x" {
		t.Errorf("got %q, want those of others", left)
	}
	if n := query[int](t, server.URL, "SELECT n FROM lockstep_apply('other:/x', '{}', '{}', '{}', '1 minute')"); n != 3 {
		t.Errorf("the other application counts %d, want 3", n)
	}
}

// TestAnApplicationThatStartsMeanwhile leaves alone what another is taking over.
func TestAnApplicationThatStartsMeanwhile(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	execute(t, server.URL, formerSchema...)
	execute(t, server.URL, "INSERT INTO lockstep_counter VALUES ('lockstep:/x', 1, 1)", "ALTER TABLE lockstep_counter RENAME TO lockstep_former")
	open(t, server.URL, &pgstate.Options{Prefix: "third:"})
	open(t, server.URL, &pgstate.Options{Prefix: "fourth:", Counter: asTopic})
	s := open(t, server.URL, &pgstate.Options{Counter: asTopic})
	if r := get(t, s, "counter:x"); string(r.Data) != "1" {
		t.Errorf("got %+v, want 1", r)
	}
}

// TestCountersThatCannotBeTakenOver are left as they are, and the reason is
// said.
func TestCountersThatCannotBeTakenOver(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	execute(t, server.URL, formerSchema...)
	execute(t, server.URL, "INSERT INTO lockstep_counter VALUES ('lockstep:/x', 1, 1), ('lockstep:/y', 2, 2)")
	for _, c := range []struct {
		name    string
		counter func(string, int64) (string, []byte)
		says    string
	}{
		{"nobody says how", nil, "Options.Counter"},
		{"no topic", func(string, int64) (string, []byte) { return "", []byte("1") }, "not a valid step"},
		{"no data", func(name string, _ int64) (string, []byte) { return name, nil }, "not a valid step"},
		{"two of one topic", func(string, int64) (string, []byte) { return "one", []byte("1") }, "of one topic"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := pgstate.Open(t.Context(), server.URL, &pgstate.Options{Counter: c.counter})
			if err == nil {
				_ = s.Close()
				err = errors.New("nothing")
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
	s := open(t, server.URL, &pgstate.Options{Counter: asTopic})
	if r := get(t, s, "counter:y"); string(r.Data) != "2" {
		t.Errorf("got %+v, want 2", r)
	}
}
