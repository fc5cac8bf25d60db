package live_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/livetest"
)

// helloAsData is what a tab says that renders itself.
const helloAsData = `{"hello":2,"as":"data"}`

func asData(o *live.RoomsOptions[state]) {
	o.Data = func(s state) ([]byte, error) { return fmt.Appendf(nil, "state %d", s.N), nil }
}

func hasState(tab *livetest.Tab, want string) func() bool {
	return func() bool { return tab.Shown("t:a").State == want }
}

func TestATabThatRendersItselfIsSentStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil, asData)
		defer r.rt.Stop()
		own, other := livetest.Open(t, r.rt, page{r, "a"}), livetest.Open(t, r.rt, page{r, "a"})
		own.Send(helloAsData)
		own.Until("the state of now", hasState(own, "state 0"))
		op := own.Click("t:a", "add")
		own.Until("its click", hasState(own, "state 1"))
		own.Until("the answer", func() bool { return own.Acked(op) == 1 })
		other.Until("the click as HTML", shows(other, "n=1"))
		if got := own.Shown("t:a"); got.Version != 1 || got.Epoch != 1 || got.Content != "" {
			t.Errorf("got %+v, want the state of version 1 and no HTML", got)
		}
	})
}

func TestATabMayHaveTheServerRenderAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil, asData)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		for range 3 {
			tab.Send(helloAsData)
			tab.Until("the state", func() bool { return tab.Shown("t:a").State != "" })
			tab.Send(`{"hello":2}`)
			tab.Until("the HTML of the same version", shows(tab, "n=0"))
		}
		tab.Send(`{"hello":2,"as":"what nobody knows"}`)
		tab.Click("t:a", "add")
		tab.Until("a click as HTML", shows(tab, "n=1"))
	})
}

// A hello that changes nothing must not have everything sent again.
func TestAHelloThatChangesNothingIsAnsweredByNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil, asData)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		for _, hello := range []string{`{"hello":2}`, helloAsData} {
			tab.Send(hello)
			synctest.Wait()
			before := len(tab.Messages())
			tab.Send(hello)
			synctest.Wait()
			if got := tab.Messages()[before:]; len(got) > 0 {
				t.Errorf("got %q for the second %s", got, hello)
			}
		}
	})
}

// The tab counts the click twice if the answer comes first, and shows a click
// that is not there if it comes without a state.
func TestAlsoWithStatesAnAnswerComesBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil, asData)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Send(helloAsData)
		var last htmx.Op
		for range 50 {
			last = tab.Click("t:a", "add")
		}
		tab.Until("the last answer", func() bool { return tab.Acked(last) == 1 })
		shown, acked := 0, 0
		for _, m := range tab.Messages() {
			var f struct {
				V   int
				Ack [][]any
			}
			if err := json.Unmarshal([]byte(m), &f); err != nil {
				t.Fatal(err)
			}
			shown, acked = max(shown, f.V), acked+len(f.Ack)
			if acked > shown {
				t.Fatalf("%d clicks are answered when version %d is shown", acked, shown)
			}
		}
	})
}

func TestARoomWithoutDataIsHTMLForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Send(helloAsData)
		tab.Click("t:a", "add")
		tab.Until("the click", shows(tab, "n=1"))
		if strings.Contains(strings.Join(tab.Messages(), ""), `"state"`) {
			t.Errorf("got a state: %q", tab.Messages())
		}
	})
}

// A hello comes right behind the join, whose first frame may not have been rendered yet: what the
// room had before is older than the join.
func TestALateJoinerThatRendersItselfSeesTheStoreNotTheRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		r := start(store, hub, nil, asData)
		defer r.rt.Stop()
		early := livetest.Open(t, r.rt, page{r, "a"})
		early.Click("t:a", "add")
		early.Until("its click", shows(early, "n=1"))
		hub.deafen("")
		store.add("a") // by another replica; the broadcast is lost
		late := livetest.Open(t, r.rt, page{r, "a"})
		late.Send(helloAsData)
		late.Until("the state of the store", hasState(late, "state 2"))
		for _, m := range late.Messages() {
			if strings.Contains(m, "state 1") || strings.Contains(m, "n=1") {
				t.Errorf("a late joiner was sent the old state: %s", m)
			}
		}
		late.Send(`{"hello":2}`)
		late.Until("the HTML of the same version", shows(late, "n=2"))
	})
}
