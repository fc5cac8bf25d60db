package lockstep_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep"
	"lockstep/pubsub/mempubsub"
	"lockstep/state/memstate"
)

func TestWhatRunsInTheBackgroundEndsWithTheApplication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := lockstep.New(mempubsub.NewBus(), memstate.New(nil), nil)
		runs, ended := 0, false
		a.Background(func(ctx context.Context) {
			runs++
			if runs == 1 {
				panic("of a job")
			}
			<-ctx.Done()
			ended = true
		})
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second) // it is begun again after its panic
		if err := a.Stop(t.Context(), 0); err != nil {
			t.Error(err)
		}
		if runs != 2 || !ended {
			t.Errorf("it has run %d times, and ended: %t", runs, ended)
		}
	})
}

func TestStopDoesNotWaitForeverForWhatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := lockstep.New(mempubsub.NewBus(), memstate.New(nil), nil)
		stuck := make(chan struct{})
		a.Background(func(context.Context) { <-stuck })
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := a.Stop(ctx, 0); err == nil || !strings.Contains(err.Error(), "Background") {
			t.Errorf("got %v", err)
		}
		close(stuck)
	})
}
