package boltstate_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"lockstep/state"
	"lockstep/state/boltstate"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, path string) *boltstate.Store {
	t.Helper()
	return openWith(t, path, nil)
}

func openWith(t testing.TB, path string, opts *boltstate.Options) *boltstate.Store {
	t.Helper()
	s, err := boltstate.Open(path, opts)
	must(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// wantOneLine checks that an error is for the person who starts the program.
func wantOneLine(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("got no error")
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %q, without %q", err, part)
		}
	}
}

func newClient() (c state.Client) {
	_, _ = rand.Read(c[:]) // it never fails
	return c
}

// move returns the move of an op that is the next of its client, or the first.
func move(c state.Client, seq uint64) state.Move {
	return state.Move{Client: c, Min: seq - 1, Max: seq - 1, To: state.Lane{Last: seq, From: 1}}
}

// add makes an op, which adds one to the number that is a topic's data, and
// reports whether it was new.
func add(ctx context.Context, s state.Store, topic string, c state.Client, seq uint64) (bool, error) {
	records, err := s.Read(ctx, topic)
	if err != nil {
		return false, err
	}
	for r := records[0]; ; {
		n, _ := strconv.Atoi(string(r.Data)) // nothing is 0
		o := s.Commit(ctx, state.Step{
			Topic: topic, Base: r, Data: strconv.AppendInt(nil, int64(n)+1, 10), Moves: []state.Move{move(c, seq)},
		})[0]
		switch {
		case !errors.Is(o.Err, state.ErrConflict):
			return o.Err == nil, o.Err
		case o.Lanes[0].Last >= seq:
			return false, nil
		case o.Lanes[0].Last != seq-1:
			return false, fmt.Errorf("op %d of a client whose last is %d", seq, o.Lanes[0].Last)
		case !o.Record.Same(r):
			r = o.Record
		}
	}
}

// wantAdded checks whether an op is one that the store does not know.
func wantAdded(t testing.TB, s state.Store, topic string, c state.Client, seq uint64, want bool) {
	t.Helper()
	got, err := add(t.Context(), s, topic, c, seq)
	must(t, err)
	if got != want {
		t.Errorf("op %d on %s: new %v, want %v", seq, topic, got, want)
	}
}

func read(t testing.TB, s state.Store, topic string) state.Record {
	t.Helper()
	records, err := s.Read(t.Context(), topic)
	must(t, err)
	return records[0]
}

// wantCount checks the number that add has made.
func wantCount(t testing.TB, s state.Store, topic string, want int) {
	t.Helper()
	if r := read(t, s, topic); string(r.Data) != strconv.Itoa(want) || r.Version != uint64(want) {
		t.Errorf("%s: got %q in version %d, want %d", topic, r.Data, r.Version, want)
	}
}

// commit does one step on the newest record, and fails the test if it does not
// hold.
func commit(t testing.TB, s state.Store, step state.Step) state.Outcome {
	t.Helper()
	step.Base = read(t, s, step.Topic)
	if step.Moves == nil {
		step.Moves = []state.Move{move(newClient(), 1)}
	}
	o := s.Commit(t.Context(), step)[0]
	must(t, o.Err)
	return o
}
