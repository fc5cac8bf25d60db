package app_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"lockstep/live/livetest"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
)

// TestAnEntryOfALongChatCostsATabLittle: each of many tabs is sent it alone, once. With
// LOCKSTEP_CHAOS=full these are 10,000 tabs.
func TestAnEntryOfALongChatCostsATabLittle(t *testing.T) {
	const topic, most = "log:x", 400 // bytes
	tabs, entries := 100, 1000
	if os.Getenv("LOCKSTEP_CHAOS") == "full" {
		tabs, entries = 10_000, 10_000
	}
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one, two := start(t, bus, store, "one"), start(t, bus, store, "two")
		p, err := one.Producer(topic, state.ProducerClient([]byte("a secret of tests"), "x"), &state.ProducerOptions{User: "ab12cd34"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		text := strings.TrimSpace(strings.Repeat("ten words and more, ", 5)) // a long sentence
		for i := range entries {
			if err := p.Send(t.Context(), "say", state.Fields{"text": {fmt.Sprint(i)}}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := p.Do(t.Context(), "say", state.Fields{"text": {"the last before they come"}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		hello := hello(t, store, topic)
		var all []*livetest.Tab
		for i := range tabs {
			a := one
			if i%2 == 1 {
				a = two
			}
			tab := livetest.Open(t, a.Runtime(), viewOf(t, a, topic))
			tab.Send(hello)
			all = append(all, tab)
		}
		synctest.Wait()
		if _, err := p.Do(t.Context(), "say", state.Fields{"text": {text}}); err != nil {
			t.Fatal(err)
		}
		for i, tab := range all {
			tab.Until("the entry", func() bool { return len(framesOf(t, tab, topic, 0)) > 0 })
			frames := framesOf(t, tab, topic, 0)
			if len(frames) != 1 || frames[0].A == nil || len(entriesOf(frames[0].Content)) != 1 || frames[0].size > most {
				t.Fatalf("tab %d got %d frames, the first of %d bytes: %s", i, len(frames), frames[0].size, frames[0].Content)
			}
		}
		t.Logf("%d bytes for an entry of %d letters, to each of %d tabs", framesOf(t, all[0], topic, 0)[0].size, len(text), tabs)
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
