package app_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/app"
	"lockstep/live/livetest"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
)

// Replicas that show a topic compute from what the others were heard to commit:
// most clicks cost one call of the store, whoever has clicked before.
func TestAClickCostsOneCallOfTheStoreWhoeverClickedBefore(t *testing.T) {
	for name, c := range map[string]struct {
		over func(t *testing.T, d driver.Driver) driver.Driver
		want uint64 // conflicts
	}{
		"a broker inside the process":          {func(_ *testing.T, d driver.Driver) driver.Driver { return d }, 0},
		"signed":                               {func(t *testing.T, d driver.Driver) driver.Driver { return signing(t, foreign{d}, false, newSecret) }, 0},
		"not signed: nobody knows who says it": {func(_ *testing.T, d driver.Driver) driver.Driver { return foreign{d} }, 19},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus, store := mempubsub.NewBus(), memstate.New(nil)
				o := &app.Options{Refresh: time.Hour, Digest: time.Hour}
				one, two := startWith(t, c.over(t, bus), store, o), startWith(t, c.over(t, bus), store, o)
				a, b := livetest.Open(t, one.Runtime(), viewOf(t, one, "counter:x")), livetest.Open(t, two.Runtime(), viewOf(t, two, "counter:x"))
				for n := range 20 {
					tab := []*livetest.Tab{a, b}[n%2]
					tab.Click("counter:x", "increment")
					tab.Until("its click", count(tab, "x", n+1))
					time.Sleep(time.Second)
				}
				first, second := one.Writes(), two.Writes()
				got := state.Stats{Calls: first.Calls + second.Calls, Commits: first.Commits + second.Commits, Conflicts: first.Conflicts + second.Conflicts}
				if got.Commits != 20 || got.Conflicts > c.want || got.Calls != 20+got.Conflicts {
					t.Errorf("got %+v, want 20 commits and %d conflicts at most", got, c.want)
				}
			})
		})
	}
}

// Somebody who may publish says what the next state is, and then another replica
// makes one: the store confirms the version of what the next click is computed from,
// and not what is in it.
func TestNoClickIsComputedFromWhatAStrangerSays(t *testing.T) {
	for name, signed := range map[string]bool{"signed": true, "not signed": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstate.New(nil)
				var d driver.Driver = foreign{mempubsub.NewBus()}
				vandal := openWire(t, d)
				if signed {
					d = signing(t, d, false, newSecret)
				}
				o := &app.Options{Refresh: time.Hour, Digest: time.Hour}
				one := startWith(t, d, store, o)
				two := startWith(t, mempubsub.NewBus(), store, o) // the other hears nothing of it
				a, b := livetest.Open(t, one.Runtime(), viewOf(t, one, "counter:x")), livetest.Open(t, two.Runtime(), viewOf(t, two, "counter:x"))
				a.Click("counter:x", "increment")
				a.Until("its click", count(a, "x", 1))
				time.Sleep(time.Second)
				v := recordOf(t, store, "counter:x")
				lie := fmt.Sprintf(`{"e":%d,"v":%d,"s":"1 666","r":"liar"}`, v.Epoch, v.Version+1)
				if err := vandal.Publish(t.Context(), "counter:x", []byte(lie)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				b.Click("counter:x", "increment")
				b.Until("its click", count(b, "x", 2))
				a.Click("counter:x", "increment")
				a.Until("all clicks", count(a, "x", 3))
			})
		})
	}
}

// Each of two busy replicas lets the other go first.
func TestBusyReplicasTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), slowState{memstate.New(nil)}
		one, two := start(t, bus, store, "one"), start(t, bus, store, "two")
		tabs := []*livetest.Tab{livetest.Open(t, one.Runtime(), viewOf(t, one, "counter:x")), livetest.Open(t, two.Runtime(), viewOf(t, two, "counter:x"))}
		const n = 200
		for range n / 2 {
			for _, tab := range tabs {
				tab.Click("counter:x", "increment")
			}
			time.Sleep(time.Millisecond)
		}
		for _, tab := range tabs {
			tab.Until("all clicks", count(tab, "x", n))
		}
		first, second := one.Writes(), two.Writes()
		if commits, conflicts := first.Commits+second.Commits, first.Conflicts+second.Conflicts; conflicts > commits/4 {
			t.Errorf("got %d conflicts for %d commits, want that most hold at the first try", conflicts, commits)
		}
		tabs[0].Click("counter:x", "increment")
		tabs[1].Until("the last click", count(tabs[1], "x", n+1))
		time.Sleep(10 * time.Second) // the store has said what was heard, too
		if got := one.Runtime().Stats().Corrections + two.Runtime().Stats().Corrections; got != 0 {
			t.Errorf("got %d corrections, want that the store bears out what another replica says", got)
		}
	})
}

// What it hears of itself is no reason to wait.
func TestALoneReplicaWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := startWith(t, slowBus{mempubsub.NewBus(), time.Millisecond}, slowState{memstate.New(nil)}, nil)
		livetest.Open(t, a.Runtime(), viewOf(t, a, "counter:x"))
		time.Sleep(time.Second)
		began := time.Now()
		for n := range 20 {
			op := state.Op{Client: state.Client{1}, Seq: uint64(n) + 1, From: uint64(n) + 1, Do: "increment"}
			if got, err := a.Do(t.Context(), app.Visitor{}, "counter:x", op); err != nil || got.Verdict != state.Ack {
				t.Fatal(got, err)
			}
		}
		if d := time.Since(began); d > 21*2*time.Millisecond {
			t.Errorf("20 clicks took %v, want 2 ms each", d)
		}
	})
}

// A slowState takes a while for each commit.
type slowState struct{ state.Store }

// Commit implements state.Store.
func (s slowState) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	time.Sleep(2 * time.Millisecond)
	return s.Store.Commit(ctx, steps...)
}
