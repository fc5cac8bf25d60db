package boltstate_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lockstep/state"
	"lockstep/state/boltstate"
)

// wantWritten checks how many transactions f writes to the file.
func wantWritten(t *testing.T, s *boltstate.Store, want int, f func()) {
	t.Helper()
	before, err := s.Transactions()
	must(t, err)
	f()
	after, err := s.Transactions()
	must(t, err)
	if got := after - before; got != want {
		t.Errorf("got %d transactions, want %d", got, want)
	}
}

func TestACommitIsOneTransaction(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "states.db"))
	old := read(t, s, "a")
	steps := make([]state.Step, state.MaxSteps)
	for i := range steps {
		steps[i] = state.Step{Topic: string(rune('a' + i)), Base: old, Moves: []state.Move{move(newClient(), 1)}}
	}
	wantWritten(t, s, 1, func() {
		for _, o := range s.Commit(t.Context(), steps...) {
			must(t, o.Err)
		}
	})
	steps[0].Base = read(t, s, "a")
	steps[0].Moves = []state.Move{move(newClient(), 1)}
	wantWritten(t, s, 1, func() {
		for i, o := range s.Commit(t.Context(), steps...) {
			if want := i > 0; errors.Is(o.Err, state.ErrConflict) != want {
				t.Errorf("step %d: got %v, want a conflict: %v", i, o.Err, want)
			}
		}
	})
}

func TestWhatChangesNothingIsNotWritten(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "states.db"))
	c := newClient()
	base := read(t, s, "a")
	wantAdded(t, s, "a", c, 1, true)
	wantWritten(t, s, 0, func() {
		o := s.Commit(t.Context(),
			state.Step{Topic: "a", Base: base, Moves: []state.Move{move(newClient(), 1)}},
			state.Step{Topic: "b", Base: read(t, s, "b"), Moves: []state.Move{move(newClient(), 2)}})
		if !errors.Is(o[0].Err, state.ErrConflict) || !errors.Is(o[1].Err, state.ErrConflict) {
			t.Errorf("got %v and %v, want two conflicts", o[0].Err, o[1].Err)
		}
		must(t, s.Finish(t.Context(),
			state.Mark{Topic: "a", Client: c, UpTo: 0}, // it has gone on
			state.Mark{Topic: "a", Client: newClient(), UpTo: 1},
			state.Mark{Topic: "nothing", Client: c, UpTo: 1}))
		if len(s.Commit(t.Context())) != 0 {
			t.Error("no steps have an outcome")
		}
	})
}

func TestALogThatIsToBeShorterIsCutInBoundedPortions(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "states.db"))
	s.Hurry(true)
	const n, keep = 20 * state.MaxLog, 3
	for range 20 {
		commit(t, s, state.Step{Topic: "a", Log: make([][]byte, state.MaxLog)})
	}
	commit(t, s, state.Step{Topic: "b", Log: [][]byte{[]byte("of another")}})
	before, err := s.LogEntries()
	must(t, err)
	for range n/(2*state.MaxLog) + 1 {
		commit(t, s, state.Step{Topic: "a", Log: [][]byte{[]byte("newest")}, Keep: keep})
		first, entries, err := s.Entries(t.Context(), "a", 0, state.MaxLog)
		must(t, err)
		if len(entries) > keep || string(entries[len(entries)-1]) != "newest" || first < n-keep {
			t.Fatalf("got %d entries from %d on, want %d", len(entries), first, keep)
		}
		now, err := s.LogEntries()
		must(t, err)
		if before-now > 2*state.MaxLog {
			t.Errorf("a commit deleted %d entries", before-now)
		}
		before = now
	}
	if before != keep+1 {
		t.Errorf("%d entries are in the file, want %d", before, keep+1)
	}
	if first, entries, _ := s.Entries(t.Context(), "a", 0, 0); first != 1 || len(entries) > 0 {
		t.Errorf("got %d entries from %d on, want none from 1 on when none are wanted", len(entries), first)
	}
	if _, entries, _ := s.Entries(t.Context(), "b", 0, 1); len(entries) != 1 || string(entries[0]) != "of another" {
		t.Errorf("got %q of another topic", entries)
	}
}

func TestTopicsHaveNothingInCommon(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "states.db"))
	s.Hurry(true)
	const topics = 300 // more than have an id of one byte
	name := func(i int) string { return strings.Repeat("t", i+1)[:min(i+1, 200)] + strconv.Itoa(max(0, i-199)) }
	c := newClient()
	for seq := range uint64(3) {
		for i := range topics {
			commit(t, s, state.Step{Topic: name(i), Data: []byte(name(i)), Keep: 2,
				Log:   [][]byte{fmt.Appendf(nil, "%d of %s", seq+1, name(i))},
				Moves: []state.Move{move(c, seq+1)}})
		}
	}
	for i := range topics {
		if r := read(t, s, name(i)); string(r.Data) != name(i) || r.Version != 3 {
			t.Errorf("%s: got %+v", name(i), r)
		}
		first, entries, err := s.Entries(t.Context(), name(i), 0, 10)
		must(t, err)
		if want := fmt.Sprintf("2 of %s|3 of %[1]s", name(i)); first != 2 || string(bytes.Join(entries, []byte("|"))) != want {
			t.Errorf("%s: got %q from %d on, want %q from 2 on", name(i), entries, first, want)
		}
		wantAdded(t, s, name(i), c, 3, false)
	}
}

func TestWhatHasNoRoomOnTheDiskIsNotDoneAndHurtsNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "states.db")
	s, err := boltstate.Open(path, nil)
	must(t, err)
	c := newClient()
	wantAdded(t, s, "a", c, 1, true)
	s.Fill(int(sizeOf(t, path)))
	const tries = 20
	failed := 0
	for range tries {
		outcomes := s.Commit(t.Context(),
			state.Step{Topic: "b", Base: read(t, s, "b"), Data: big, Moves: []state.Move{move(c, 1)}},
			state.Step{Topic: "a", Base: read(t, s, "a"), Data: []byte("never"), Moves: []state.Move{move(c, 2)}})
		for _, o := range outcomes {
			if o.Err != nil && !errors.Is(o.Err, state.ErrConflict) {
				failed++
			}
		}
	}
	if failed != 2*tries {
		t.Errorf("%d steps failed, want all %d", failed, 2*tries)
	}
	wantCount(t, s, "a", 1)
	s.Fill(0)
	wantAdded(t, s, "a", c, 2, true)
	wantAdded(t, s, "b", c, 1, true)
	must(t, s.Close())
	s = open(t, path)
	wantCount(t, s, "a", 2)
	wantCount(t, s, "b", 1)
}
