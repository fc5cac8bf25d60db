package state_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"lockstep/state"
	"lockstep/state/memstate"
)

func TestFieldErrorsAreReadAsTheyWereWritten(t *testing.T) {
	for _, want := range []state.FieldErrors{
		{"name": "this name is taken"},
		{"name": "this name is taken", "email": "this is not an address: it has no @"},
		{"a-b_C9": "x"},
		{"name": ""},
	} {
		got, ok := state.ParseFieldErrors(want.Error())
		if !ok || !maps.Equal(got, want) {
			t.Errorf("%q: got %v, %v, want %v", want.Error(), got, ok, want)
		}
	}
	if err := (state.FieldErrors{}).Err(); err != nil {
		t.Errorf("got the error %v of nothing", err)
	}
}

func TestAReasonOfOtherWordsIsNotOfFields(t *testing.T) {
	for _, reason := range []string{
		"", "\n", "this page may not do that here", "account 1: it has only 100", "name: x\nand more", ": x", "1st: x", "näme: x", "a b: x",
	} {
		if got, ok := state.ParseFieldErrors(reason); ok {
			t.Errorf("%q: got %v", reason, got)
		}
	}
}

func TestFieldErrorsKeepWithinWhatIsKeptOfARefusal(t *testing.T) {
	long := state.FieldErrors{"a": strings.Repeat("x", 90), "b": strings.Repeat("y", 90), "c": strings.Repeat("z", 90), "d": "short"}
	if got := len(long.Error()); got > 200 {
		t.Errorf("got %d bytes", got)
	}
	got, ok := state.ParseFieldErrors(long.Error())
	if want := (state.FieldErrors{"a": long["a"], "b": long["b"], "d": "short"}); !ok || !maps.Equal(got, want) {
		t.Errorf("got %v, want whole lines: %v", got, want)
	}
	if got := (state.FieldErrors{"a": "two\nlines"}).Error(); got != "a: two lines" {
		t.Errorf("got %q: a line break would make a field of its own", got)
	}
}

// TestARefusalByFieldsIsTheSameWhenTheFormIsSentAgain: also by another replica, which has only
// what the store has kept.
func TestARefusalByFieldsIsTheSameWhenTheFormIsSentAgain(t *testing.T) {
	kind := state.Kind[int]{Name: "form", Actions: map[string]state.Action[int]{
		"send": func(int, state.Fields, state.Call) (int, error) {
			return 0, state.FieldErrors{"name": "this name is taken", "email": "this is not an address"}.Err()
		},
	}}
	store := memstate.New(nil)
	op := state.Op{Client: state.Client{1}, Seq: 1, From: 1, Do: "send"}
	for again := range 2 {
		b := state.NewBatcher(store, &state.BatcherOptions{Clock: time.Now}, kind)
		a, err := b.Apply(context.Background(), nil, "form:x", op)
		if err != nil || a.Verdict != state.Refused || a.Again != (again > 0) {
			t.Fatalf("got %+v, %v", a, err)
		}
		if got, ok := state.ParseFieldErrors(a.Reason); !ok || got["name"] != "this name is taken" || len(got) != 2 {
			t.Errorf("got %v, %v", got, ok)
		}
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}
