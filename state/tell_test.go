package state_test

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"lockstep/state"
	"lockstep/state/memstate"
)

// TestWhatAnActionTellsIsInTheFirstAnswer, and in no other: the answer to an op that is sent again,
// or that was not applied, says nothing more.
func TestWhatAnActionTellsIsInTheFirstAnswer(t *testing.T) {
	kind := state.Kind[int]{Name: "n", Actions: map[string]state.Action[int]{
		"add": func(n int, in state.Fields, c state.Call) (int, error) {
			c.Tell("was")
			c.Tell(n)
			if in.Get("no") != "" {
				return n, errors.New("no")
			}
			return n + 1, nil
		},
	}}
	b := state.NewBatcher(memstate.New(nil), nil, kind)
	defer func() { _ = b.Close(context.Background()) }()
	client, err := state.ParseClient("AAAAAAAAAAAAAAAAAAAAAA")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		seq     uint64
		in      state.Fields
		verdict state.Verdict
		told    []any
	}{
		{1, nil, state.Ack, []any{"was", 0}},
		{1, nil, state.Ack, nil},
		{2, state.Fields{"no": {"1"}}, state.Refused, nil},
		{3, nil, state.Ack, []any{"was", 1}},
	} {
		got, err := b.Apply(t.Context(), nil, "n:x", state.Op{Client: client, Seq: want.seq, From: 1, Do: "add", In: want.in})
		if err != nil || got.Verdict != want.verdict || !reflect.DeepEqual(got.Told, want.told) {
			t.Errorf("%d: got %+v, %v, want %v and told %v", i, got, err, want.verdict, want.told)
		}
	}
}
