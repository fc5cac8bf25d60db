package pgstate_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"lockstep/internal/testserver"
	"lockstep/state"
	"lockstep/state/pgstate"
)

// TestLanesThatAreNotKnownAreDeletedAndOthersAreNot: those of an application
// that keeps them for longer, those that are known, and those that are moved.
func TestLanesThatAreNotKnownAreDeletedAndOthersAreNot(t *testing.T) {
	url := testserver.Postgres(t).URL
	long := open(t, url, &pgstate.Options{Prefix: "long:"})
	commit(t, long, "x", "1", clicks(0, 20, 1)...)
	short := open(t, url, &pgstate.Options{Prefix: "short:", Lifetime: 7 * time.Hour, DoneLifetime: 7 * time.Minute})
	commit(t, short, "x", "1", clicks(0, 40, 1)...)
	const count = "SELECT count(*) FROM lockstep_lane l JOIN lockstep_topic t ON t.id = l.topic AND t.app = l.app JOIN lockstep_app a ON a.id = t.app WHERE a.prefix = convert_to($1, 'UTF8')"
	const lane = "INSERT INTO lockstep_lane (topic, client, last, start, app, age, done) SELECT t.id, gen_random_uuid(), 1, 1, t.app, 0, %s" +
		" FROM lockstep_app a JOIN lockstep_topic t ON t.app = a.id, generate_series(1, 12000) WHERE a.prefix = 'short:'"
	execute(t, url, fmt.Sprintf(lane, "NULL"), fmt.Sprintf(lane, "0"))
	var marks []state.Mark
	for i := range 20 {
		marks = append(marks, state.Mark{Topic: "x", Client: clientOf(i), UpTo: 1})
	}
	if err := short.Finish(t.Context(), marks...); err != nil {
		t.Fatal(err)
	}
	sweepTo := func(want int) {
		t.Helper()
		eventually(t, "lanes to be deleted", func() error { // the store does so itself, too
			for more := true; more; {
				var err error
				if more, err = short.Sweep(t.Context()); err != nil {
					return err
				}
			}
			if n := query[int](t, url, count, "short:"); n != want {
				return fmt.Errorf("there are %d, want %d", n, want)
			}
			return nil
		})
	}
	pass := func(d time.Duration) { // nine steps
		for range 9 {
			short.Shift(d / 7)
			if _, err := short.Read(t.Context(), "x"); err != nil {
				t.Fatal(err)
			}
			short.Commit(t.Context(), state.Step{Topic: "x", Moves: clicks(0, 1, 1)})
		}
	}
	pass(7 * time.Minute)
	sweepTo(12020) // those that were done are gone
	commit(t, short, "x", "2", clicks(20, 1, 2)...)
	for range 8 {
		short.Shift(time.Hour)
		short.Commit(t.Context(), state.Step{Topic: "x", Moves: clicks(0, 1, 1)})
	}
	sweepTo(12020)
	commit(t, short, "x", "3", clicks(21, 1, 2)...)
	pass(7 * time.Hour)
	sweepTo(0)
	if n := query[int](t, url, count, "long:"); n != 20 {
		t.Errorf("another application has %d lanes left, want 20", n)
	}
}

// TestASweepPassesByWhatOthersHold, and another sweep: it waits for nobody, so
// that nobody deadlocks with it.
func TestASweepPassesByWhatOthersHold(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	s := open(t, server.URL, nil)
	commit(t, s, "x", "1", clicks(0, 3, 1)...)
	execute(t, server.URL, "UPDATE lockstep_app SET age = 20", "UPDATE lockstep_lane SET age = 0")
	c := connect(t, server.URL)
	hold := func(statement string) {
		t.Helper()
		if _, err := c.Exec(t.Context(), "BEGIN; "+statement); err != nil {
			t.Fatal(err)
		}
	}
	left := func(want int) {
		t.Helper()
		for range 3 {
			if _, err := s.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := query[int](t, server.URL, "SELECT count(*) FROM lockstep_lane"); n != want {
			t.Errorf("%d lanes are left, want %d", n, want)
		}
	}
	hold("SELECT FROM lockstep_app FOR UPDATE")
	left(3)
	hold("ROLLBACK; BEGIN; UPDATE lockstep_lane SET last = 2, age = 20 WHERE client = (SELECT min(client::text) FROM lockstep_lane)::uuid")
	left(1)
	if _, err := c.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	execute(t, server.URL, "UPDATE lockstep_app SET swept = 0")
	left(1)
}

// TestNobodyWaitsForAnAgeToTurn: what turns it, in the same transaction, may
// itself have to wait for a topic.
func TestNobodyWaitsForAnAgeToTurn(t *testing.T) {
	server := testserver.Postgres(t)
	server.Own()
	s := open(t, server.URL, nil)
	commit(t, s, "x", "1", clicks(0, 1, 1)...)
	c := connect(t, server.URL)
	if _, err := c.Exec(t.Context(), "BEGIN; SELECT FROM lockstep_app FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	s.Shift(state.Lifetime)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if o := s.Commit(ctx, state.Step{Topic: "x", Base: get(t, s, "x"), Moves: clicks(0, 1, 2)})[0]; o.Err != nil {
		t.Error(o.Err)
	}
	if _, err := c.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	commit(t, s, "x", "1", clicks(0, 1, 3)...)
	if age := query[int](t, server.URL, "SELECT age FROM lockstep_app"); age != 1 {
		t.Errorf("the age is %d, want 1", age)
	}
}

// TestCloseEndsASweep that waits.
func TestCloseEndsASweep(t *testing.T) {
	s := open(t, testserver.Postgres(t).URL, &pgstate.Options{Lifetime: time.Nanosecond, DoneLifetime: time.Nanosecond})
	commit(t, s, "x", "1", clicks(0, 1, 1)...)
	eventually(t, "a sweep", func() error {
		r := s.Commit(t.Context(), state.Step{Topic: "x", Moves: clicks(0, 1, 1)})[0]
		if errors.Is(r.Err, state.ErrConflict) && r.Lanes[0].Last == 0 {
			return nil
		}
		return errors.Join(errors.New("the lane is known still"), r.Err)
	})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
