package lockstep_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"lockstep"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
)

// A clockSite is a replica with timers.
type clockSite struct {
	*lockstep.App
	hits   *lockstep.Shared[hits]
	timers *lockstep.Timers
}

func openWithTimers(t *testing.T, d driver.Driver, store state.Store) clockSite {
	t.Helper()
	a := lockstep.New(d, store, &lockstep.Options{Logger: slog.New(slog.DiscardHandler)})
	s := clockSite{a, lockstep.Share(a, "hits", number), lockstep.NewTimers(a)}
	lockstep.On(s.hits, "hit", func(h hits, in by, _ lockstep.Call) (hits, error) {
		if in.By < 0 {
			return h, lockstep.Refused("forwards only")
		}
		h.N += max(in.By, 1)
		return h, nil
	})
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s clockSite) stop(t *testing.T) {
	t.Helper()
	if err := s.Stop(context.Background(), 0); err != nil {
		t.Error(err)
	}
}

// TestATimerRunsOnce, on whichever replica, at its time and not before, and after a time in which
// none ran.
func TestATimerRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one, two := openWithTimers(t, bus, store), openWithTimers(t, bus, store)
		set := func(id string, after time.Duration, by int64) {
			t.Helper()
			err := one.timers.Set(t.Context(), id, time.Now().Add(after), "hits:x", "hit", map[bool]any{true: state.Fields{"by": {"10"}}, false: nil}[by == 10], lockstep.User{ID: "clock"})
			if err != nil {
				t.Fatal(err)
			}
		}
		has := func(s clockSite, want int64) {
			t.Helper()
			if got, err := s.hits.Read(t.Context(), "x"); err != nil || got.N != want {
				t.Errorf("got %+v, %v, want %d", got, err, want)
			}
		}
		set("a", time.Minute, 1)
		set("b", 2*time.Minute, 1)
		set("b", 3*time.Minute, 10) // in place of the one before
		set("never", 3*time.Minute, 1)
		if err := two.timers.Cancel(t.Context(), "never"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(59 * time.Second)
		has(one, 0)
		time.Sleep(2 * time.Second)
		has(two, 1)
		time.Sleep(90 * time.Second)
		has(one, 1)
		one.stop(t)
		two.stop(t)
		time.Sleep(time.Hour)
		three := openWithTimers(t, bus, store)
		time.Sleep(2 * time.Second)
		has(three, 11)
		time.Sleep(time.Hour)
		has(three, 11)
		if err := three.timers.Set(t.Context(), "c", time.Now(), "hits:x", "nothing", nil, lockstep.User{}); err == nil {
			t.Error("a timer has an action that there is not")
		}
		three.stop(t)
	})
}
