package app_test

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"lockstep/app"
	"lockstep/counter"
	"lockstep/counter/memcounter"
	"lockstep/htmx"
	"lockstep/live/livetest"
	"lockstep/pubsub/mempubsub"
)

func render(t *testing.T, topic, state string, waiting ...htmx.Event) (target, html string, err error) {
	t.Helper()
	target, c, err := app.Render(topic, []byte(state), waiting)
	if err != nil {
		return "", "", err
	}
	var b bytes.Buffer
	if err := c.Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return target, b.String(), nil
}

// What a tab renders itself is what the server would have rendered.
func TestATabRendersWhatTheServerDoes(t *testing.T) {
	store := memcounter.New(nil)
	a := start(t, mempubsub.NewBus(), store, "one")
	byServer := livetest.Open(t, a.Runtime(), a.Counter("x"))
	itself := livetest.Open(t, a.Runtime(), a.Counter("x"))
	itself.Send(`{"hello":1,"as":"data"}`)
	byServer.Click("increment")
	byServer.Until("the click", count(byServer, "x", 1))
	itself.Until("the state", func() bool { return itself.Shown("counter:x").Version == 1 })
	target, got, err := render(t, "counter:x", itself.Shown("counter:x").State)
	if err != nil {
		t.Fatal(err)
	}
	if want := byServer.Shown("counter:x").Content; !strings.Contains(want, got) || !strings.Contains(want, `hx-target="`+target+`"`) {
		t.Errorf("got %s in %s, want what the server says: %s", got, target, want)
	}
}

func TestClicksThatWaitAreShown(t *testing.T) {
	click := func(action string) htmx.Event { return htmx.Event{Action: action, Op: "an-op-of-16-chars" + action} }
	for _, c := range []struct {
		name          string
		n             int64
		waiting       []htmx.Event
		want, waiters string
	}{
		{"none", 7, nil, "7", ""},
		{"one", 7, []htmx.Event{click("increment")}, "8", "1"},
		{"several, in their order", 7, []htmx.Event{click("increment"), click("reset"), click("decrement")}, "-1", "3"},
		{"what the server will refuse", 7, []htmx.Event{click("explode"), {Action: "increment", Op: "?"}, click("increment")}, "8", "1"},
		{"what is too old to be counted", 7, []htmx.Event{{Action: "increment", Op: "an-op-of-16-chars", Age: 1 << 40}}, "7", ""},
		{"what would pass the limit", math.MaxInt64, []htmx.Event{click("increment"), click("decrement")}, fmt.Sprint(int64(math.MaxInt64 - 1)), "1"},
		{"a number that JavaScript has not", 1<<53 + 1, nil, "9007199254740993", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, html, err := render(t, "counter:x", fmt.Sprintf(`{"n":%d,"e":1,"v":5}`, c.n), c.waiting...)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(html, `data-count="`+c.want+`"`) || !strings.Contains(html, `data-version="5"`) {
				t.Errorf("got %s, want the count %s of version 5", html, c.want)
			}
			if has := strings.Contains(html, "data-waiting"); has != (c.waiters != "") || has && !strings.Contains(html, `data-waiting="`+c.waiters+`"`) {
				t.Errorf("got %s, want %q waiting", html, c.waiters)
			}
		})
	}
}

func TestWhatIsNoStateOfACounterIsAnError(t *testing.T) {
	for _, c := range []struct{ topic, state string }{
		{"", `{"n":1,"e":1}`}, {"counter:", `{"n":1,"e":1}`}, {"counter:A B", `{"n":1,"e":1}`}, {"tabs:x", `{"n":1,"e":1}`},
		{"counter:x", ""}, {"counter:x", "{}"}, {"counter:x", `{"n":"1","e":1}`}, {"counter:x", "null"},
	} {
		if _, html, err := render(t, c.topic, c.state); err == nil {
			t.Errorf("%q of %q: got %s and no error", c.state, c.topic, html)
		}
	}
}

// The server counts what the store says, whatever a tab claims to have shown.
func TestTheServerBelievesNothingOfWhatATabShows(t *testing.T) {
	store := memcounter.New(nil)
	a := start(t, mempubsub.NewBus(), store, "one")
	liar, other := livetest.Open(t, a.Runtime(), a.Counter("x")), livetest.Open(t, a.Runtime(), a.Counter("x"))
	liar.Send(`{"hello":1,"as":"data","e":9007199254740991,"v":9007199254740991,"t":"counter:secret","n":1000,"state":"{\"n\":1000}"}`)
	op := liar.Click("increment")
	liar.Until("the answer", func() bool { return liar.Acked(op) == 1 })
	other.Until("one click", count(other, "x", 1))
	v, err := store.Get(t.Context(), "x", "secret")
	if err != nil || v[0].N != 1 || v[1] != (counter.Value{Epoch: v[0].Epoch}) {
		t.Errorf("got %+v, %v; want one click and nothing else", v, err)
	}
	if got := liar.Shown("counter:secret"); got != (livetest.Shown{}) {
		t.Errorf("got %+v of a topic that is not the tab's", got)
	}
}
