package lockstep_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/pubsub/mempubsub"
	"lockstep/state/memstate"
)

// TestAProgramSharesWhileSomebodyLooks does what a page of operators does: what one replica has is
// said only while somebody looks at another.
func TestAProgramSharesWhileSomebodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := mempubsub.NewBus()
		type change struct {
			key  string
			tabs int
		}
		heard := make(chan change, 16)
		open := func(watched func(key string, tabs int)) *lockstep.Soft[string] {
			a := lockstep.New(bus, memstate.New(nil), &lockstep.Options{Logger: slog.New(slog.DiscardHandler)})
			s := lockstep.PresentWith(a, lockstep.SoftOptions[string]{
				Name: "rows", Look: func(string, []string) (string, lockstep.Component) { return "#x", templ.NopComponent },
				MaxValue: 1500, Watched: watched,
			})
			if err := a.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = a.Stop(context.Background(), 0) })
			return s
		}
		one := open(nil)
		two := open(func(key string, tabs int) { heard <- change{key, tabs} })
		time.Sleep(time.Second)
		if err := two.Set("all", "two", "x"); err == nil {
			t.Error("what nobody watches is set")
		}
		end, leave := one.Look("all"), one.Watch("all")
		if got := <-heard; got != (change{"all", 1}) {
			t.Fatalf("got %v, want that somebody looks", got)
		}
		defer two.Watch("all")()
		long := string(slices.Repeat([]byte("x"), 1400))
		if err := two.Set("all", "two", long); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		for owner, v := range one.Values("all") {
			if owner != "two" || v != long {
				t.Errorf("got %s of %s", v, owner)
			}
		}
		two.Drop("all", "two")
		time.Sleep(time.Second)
		for owner := range one.Values("all") {
			t.Errorf("there is still what %s has taken back", owner)
		}
		leave()
		end()
		end() // is harmless
		if got := <-heard; got != (change{"all", 0}) {
			t.Errorf("got %v, want that nobody looks", got)
		}
	})
}
