package lockstep_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"lockstep"
	"lockstep/pubsub/mempubsub"
	"lockstep/state/memstate"
)

func TestWhatWasOpenedForAnApplicationIsClosedAtTheEndInReverseOrder(t *testing.T) {
	for name, started := range map[string]bool{"after Start": true, "before Start": false} {
		t.Run(name, func(t *testing.T) {
			a := lockstep.New(mempubsub.NewBus(), memstate.New(nil), nil)
			var order []int
			broken := errors.New("it does not close")
			a.OnStop(func(context.Context) error { order = append(order, 1); return broken })
			a.OnStop(func(context.Context) error { panic("of a callback") })
			a.OnStop(func(context.Context) error {
				order = append(order, 3)
				if started && a.Hub().Err() == nil {
					t.Error("the hub runs while the store is closed")
				}
				return nil
			})
			if started {
				if err := a.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			err := a.Stop(t.Context(), 0)
			if !slices.Equal(order, []int{3, 1}) {
				t.Errorf("got the order %v, want the last first", order)
			}
			if !errors.Is(err, broken) || !strings.Contains(err.Error(), "panic in what OnStop has added: of a callback") {
				t.Errorf("got %v, want both errors", err)
			}
			if err := a.Stop(t.Context(), 0); err != nil || len(order) != 2 {
				t.Errorf("a second Stop: got %v and %v, want nothing", err, order)
			}
		})
	}
}

// A broker that can't be reached must not leave the file of the store locked.
func TestWhatWasOpenedIsClosedAfterAStartThatHasFailed(t *testing.T) {
	a := lockstep.New(mempubsub.NewBus(), memstate.New(nil), nil)
	closed := false
	a.OnStop(func(context.Context) error { closed = true; return nil })
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Start(gone); err == nil {
		t.Fatal("it has started without a broker")
	}
	if err := a.Stop(t.Context(), 0); err != nil || !closed {
		t.Errorf("got %v, closed %t", err, closed)
	}
}
