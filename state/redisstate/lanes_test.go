package redisstate_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lockstep/internal/testserver"
	"lockstep/state"
	"lockstep/state/redisstate"
)

// fill makes lanes of n clients on a topic, each with its last and from.
func fill(t testing.TB, s state.Store, topic string, n int, lane state.Lane) (clients []state.Client) {
	t.Helper()
	r := get(t, s, topic)
	for len(clients) < n {
		moves := make([]state.Move, min(state.MaxMoves, n-len(clients)))
		for i := range moves {
			moves[i] = state.Move{Client: client(), Max: lane.Last - 1, To: lane}
			clients = append(clients, moves[i].Client)
		}
		o := s.Commit(t.Context(), state.Step{Topic: topic, Base: r, Data: []byte("1"), Moves: moves})[0]
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		r = o.Record
	}
	return clients
}

// TestALaneOfABusyTopicTakesNinetyBytes: there are millions of them.
func TestALaneOfABusyTopicTakesNinetyBytes(t *testing.T) {
	server := testserver.Redis(t, "--appendfsync", "no")
	server.Own()
	c := connect(t, server.URL)
	for _, o := range []struct {
		name    string
		lane    state.Lane
		n, most int
	}{
		{"in a topic of many", state.Lane{Last: 9999, From: 9998}, 100_000, 90},
		{"where the table has just grown", state.Lane{Last: 9999, From: 9999}, 1<<17 + 256, 90},
		{"in a topic of few", state.Lane{Last: 12, From: 11}, 100, 40},
	} {
		t.Run(o.name, func(t *testing.T) {
			s := open(t, server.URL, &redisstate.Options{Prefix: o.name})
			fill(t, s, "x", o.n, o.lane)
			keys := c.Keys(t.Context(), "{"+o.name+"/*}lanes:x").Val()
			if len(keys) != 1 {
				t.Fatalf("got keys %q", keys)
			}
			size := c.MemoryUsage(t.Context(), keys[0], 0).Val() / int64(o.n)
			t.Logf("%d bytes a lane", size)
			if size > int64(o.most) {
				t.Errorf("%d bytes a lane, want %d at most", size, o.most)
			}
		})
	}
}

// TestLanesOfIdleTopicsExpire, and those of topics in use never do.
func TestLanesOfIdleTopicsExpire(t *testing.T) {
	const lifetime, done = 7 * time.Hour, 7 * time.Minute
	server := testserver.Redis(t, "--appendfsync", "no")
	server.Own()
	c := connect(t, server.URL)
	s := open(t, server.URL, &redisstate.Options{Lifetime: lifetime, DoneLifetime: done})
	expires := func(when, kind string, want time.Duration) {
		t.Helper()
		keys := c.Keys(t.Context(), "{lockstep:/*}"+kind+":x").Val()
		if len(keys) != 1 {
			t.Fatalf("%s: keys of %s are %q, want one", when, kind, keys)
		}
		if got := c.PTTL(t.Context(), keys[0]).Val(); got > want || got < want-time.Minute {
			t.Errorf("%s: %s is kept for %s, want %s", when, kind, got, want)
		}
	}
	const keep, keepDone = 3*lifetime + time.Hour, 3*done + time.Hour
	clients := fill(t, s, "x", 3, state.Lane{Last: 1, From: 1})
	expires("at first", "lanes", keep)
	finish := func(c state.Client) {
		t.Helper()
		if err := s.Finish(t.Context(), state.Mark{Topic: "x", Client: c, UpTo: 1}); err != nil {
			t.Fatal(err)
		}
	}
	finish(clients[0])
	expires("at first", "done", keepDone)

	// A commit that is no age later leaves it.
	lane := c.Keys(t.Context(), "{lockstep:/*}lanes:x").Val()[0]
	if err := c.PExpire(t.Context(), lane, keep-time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	click(t, s, "x", 1)
	expires("after a commit", "lanes", keep-time.Hour)
	s.Shift(lifetime/7 + time.Second)
	click(t, s, "x", 1)
	expires("at an age", "lanes", keep)
	for range 7 {
		s.Shift(lifetime/7 + time.Second)
		click(t, s, "x", 1)
	}
	expires("at a turn", "lanes", keep)
	expires("at a turn", "older", keep)

	// All lanes are done: there is no hash. It comes with another.
	finish(clients[1])
	finish(clients[2])
	if n := c.Exists(t.Context(), strings.Replace(lane, "lanes", "done", 1)).Val(); n != 1 {
		t.Error("nothing is done")
	}
	for range 8 {
		s.Shift(done)
		finish(clients[1])
	}
	expires("at a turn", "done", keepDone)
}

// TestAHashThatIsMadeAnewExpires: Redis drops one that is empty, and its time
// with it.
func TestAHashThatIsMadeAnewExpires(t *testing.T) {
	server := testserver.Redis(t, "--appendfsync", "no")
	server.Own()
	c := connect(t, server.URL)
	s := open(t, server.URL, nil)
	for range 2 {
		for _, client := range fill(t, s, "x", 2, state.Lane{Last: 1, From: 1}) {
			key := c.Keys(t.Context(), "{lockstep:/*}lanes:x").Val()
			if len(key) != 1 || c.PTTL(t.Context(), key[0]).Val() <= 0 {
				t.Errorf("%q has no end", key)
			}
			if err := s.Finish(t.Context(), state.Mark{Topic: "x", Client: client, UpTo: 1}); err != nil {
				t.Fatal(err)
			}
		}
		if keys := c.Keys(t.Context(), "{lockstep:/*}lanes:x").Val(); len(keys) != 0 {
			t.Errorf("got %q, want none: all are done", keys)
		}
	}
}

// TestALaneIsInOnePlace, wherever it comes from: an older one must not come to
// light.
func TestALaneIsInOnePlace(t *testing.T) {
	const lifetime, done = 7 * time.Hour, 7 * time.Minute
	server := testserver.Redis(t, "--appendfsync", "no")
	server.Own()
	c := connect(t, server.URL)
	s := open(t, server.URL, &redisstate.Options{Lifetime: lifetime, DoneLifetime: done})
	one := client()
	r := get(t, s, "x")
	seq := uint64(0)
	move := func() {
		t.Helper()
		seq++
		o := s.Commit(t.Context(), state.Step{Topic: "x", Base: r, Moves: []state.Move{{Client: one, Min: seq - 1, Max: seq - 1, To: state.Lane{Last: seq, From: 1}}}})[0]
		if o.Err != nil || o.Made[0] != (seq == 1) {
			t.Fatalf("move %d: %+v", seq, o)
		}
		r = o.Record
	}
	where := func(want string) {
		t.Helper()
		var found []string
		for _, kind := range []string{"lanes", "older", "done", "gone"} {
			for _, key := range c.Keys(t.Context(), "{lockstep:/*}"+kind+":x").Val() {
				if value, err := c.HGet(t.Context(), key, string(one[:])).Result(); err == nil {
					found = append(found, kind+" "+value)
				}
			}
		}
		if got := strings.Join(found, ", "); got != want {
			t.Errorf("the lane is in %q, want %q", got, want)
		}
	}
	turn := func(lifetime time.Duration) {
		t.Helper()
		for range 8 {
			s.Shift(lifetime/7 + time.Second)
			r = click(t, s, "x", 1)
		}
	}
	finish := func() {
		t.Helper()
		if err := s.Finish(t.Context(), state.Mark{Topic: "x", Client: one, UpTo: seq}); err != nil {
			t.Fatal(err)
		}
	}
	lane := func() string { return fmt.Sprintf("%d-%d", seq, seq-1) }

	move()
	where("lanes 1") // last and from are one
	turn(lifetime)
	where("older 1")
	move()
	where("lanes " + lane())
	turn(lifetime)
	finish()
	where("done " + lane())
	turn(done)
	where("gone " + lane())
	finish()
	where("done " + lane())
	move()
	where("lanes " + lane())
	finish()
	turn(done)
	move()
	where("lanes " + lane())
}
