package app_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"lockstep/app"
	"lockstep/live/livetest"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
)

// TestAProgramWithoutPagesAppends: what it says is shown by other replicas, each entry once,
// although it ends in between and is started again.
func TestAProgramWithoutPagesAppends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		replica, program := start(t, bus, store, "replica"), start(t, bus, store, "program")
		const topic, n = "log:x", 30
		tab := livetest.Open(t, replica.Runtime(), viewOf(t, replica, topic))
		tab.Send(hello(t, store, topic))
		client := state.ProducerClient([]byte("a secret of tests"), "x")
		for _, until := range []uint64{n / 3, n} {
			p, err := program.Producer(topic, client, &state.ProducerOptions{User: "program"})
			if err != nil {
				t.Fatal(err)
			}
			done, err := p.Resume(t.Context())
			if err != nil || done != 0 && done != n/3 {
				t.Fatalf("got %d, %v", done, err)
			}
			for i := done; i < until; i++ {
				if err := p.Send(t.Context(), "say", state.Fields{"text": {fmt.Sprint(i)}}, nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		tab.Until("all entries", func() bool { return len(entriesOfAll(t, tab, topic)) == n })
		first, raw, err := store.Entries(t.Context(), topic, 0, 2*n)
		if err != nil || len(raw) != n {
			t.Fatalf("got %d entries, %v", len(raw), err)
		}
		stored, err := state.ReadEntries[app.Message](first, raw)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range stored {
			if e.M != (app.Message{By: "program", Text: fmt.Sprint(i)}) || e.N != uint64(i)+1 {
				t.Errorf("the entry %d is %+v", i, e)
			}
		}
		if _, err := program.Producer("nothing:x", client, nil); !errors.Is(err, app.ErrNoTopic) {
			t.Errorf("got %v, want ErrNoTopic", err)
		}
	})
}

// entriesOfAll are the ids of all entries that a tab was sent, each once.
func entriesOfAll(t *testing.T, tab *livetest.Tab, topic string) map[string]bool {
	t.Helper()
	ids := make(map[string]bool)
	for _, f := range framesOf(t, tab, topic, 0) {
		for _, id := range entriesOf(f.Content) {
			ids[id] = true
		}
	}
	return ids
}
