package app_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/app"
	"lockstep/live/livetest"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
)

// TestAnEntryInThePlaceOfALostOneIsShown: of a log that was restored an entry may have the name and
// the number of one that was lost, when the same program goes on and says something else. All that
// a replica sees of that may be the log as it is then.
func TestAnEntryInThePlaceOfALostOneIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := func(words ...string) state.Store {
			t.Helper()
			time.Sleep(time.Millisecond) // an epoch is never used twice
			store := memstate.New(nil)
			a := start(t, mempubsub.NewBus(), store, "of a program")
			for i, text := range words {
				op := state.Op{Client: state.Client{1}, Seq: uint64(i) + 1, From: 1, Do: "say", In: state.Fields{"text": {text}}}
				if answer, err := a.Do(t.Context(), app.Visitor{User: "p"}, "log:x", op); err != nil || answer.Verdict != state.Ack {
					t.Fatalf("got %+v, %v", answer, err)
				}
			}
			return store
		}
		store := &restorable{s: said("first", "lost")}
		a := start(t, mempubsub.NewBus(), store, "one")
		tab := livetest.Open(t, a.Runtime(), viewOf(t, a, "log:x"))
		tab.Send(`{"hello":2}`)
		time.Sleep(time.Second)
		again := said("first", "again")
		store.mu.Lock()
		store.s = again
		store.mu.Unlock()
		time.Sleep(10 * time.Second) // it is read anew
		if got := tab.Shown("log:x").Content; !strings.Contains(got, "again") || strings.Contains(got, "lost") {
			t.Errorf("got %s, want the entry that the store has", got)
		}
	})
}
