package boltstate_test

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"lockstep/state"
	"lockstep/state/boltstate"
)

const (
	lifetime     = 7 * time.Hour
	doneLifetime = 7 * time.Minute
	// By state.Age a lane is known in so many sevenths of a lifetime.
	knownAges = 9
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

// age makes commits, and lets some time pass before each.
func age(t testing.TB, s *boltstate.Store, commits int, each time.Duration) {
	t.Helper()
	for range commits {
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
	age(t, s, knownAges-1, lifetime/7)
	before := lanes(t, s)
	s.Shift(lifetime / 7) // now they are due
	for range 2 * n / boltstate.SweepMost {
		commit(t, s, state.Step{Topic: "clock"})
		now := lanes(t, s)
		if gone := before + 1 - now; gone > boltstate.SweepMost+2 {
			t.Fatalf("a commit swept %d lanes, want %d at most", gone, boltstate.SweepMost+2)
		}
		before = now
	}
	if want := 2*n/boltstate.SweepMost + knownAges; before > want {
		t.Errorf("%d lanes are left, want the %d of the clock at most", before, want)
	}
}

func TestALaneThatIsDueIsNotKnownBeforeItIsSwept(t *testing.T) {
	s := openShort(t)
	clients := makeLanes(t, s, "a", 2000)
	age(t, s, knownAges-1, lifetime/7)
	last := slices.MaxFunc(clients, func(a, b state.Client) int { return bytes.Compare(a[:], b[:]) })
	wantAdded(t, s, "a", last, 1, false)
	s.Shift(lifetime / 7)
	wantAdded(t, s, "a", last, 1, true)
}

func TestLanesAreSweptFasterThanTheyAreMade(t *testing.T) {
	s := openShort(t)
	const n = 1000
	for range 4 * knownAges {
		makeLanes(t, s, "a", n)
		s.Shift(lifetime / 7)
	}
	// While a sweep goes by all lanes, half as many are made at most.
	if got, most := lanes(t, s), 2*knownAges*n; got > most {
		t.Errorf("%d lanes after %d ages of %d lanes each, want %d at most", got, 4*knownAges, n, most)
	}
}

func TestLanesThatAreDoneAreSwept(t *testing.T) {
	s := openShort(t)
	const n = 500
	for _, c := range makeLanes(t, s, "a", n) {
		must(t, s.Finish(t.Context(), state.Mark{Topic: "a", Client: c, UpTo: 1}))
	}
	kept := makeLanes(t, s, "a", 10)
	age(t, s, knownAges, doneLifetime/7)
	age(t, s, 20, 0)
	if got, want := lanes(t, s), len(kept)+knownAges+20; got != want {
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
		age(t, s, knownAges-1, lifetime/7)
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

func TestLanesAreLookedAtOnceInAnAge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "states.db")
	s, err := boltstate.Open(path, nil)
	must(t, err)
	age(t, s, knownAges+1, state.Lifetime/7)
	age(t, s, 2, 0) // the sweep comes to its end
	must(t, s.Close())
	inFile(t, path, func(tx *bbolt.Tx) error { // one of the first age, behind its back
		return tx.Bucket([]byte("lanes")).Put(append([]byte{1}, make([]byte, 16)...), []byte{1, 0, 0})
	})
	s = open(t, path)
	before := lanes(t, s)
	age(t, s, 10, 0)
	if got, want := lanes(t, s), before+10; got != want {
		t.Errorf("%d lanes after ten commits in the age that was swept, want %d", got, want)
	}
	age(t, s, 1, state.Lifetime/7)
	if got, all := lanes(t, s), before+11; got >= all {
		t.Errorf("%d lanes after a commit in the next age, want less", got)
	}
}
