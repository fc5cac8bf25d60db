package boltstate_test

import (
	"path/filepath"
	"testing"
	"time"

	"lockstep/state"
	"lockstep/state/boltstate"
)

const (
	lifetime     = time.Hour
	doneLifetime = time.Minute
)

func openShort(t testing.TB) *boltstate.Store {
	t.Helper()
	s := openWith(t, filepath.Join(t.TempDir(), "states.db"), &boltstate.Options{Lifetime: lifetime, DoneLifetime: doneLifetime})
	s.Hurry(true)
	return s
}

// makeLanes makes lanes of new clients on a topic.
func makeLanes(t testing.TB, s *boltstate.Store, topic string, n int) (clients []state.Client) {
	t.Helper()
	for len(clients) < n {
		step := state.Step{Topic: topic}
		for range min(state.MaxMoves, n-len(clients)) {
			c := newClient()
			clients = append(clients, c)
			step.Moves = append(step.Moves, move(c, 1))
		}
		commit(t, s, step)
	}
	return clients
}

// age lets lifetimes pass, with a commit in each.
func age(t testing.TB, s *boltstate.Store, lifetimes int, each time.Duration) {
	t.Helper()
	for range lifetimes {
		s.Shift(each)
		commit(t, s, state.Step{Topic: "clock"})
	}
}

func lanes(t testing.TB, s *boltstate.Store) int {
	t.Helper()
	n, err := s.Lanes()
	must(t, err)
	return n
}

func TestLanesThatAreDueAreSweptInBoundedPortions(t *testing.T) {
	s := openShort(t)
	const n = 2000
	makeLanes(t, s, "a", n)
	age(t, s, 2, lifetime)
	before := lanes(t, s)
	for range 2 * n / boltstate.SweepMost {
		commit(t, s, state.Step{Topic: "clock"})
		now := lanes(t, s)
		if gone := before + 1 - now; gone > boltstate.SweepMost+2 {
			t.Fatalf("a commit swept %d lanes, want %d at most", gone, boltstate.SweepMost+2)
		}
		before = now
	}
	if want := 2*n/boltstate.SweepMost + 2; before > want {
		t.Errorf("%d lanes are left, want the %d of the clock at most", before, want)
	}
}

func TestLanesAreSweptFasterThanTheyAreMade(t *testing.T) {
	s := openShort(t)
	const n = 4000
	for range 8 {
		makeLanes(t, s, "a", n)
		s.Shift(lifetime)
	}
	if got, most := lanes(t, s), 5*n; got > most {
		t.Errorf("%d lanes after 8 lifetimes of %d lanes each, want %d at most", got, n, most)
	}
}

func TestLanesThatAreDoneAreSwept(t *testing.T) {
	s := openShort(t)
	const n = 500
	for _, c := range makeLanes(t, s, "a", n) {
		must(t, s.Finish(t.Context(), state.Mark{Topic: "a", Client: c, UpTo: 1}))
	}
	kept := makeLanes(t, s, "a", 10)
	age(t, s, 2, doneLifetime)
	age(t, s, 20, 0)
	if got, want := lanes(t, s), len(kept)+22; got != want {
		t.Errorf("%d lanes, want %d", got, want)
	}
	for _, c := range kept {
		wantAdded(t, s, "a", c, 1, false)
	}
}

func TestLanesThatAreInUseAreNotSwept(t *testing.T) {
	s := openShort(t)
	clients := makeLanes(t, s, "a", 300)
	for seq := uint64(2); seq < 10; seq++ {
		age(t, s, 1, lifetime)
		age(t, s, 10, 0)
		for i, c := range clients {
			if i%100 == 0 { // the others go
				wantAdded(t, s, "a", c, seq, true)
			}
		}
	}
	for i, c := range clients {
		if inUse := i%100 == 0; inUse {
			wantAdded(t, s, "a", c, 9, false)
		} else {
			wantAdded(t, s, "a", c, 1, true) // it is a client that nobody knows
		}
	}
}
