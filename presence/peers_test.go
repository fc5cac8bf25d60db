package presence_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/presence"
	"lockstep/pubsub"
)

// hear hands a message to a replica, as its hub does.
func (w *wire) hear(t *testing.T, replica string, trusted bool, payload string) error {
	t.Helper()
	w.mu.Lock()
	handler := w.handlers[replica]
	w.mu.Unlock()
	return handler(t.Context(), pubsub.Message{Topic: "presence", Payload: []byte(payload), Trusted: trusted})
}

func TestWhatNobodyHasSignedCountsNothing(t *testing.T) {
	for _, unsigned := range []bool{false, true} {
		t.Run(fmt.Sprint("Options.Unsigned: ", unsigned), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWire()
				var told atomic.Int64
				a := start(t, w.hub("a"), "a", &presence.Options{Unsigned: unsigned, Changed: func(string, int) { told.Add(1) }})
				defer a.Stop()
				a.Enter(topic)
				settle()
				before := told.Load()
				w.takeSent()
				for i := range 1000 {
					if err := w.hear(t, "a", false, fmt.Sprintf(`{"r":"x%d","n":%d,"c":{"%s":500},"ask":true}`, i, i+1, topic)); err != nil {
						t.Error(err)
					}
				}
				settle()
				if unsigned {
					wantCount(t, 500_001, a)
					return
				}
				wantCount(t, 1, a)
				if told.Load() != before || len(w.takeSent()) != 0 {
					t.Errorf("it told of %d changes, or announced, for what strangers say", told.Load()-before)
				}
			})
		})
	}
}

func TestWhatComesAgainCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := start(t, w.hub("a"), "a", nil)
		defer a.Stop()
		say := func(n, count int) {
			t.Helper()
			if err := w.hear(t, "a", true, fmt.Sprintf(`{"r":"b","n":%d,"c":{"%s":%d}}`, n, topic, count)); err != nil {
				t.Error(err)
			}
		}
		say(7, 40)
		wantCount(t, 40, a)
		say(8, -1)
		wantCount(t, 0, a)
		for range 100 { // somebody repeats what b has said
			say(7, 40)
			wantCount(t, 0, a)
			time.Sleep(time.Second)
		}
		say(9, 2)
		wantCount(t, 2, a)
		time.Sleep(30 * time.Second)
		wantCount(t, 0, a)
		say(9, 2) // b has been forgotten, but not what it has said
		wantCount(t, 0, a)
	})
}

func TestWhatOneReplicaSaysIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := start(t, w.hub("a"), "a", nil)
		defer a.Stop()
		many := make(map[string]int)
		for i := range 33 {
			many[fmt.Sprint(i)] = 1
		}
		tooMany, err := json.Marshal(announcement{Replica: "b", Counts: many})
		if err != nil {
			t.Fatal(err)
		}
		for _, payload := range []string{
			`{}`, `{"r":""}`, `{"r":"` + strings.Repeat("x", 513) + `"}`, `{"r":"b","c":{"":1}}`, `{"r":"b","c":{"` + strings.Repeat("x", 513) + `":1}}`,
			`{"r":"b","c":{"` + topic + `":1000001}}`, `{"r":"b","c":{"` + topic + `":9223372036854775807}}`, `{"r":"b","c":{"` + topic + `":-2}}`,
			string(tooMany),
		} {
			if err := w.hear(t, "a", true, payload); err == nil {
				t.Errorf("got no error for %.60s", payload)
			}
		}
		wantCount(t, 0, a)
		// Many replicas, and many topics: what is beyond is not counted.
		for i := range 3000 {
			if err := w.hear(t, "a", true, fmt.Sprintf(`{"r":"r%d","n":1,"c":{"%s":1}}`, i, topic)); err != nil {
				t.Error(err)
			}
		}
		wantCount(t, 1024, a)
		n := 1
		for i := range 4000 {
			counts := make(map[string]int)
			for j := range 32 {
				counts[fmt.Sprint(i, "-", j)] = 1
			}
			n++
			p, err := json.Marshal(map[string]any{"r": "r1", "n": n, "c": counts})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.hear(t, "a", true, string(p)); err != nil {
				t.Error(err)
			}
		}
		if got := a.Count("1-0"); got != 1 {
			t.Errorf("got %d of an early topic, want 1", got)
		}
		if got := a.Count("3999-0"); got != 0 {
			t.Errorf("got %d of a topic beyond the bound, want none", got)
		}
	})
}

func TestAFloodOfQuestionsHasFewAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := start(t, w.hub("a"), "a", nil)
		defer a.Stop()
		a.Enter(topic)
		settle()
		w.takeSent()
		began := time.Now()
		for i := range 1000 {
			if i%2 == 0 {
				w.gap(t, "a")
			} else if err := w.hear(t, "a", true, fmt.Sprintf(`{"r":"b","n":%d,"ask":true}`, i)); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		asked, answered := 0, 0
		for _, s := range w.takeSent() {
			if s.Ask {
				asked++
			}
			if len(s.Counts) > 0 {
				answered++
			}
		}
		// Everything is announced each 2 s besides.
		limit := int(time.Since(began)/(300*time.Millisecond)) + 1
		if asked > limit || answered > 2*limit || asked == 0 || answered == 0 {
			t.Errorf("got %d questions and %d answers in %v", asked, answered, time.Since(began))
		}
	})
}

func TestACallbackThatPanicsIsCalledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		var calls atomic.Int64
		a := start(t, w.hub("a"), "a", &presence.Options{Changed: func(string, int) { calls.Add(1); panic("sabotage") }})
		defer a.Stop()
		for range 5 {
			a.Enter(topic)
			settle()
		}
		wantCount(t, 5, a)
		if calls.Load() != 5 {
			t.Errorf("got %d calls, want one for each change", calls.Load())
		}
		b := start(t, w.hub("b"), "b", nil)
		defer b.Stop()
		settle()
		wantCount(t, 5, b)
	})
}

// A clumsyHub panics when it is to broadcast.
type clumsyHub struct{ presence.Hub }

func (clumsyHub) Broadcast(context.Context, string, []byte) error { panic("sabotage") }

func TestAHubThatPanicsIsOneThatLosesMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, clumsyHub{newWire().hub("a")}, "a", nil)
		for range 5 {
			a.Enter(topic)
			settle()
		}
		wantCount(t, 5, a)
		a.Stop()
	})
}

func TestAWrongTrackerIsRefusedInASentence(t *testing.T) {
	for name, c := range map[string]struct {
		hub     presence.Hub
		replica string
		opts    presence.Options
		want    string
	}{
		"no hub":              {nil, "a", presence.Options{}, "needs a Hub"},
		"no name":             {newWire().hub("a"), "", presence.Options{}, "the name of a replica"},
		"a negative interval": {newWire().hub("a"), "a", presence.Options{Interval: -1}, "can't be negative"},
		"a negative TTL":      {newWire().hub("a"), "a", presence.Options{TTL: -1}, "can't be negative"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p := recover(); !strings.Contains(fmt.Sprint(p), c.want) {
					t.Errorf("got %v, want %q", p, c.want)
				}
			}()
			presence.NewTracker(c.hub, c.replica, &c.opts)
		})
	}
}
