package state_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/state"
	"lockstep/state/memstate"
)

// TestAnOpCountsOnceAfterAnyTime: for OpLifetime it is taken, and one that was dealt with is known
// for longer; after that it is not guessed. Forms without JavaScript rest on it.
func TestAnOpCountsOnceAfterAnyTime(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		first, second time.Duration // after the op was made
		want, again   state.Verdict
		counts        int
	}{
		"at once, and six days later":         {time.Second, 6 * day, state.Ack, state.Ack, 1},
		"six days later, and again":           {6 * day, 6*day + time.Minute, state.Ack, state.Ack, 1},
		"at once, and eight days later":       {time.Second, 8 * day, state.Ack, state.Ack, 1},
		"eight days later for the first time": {8 * day, 8*day + time.Minute, state.Old, state.Old, 0},
		"at once, and six weeks later":        {time.Second, 42 * day, state.Ack, state.Old, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kind := state.Kind[int]{Name: "n", Actions: map[string]state.Action[int]{
					"add": func(n int, _ state.Fields, _ state.Call) (int, error) { return n + 1, nil },
				}}
				store := memstate.New(nil)
				b := state.NewBatcher(store, nil, kind)
				defer func() { _ = b.Close(context.Background()) }() // nothing is under way
				made, others := time.Now(), byte(0)
				send := func(at time.Duration, want state.Verdict, again bool) {
					// The store is used all the while, by others: that is when it forgets.
					for time.Since(made) < at {
						time.Sleep(min(12*time.Hour, time.Until(made.Add(at))))
						others++
						if _, err := b.Apply(t.Context(), nil, "n:other", state.Op{Client: state.Client{0xff, others}, Seq: 1, From: 1, Do: "add"}); err != nil {
							t.Fatal(err)
						}
					}
					op := state.Op{Client: state.Client{1}, Seq: 1, From: 1, Do: "add", Age: time.Since(made)}
					got, err := b.Apply(t.Context(), nil, "n:x", op)
					if err != nil || got.Verdict != want || got.Again != again {
						t.Errorf("after %v: got %+v, %v, want %v", at, got, err, want)
					}
				}
				send(c.first, c.want, false)
				send(c.second, c.again, c.again == state.Ack)
				records, err := store.Read(t.Context(), "n:x")
				if err != nil {
					t.Fatal(err)
				}
				if n, err := kind.Read(records[0].Data); err != nil || n != c.counts {
					t.Errorf("got %d, %v, want %d", n, err, c.counts)
				}
			})
		})
	}
}
