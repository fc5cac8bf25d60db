package serve

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestManyProbesCostOneReadOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, away := 0, errors.New("away")
		ask := func(context.Context) error {
			asked++
			return away
		}
		r := &readiness{ask: ask}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if err := r.check(gone); !errors.Is(err, away) {
					t.Errorf("got %v, want %v", err, away)
				}
			})
		}
		all.Wait()
		if asked != 1 {
			t.Errorf("got %d reads, want one", asked)
		}
		time.Sleep(readyFor)
		away = nil
		if err := r.check(t.Context()); err != nil || asked != 2 {
			t.Errorf("got %v after %d reads, want that it is asked again", err, asked)
		}
	})
}
