package state_test

import (
	"testing"
	"testing/synctest"
	"time"

	"lockstep/state"
)

// Actions of two kinds never end, one after the other, and when nothing was done for
// long. Each is given up by its own limit, and its op refused after three tries.
func TestEachActionHasItsOwnLimitWheneverItBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		defer close(end)
		hangs := func(name string, limit time.Duration) state.Kind[int] {
			return state.Kind[int]{Name: name, Limit: limit, Actions: map[string]state.Action[int]{
				"hang": func(n int, _ state.Fields, _ state.Call) (int, error) { <-end; return n, nil },
				"slow": func(n int, _ state.Fields, _ state.Call) (int, error) {
					time.Sleep(limit * 9 / 10)
					return n + 1, nil
				},
			}}
		}
		quick, long := hangs("quick", 100*time.Millisecond), hangs("long", 5*time.Second)
		b := state.NewBatcher(newMapStore(), nil, quick, long)
		for range 3 {
			for _, k := range []state.Kind[int]{quick, long} {
				began := time.Now()
				wantAnswer(t, apply(t, b, k.Topic("a"), newTab().op("hang")), state.Refused, state.ReasonFailed, false)
				if d := time.Since(began); d < 3*k.Limit || d > 3*(k.Limit+quick.Limit) {
					t.Errorf("%s was refused after %v, want three times %v", k.Name, d, k.Limit)
				}
				wantAnswer(t, apply(t, b, k.Topic("a"), newTab().op("slow")), state.Ack, "", false)
			}
			time.Sleep(time.Minute)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
