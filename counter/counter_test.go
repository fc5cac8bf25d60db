package counter_test

import (
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"

	"lockstep/counter"
)

func TestValueNewerOrdersByEpochFirst(t *testing.T) {
	ordered := []counter.Value{
		{}, {Epoch: 1}, {N: 9, Epoch: 1, Version: 1}, {N: 3, Epoch: 1, Version: 2}, {Epoch: 2}, {Epoch: 2, Version: 1},
	}
	for i, v := range ordered {
		for j, w := range ordered {
			if got, want := v.Newer(w), i > j; got != want {
				t.Errorf("%+v newer than %+v: got %v, want %v", v, w, got, want)
			}
		}
	}
}

func TestStep(t *testing.T) {
	for _, c := range []struct {
		name     string
		n        int64
		kind     counter.Kind
		delta    int64
		want     int64
		overflow bool
	}{
		{name: "no delta means 1", n: 4, kind: counter.Increment, want: 5},
		{name: "increment to the upper end", n: math.MaxInt64 - 3, kind: counter.Increment, delta: 3, want: math.MaxInt64},
		{name: "increment beyond it", n: math.MaxInt64 - 2, kind: counter.Increment, delta: 3, overflow: true},
		{name: "the largest increment of a negative count", n: -1, kind: counter.Increment, delta: math.MaxInt64, want: math.MaxInt64 - 1},
		{name: "decrement to the lower end", n: math.MinInt64 + 3, kind: counter.Decrement, delta: 3, want: math.MinInt64},
		{name: "decrement beyond it", n: math.MinInt64 + 2, kind: counter.Decrement, delta: 3, overflow: true},
		{name: "the largest decrement of -1", n: -1, kind: counter.Decrement, delta: math.MaxInt64, want: math.MinInt64},
		{name: "reset at the end", n: math.MaxInt64, kind: counter.Reset, delta: 8, want: 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := counter.Step(c.n, counter.Op{Kind: c.kind, Delta: c.delta})
			if errors.Is(err, counter.ErrOverflow) != c.overflow || !c.overflow && got != c.want {
				t.Errorf("got %d, %v, want %d, overflow %v", got, err, c.want, c.overflow)
			}
		})
	}
}

// FuzzValid compares the hand-written checks with the patterns of their
// documentation.
func FuzzValid(f *testing.F) {
	name := regexp.MustCompile(`\A[a-z0-9-]{1,64}\z`)
	id := regexp.MustCompile(`\A[A-Za-z0-9_-]{16,64}\z`)
	for _, s := range []string{
		"", "a", "lobby", "A", "a_b", "a\n", "ä", "\xff", "AZaz09_-AZaz09_-",
		strings.Repeat("x", 15), strings.Repeat("x", 16), strings.Repeat("x", 64), strings.Repeat("x", 65), strings.Repeat("é", 20),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := counter.ValidName(s), name.MatchString(s); got != want {
			t.Errorf("ValidName(%q): got %v, want %v", s, got, want)
		}
		if got, want := counter.ValidOpID(s), id.MatchString(s); got != want {
			t.Errorf("ValidOpID(%q): got %v, want %v", s, got, want)
		}
	})
}
