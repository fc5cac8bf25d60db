package driver_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"lockstep/pubsub/driver"
)

func TestGatherTakesWhatWaitsAndNoMoreThanItMay(t *testing.T) {
	behind := make(chan int, 8)
	for n := 2; n <= 6; n++ {
		behind <- n
	}
	if got := driver.Gather(1, behind, 4); !slices.Equal(got, []int{1, 2, 3, 4}) {
		t.Errorf("got %v of more than it may", got)
	}
	if got := driver.Gather(1, behind, 4); !slices.Equal(got, []int{1, 5, 6}) {
		t.Errorf("got %v of less", got)
	}
	if got := driver.Gather(1, behind, 4); !slices.Equal(got, []int{1}) {
		t.Errorf("got %v of nothing", got)
	}
}

// TestAskEndsWithTheConnectionAndTheContext: before the request is taken, and before it is
// answered.
func TestAskEndsWithTheConnectionAndTheContext(t *testing.T) {
	lost := errors.New("lost")
	for name, room := range map[string]int{"not taken": 0, "taken": 1} {
		t.Run(name, func(t *testing.T) {
			in := driver.NewInbox(nil)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 2)
			ask := func(ctx context.Context) { ended <- driver.Ask(ctx, in, make(chan int, room), 1, make(chan error, 1)) }
			go ask(ctx)
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v of a context that has ended", err)
			}
			go ask(t.Context())
			in.End(lost)
			if err := <-ended; !errors.Is(err, lost) {
				t.Errorf("got %v of a connection that is lost", err)
			}
		})
	}
	answer := make(chan error, 1)
	answer <- lost
	if err := driver.Ask(t.Context(), driver.NewInbox(nil), make(chan int, 1), 1, answer); !errors.Is(err, lost) {
		t.Errorf("got %v, want the answer", err)
	}
}
