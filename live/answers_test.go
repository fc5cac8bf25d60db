package live_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/livetest"
	"lockstep/pubsub"
)

// answering is a view that gives each answer there is.
type answering struct{}

func (answering) Mount(context.Context, *live.Session) error { return nil }

func (answering) HandleEvent(_ context.Context, s *live.Session, e htmx.Event) error {
	switch e.Do {
	case "ack":
		s.Ack(e.Op)
	case "refuse":
		s.Refuse(e.Op, "no", false)
	case "retry":
		s.Refuse(e.Op, "later", true)
	case "settle":
		s.Settle(e.Op)
	case "forget":
		s.Forget(e.Op)
	}
	return nil
}

// answered runs f with a tab of the view above.
func answered(t *testing.T, f func(t *testing.T, rt *live.Runtime, tab *livetest.Tab)) {
	synctest.Test(t, func(t *testing.T) {
		rt := live.NewRuntime(nil)
		rt.Start()
		defer rt.Stop()
		f(t, rt, livetest.Open(t, rt, answering{}))
	})
}

func TestEachAnswerNamesItsOpAndTellsTheClock(t *testing.T) {
	for do, c := range map[string]struct {
		says   string
		answer func(tab *livetest.Tab, op htmx.Op) bool
	}{
		"ack":    {`"ack":[[`, func(tab *livetest.Tab, op htmx.Op) bool { return tab.Acked(op) == 1 }},
		"refuse": {`"refused":"no"`, func(tab *livetest.Tab, op htmx.Op) bool { return tab.Refused(op) == "no" }},
		"retry":  {`"retry":true,"error":"later"`, func(tab *livetest.Tab, op htmx.Op) bool { return tab.Retried(op) == "later" }},
		"settle": {`"settled":true`, (*livetest.Tab).Settled},
		"forget": {`"old":true`, (*livetest.Tab).Old},
	} {
		t.Run(do, func(t *testing.T) {
			answered(t, func(t *testing.T, rt *live.Runtime, tab *livetest.Tab) {
				synctest.Wait()
				time.Sleep(time.Second)
				op := tab.Click("x", do)
				tab.Until("the answer", func() bool { return c.answer(tab, op) })
				last := tab.Messages()[len(tab.Messages())-1]
				for _, want := range []string{
					`{"t":"x",`, c.says, fmt.Sprintf(`[%q,1]`, tab.Client()), fmt.Sprintf(`"clock":%d`, rt.Clock().UnixMilli()),
				} {
					if !strings.Contains(last, want) {
						t.Errorf("got %s, want it to have %s", last, want)
					}
				}
			})
		})
	}
}

func TestAcknowledgementsOfSeveralTopicsAreOneMessageEach(t *testing.T) {
	answered(t, func(t *testing.T, _ *live.Runtime, tab *livetest.Tab) {
		synctest.Wait()
		before := len(tab.Messages())
		tab.Stall()
		held := tab.Click("x", "refuse") // what is written while the tab takes nothing waits
		synctest.Wait()
		var ops []htmx.Op
		for _, topic := range []string{"x", "y", "x", "z", "y"} {
			ops = append(ops, tab.Click(topic, "ack"))
		}
		synctest.Wait()
		tab.Resume()
		for _, op := range ops {
			tab.Until("an acknowledgement", func() bool { return tab.Acked(op) == 1 })
		}
		if tab.Refused(held) != "no" {
			t.Error("the refusal has been lost")
		}
		if got := tab.Messages()[before:]; len(got) != 4 {
			t.Errorf("got %q, want the refusal and a message for each topic", got)
		}
	})
}

// What follows an op must not wait for it, whatever is wrong with it.
func TestAMalformedOpIsRefusedByItsName(t *testing.T) {
	answered(t, func(t *testing.T, _ *live.Runtime, tab *livetest.Tab) {
		for i, wrong := range []string{
			`"do":7`, `"age":-1`, `"age":"x"`, `"seen":"x"`, `"grant":1`, `"cast":"x"`, `"hello":2`,
		} {
			op := htmx.Op{Topic: "x", Client: tab.Client(), Seq: uint64(i) + 1}
			tab.Send(fmt.Sprintf(`{"op":[%q,%d,1],"t":"x",%s}`, op.Client, op.Seq, wrong))
			tab.Until("the refusal of "+wrong, func() bool { return strings.Contains(tab.Refused(op), "malformed") })
		}
		if got := tab.Error(); got != "" {
			t.Errorf("got the complaint %q, too", got)
		}
		for _, m := range []string{`{"op":["c",1.5,1],"t":"x"}`, `{"op":["c",1,1],"t":7}`, `{"cast":7}`, `{"fin":7}`, `{"hello":1}`} {
			before := len(tab.Messages())
			tab.Send(m)
			tab.Until("a complaint", func() bool { return len(tab.Messages()) > before })
			if got := tab.Messages()[before]; !strings.HasPrefix(got, `{"error":"htmx: malformed`) {
				t.Errorf("%s: got %s, want a complaint", m, got)
			}
		}
	})
}

func TestAPageOfAnotherVersionIsToldToReload(t *testing.T) {
	answered(t, func(t *testing.T, _ *live.Runtime, tab *livetest.Tab) {
		tab.Send(`{"hello":1,"tab":"x","e":0,"v":0}`)
		tab.Until("the complaint", func() bool { return strings.Contains(tab.Error(), "reload it") })
	})
}

// TestTheClockOfARuntimeIsWhatTabsAreTold: an op says what clock it has heard,
// and is judged by it.
func TestTheClockOfARuntimeIsWhatTabsAreTold(t *testing.T) {
	answered(t, func(t *testing.T, rt *live.Runtime, tab *livetest.Tab) {
		tab.Until("the status", func() bool { return tab.Status() != "" })
		first := tab.Clock()
		if d := rt.Clock().Sub(first); d < 0 || d > time.Millisecond {
			t.Errorf("the tab was told %v, and it is %v", first, rt.Clock())
		}
		time.Sleep(21 * time.Second)
		if d := tab.Clock().Sub(first); d != 20*time.Second {
			t.Errorf("the clock was told again after %v, want at the beat of 20 s", d)
		}
	})
}

// referring has broadcasts say no more than which version there is.
func referring(o *live.RoomsOptions[state]) {
	o.Decode = func(p []byte) (state, error) {
		var s state
		if err := json.Unmarshal(p, &s); err != nil {
			return state{}, err
		}
		return state{Epoch: s.Epoch, Version: s.Version}, live.ErrReadIt
	}
}

func TestABroadcastMayHaveTheStateReadFromTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		one, two := start(store, hub, nil, slowRefresh, referring), start(store, hub, nil, slowRefresh, referring)
		defer one.rt.Stop()
		defer two.rt.Stop()
		a, b := livetest.Open(t, one.rt, page{one, "a"}), livetest.Open(t, two.rt, page{two, "a"})
		a.Until("the first state", shows(a, "n=0"))
		b.Until("the first state", shows(b, "n=0"))
		time.Sleep(time.Second)
		before, began := store.count(), time.Now()
		op := a.Click("t:a", "add")
		b.Until("the other's click", shows(b, "n=1"))
		a.Until("the acknowledgement", func() bool { return a.Acked(op) == 1 })
		if d := time.Since(began); d > 50*time.Millisecond {
			t.Errorf("shown on the other replica after %v, want at once", d)
		}
		synctest.Wait()
		if got := store.count() - before; got != 1 {
			t.Errorf("got %d reads, want one, by the replica that had not made the change", got)
		}
		for _, old := range []string{`{"Epoch":1,"Version":1}`, `{"Epoch":1,"Version":0}`, `{"Epoch":0,"Version":9}`} {
			if err := hub.deliver(pubsub.Message{Topic: "t:a", Payload: []byte(old), Trusted: true}); err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if got := store.count() - before; got != 1 {
			t.Errorf("got %d reads for what is not newer, want none more", got-1)
		}
		for _, forged := range []string{`{"Epoch":1,"Version":7}`, `{"Epoch":9,"Version":1}`} {
			if err := hub.deliver(pubsub.Message{Topic: "t:a", Payload: []byte(forged)}); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Second)
		if got := b.Shown("t:a"); got.Version != 1 || got.Epoch != 1 {
			t.Errorf("got %+v after what never was, want version 1", got)
		}
	})
}
