package app_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/live/livetest"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
)

// TestAnIDThatComesAgainHurtsNobody: a client that has said that it is done is forgotten, and may
// begin anew, so what names its entries in a log comes twice.
func TestAnIDThatComesAgainHurtsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one, two := start(t, bus, store, "one"), start(t, bus, store, "two")
		const topic = "log:x"
		eve := livetest.Open(t, one.Runtime(), viewOf(t, one, topic))
		ann := livetest.Open(t, two.Runtime(), viewOf(t, two, topic))
		for _, tab := range []*livetest.Tab{eve, ann} {
			tab.Send(`{"hello":2}`)
		}
		client := eve.Client()
		say := func(text string) {
			t.Helper()
			before := len(eve.Messages())
			eve.Send(fmt.Sprintf(`{"op":[%q,1,1],"seen":%d,"t":%q,"do":"say","in":{"text":%q}}`, client, time.Now().UnixMilli(), topic, text))
			eve.Until("the answer to "+text, func() bool { return strings.Contains(strings.Join(eve.Messages()[before:], ""), `"ack"`) })
		}
		say("once")
		eve.Send(fmt.Sprintf(`{"fin":[%q,1],"t":%q}`, client, topic))
		for range 20 { // a store that is in use forgets
			time.Sleep(state.DoneLifetime / 5)
			op := ann.Do(topic, "say", `{"text":"hm"}`)
			ann.Until("the answer", func() bool { return ann.Acked(op) == 1 })
		}
		say("twice")
		if ids := stored(t, store, topic); len(ids) != 22 || ids[0] != ids[21] {
			t.Fatalf("got the entries %v, want the first to come again: else this shows nothing", ids)
		}
		op := ann.Do(topic, "say", `{"text":"hello"}`)
		ann.Until("the answer to somebody else", func() bool { return ann.Acked(op) == 1 })
		var shown string
		for _, f := range framesOf(t, ann, topic, 0) {
			shown += f.Content
		}
		for _, text := range []string{"once", "twice", "hello"} {
			if !strings.Contains(shown, text) {
				t.Errorf("%q is not shown: %s", text, shown)
			}
		}
		if n := two.Runtime().Stats().Failures; n > 0 {
			t.Errorf("%d callbacks have failed", n)
		}
	})
}
