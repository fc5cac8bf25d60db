package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/app"
	"lockstep/htmx"
	"lockstep/live/livetest"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
)

// render is what a tab of user shows that renders itself.
func render(t *testing.T, topic, record, user string, waiting ...htmx.Event) (target, html string, err error) {
	t.Helper()
	target, c, err := app.NewRender()(topic, []byte(record), waiting, user)
	if err != nil {
		return "", "", err
	}
	var b bytes.Buffer
	if err := c.Render(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return target, b.String(), nil
}

// waits is an op that waits for its answer.
func waits(topic, do, in string) htmx.Event {
	e := htmx.Event{Kind: htmx.OpEvent, Op: htmx.Op{Topic: topic, Client: "AAAAAAAAAAAAAAAAAAAAAA", Seq: 1}, From: 1, Do: do}
	if in != "" {
		e.In = json.RawMessage(in)
	}
	return e
}

// What a tab renders itself is what the server would have rendered.
func TestATabRendersWhatTheServerDoes(t *testing.T) {
	for topic, c := range map[string]struct{ do, in string }{
		"counter:x": {"increment", "{}"},
		"poll:x":    {"vote", `{"option":"autumn"}`},
		"bank:x":    {"transfer", `{"from":"1","to":"2","amount":"7"}`},
	} {
		t.Run(topic, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := start(t, mempubsub.NewBus(), memstate.New(nil), "one")
				byServer := livetest.Open(t, a.Runtime(), viewOf(t, a, topic))
				itself := livetest.Open(t, a.Runtime(), viewOf(t, a, topic))
				itself.Send(`{"hello":2,"as":"data"}`)
				for n := uint64(0); n < 2; n++ { // as it begins, and after an op
					for _, tab := range []*livetest.Tab{byServer, itself} {
						tab.Until("the state", func() bool {
							s := tab.Shown(topic)
							return s.Version == n && (tab == byServer && s.Content != "" || tab == itself && s.State != "")
						})
					}
					target, got, err := render(t, topic, itself.Shown(topic).State, "")
					if err != nil {
						t.Fatal(err)
					}
					if want := byServer.Shown(topic).Content; !strings.Contains(want, got) || !strings.Contains(want, `hx-target="`+target+`"`) {
						t.Errorf("got %s in %s, want what the server says: %s", got, target, want)
					}
					byServer.Do(topic, c.do, c.in)
				}
			})
		})
	}
}

func TestClicksThatWaitAreShown(t *testing.T) {
	click := func(do string) htmx.Event { return waits("counter:x", do, "") }
	change := func(e htmx.Event, f func(*htmx.Event)) htmx.Event { f(&e); return e }
	for _, c := range []struct {
		name          string
		n             int64
		waiting       []htmx.Event
		want, waiters string
	}{
		{"none", 7, nil, "7", ""},
		{"one", 7, []htmx.Event{click("increment")}, "8", "1"},
		{"several, in their order", 7, []htmx.Event{click("increment"), click("reset"), click("decrement")}, "-1", "3"},
		{"what the server will refuse", 7, []htmx.Event{
			click("explode"), click(state.Void), click("increment"),
			change(click("increment"), func(e *htmx.Event) { e.Op.Client = "?" }),
			change(click("increment"), func(e *htmx.Event) { e.In = json.RawMessage("[]") }),
		}, "8", "1"},
		{"what is of another topic", 7, []htmx.Event{waits("counter:y", "increment", ""), waits("poll:x", "vote", `{"option":"spring"}`)}, "7", ""},
		{"what is no op", 7, []htmx.Event{
			change(click("increment"), func(e *htmx.Event) { e.Kind = htmx.CastEvent }),
			change(click("increment"), func(e *htmx.Event) { e.Kind = htmx.FinEvent }),
		}, "7", ""},
		{"what would pass the limit", math.MaxInt64, []htmx.Event{click("increment"), click("decrement")}, fmt.Sprint(int64(math.MaxInt64 - 1)), "1"},
		{"a number that JavaScript has not", 1<<53 + 1, nil, "9007199254740993", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			target, html, err := render(t, "counter:x", fmt.Sprintf(`{"e":1,"v":5,"s":"1 %d"}`, c.n), "", c.waiting...)
			if err != nil {
				t.Fatal(err)
			}
			if target != "#live" || !strings.Contains(html, `data-count="`+c.want+`"`) || !strings.Contains(html, `data-version="5"`) {
				t.Errorf("got %s, want the count %s of version 5", html, c.want)
			}
			checkWaiting(t, html, c.waiters)
		})
	}
}

func checkWaiting(t *testing.T, html, want string) {
	t.Helper()
	if has := strings.Contains(html, "data-waiting"); has != (want != "") || has && !strings.Contains(html, `data-waiting="`+want+`"`) {
		t.Errorf("got %s, want %q waiting", html, want)
	}
}

func TestVotesThatWaitAreShown(t *testing.T) {
	vote := func(option string) htmx.Event { return waits("poll:x", "vote", `{"option":"`+option+`"}`) }
	for _, c := range []struct {
		name          string
		poll          app.Poll
		waiting       []htmx.Event
		want, waiters string // votes of spring, summer, autumn and winter
	}{
		{"none", votes("a", "spring"), nil, "1 0 0 0", ""},
		{"the first", votes("a", "spring"), []htmx.Event{vote("winter")}, "1 0 0 1", "1"},
		{"one that is changed", votes("a", "spring", "me", "spring"), []htmx.Event{vote("winter")}, "1 0 0 1", "1"},
		{"the last of several", votes(), []htmx.Event{vote("spring"), vote("winter"), vote("summer")}, "0 1 0 0", "3"},
		{"one that will be refused", votes(), []htmx.Event{vote("monsoon"), vote("spring")}, "1 0 0 0", "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			data, err := app.Polls().Write(c.poll)
			if err != nil {
				t.Fatal(err)
			}
			_, html, err := render(t, "poll:x", fmt.Sprintf(`{"e":1,"v":5,"s":%q}`, data), "me", c.waiting...)
			if err != nil {
				t.Fatal(err)
			}
			if got := numbers(html, "data-votes"); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			checkWaiting(t, html, c.waiters)
		})
	}
}

// numbers are the values of an attribute, in their order.
func numbers(html, attribute string) string {
	var all []string
	for _, rest := range strings.Split(html, attribute+`="`)[1:] {
		n, _, _ := strings.Cut(rest, `"`)
		all = append(all, n)
	}
	return strings.Join(all, " ")
}

// A transfer that overdraws has no effect, and takes none from those around it.
func TestTransfersThatWaitAreShown(t *testing.T) {
	transfer := func(from, to, amount int) htmx.Event {
		return waits("bank:x", "transfer", fmt.Sprintf(`{"from":"%d","to":"%d","amount":"%d"}`, from, to, amount))
	}
	const others = " 100 100 100 100 100 100 100 100 100"
	for _, c := range []struct {
		name          string
		waiting       []htmx.Event
		want, waiters string
	}{
		{"none", nil, "100 100 100" + others, ""},
		{"some", []htmx.Event{transfer(1, 2, 60), transfer(2, 3, 160)}, "40 0 260" + others, "2"},
		{"an overdraft between", []htmx.Event{transfer(1, 2, 60), transfer(1, 3, 60), transfer(2, 3, 160)}, "40 0 260" + others, "2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			data, err := app.Banks().Write(bankOf(t))
			if err != nil {
				t.Fatal(err)
			}
			_, html, err := render(t, "bank:x", fmt.Sprintf(`{"e":1,"v":5,"s":%q}`, data), "", c.waiting...)
			if err != nil {
				t.Fatal(err)
			}
			if got := numbers(html, "data-balance"); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if got := numbers(html, "data-total"); got != "1200" {
				t.Errorf("got the sum %s", got)
			}
			checkWaiting(t, html, c.waiters)
		})
	}
}

// An item that is new stands at the end, and what would be refused has no effect.
func TestChangesOfAListThatWaitAreShown(t *testing.T) {
	act := func(do, in string) htmx.Event { return waits("list:x", do, in) }
	data, err := app.Lists().Write(todos(t, "x milk", "y tea", "z +bread"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name          string
		waiting       []htmx.Event
		want, waiters string // the texts of the items
	}{
		{"none", nil, "milk tea bread", ""},
		{"some", []htmx.Event{act("add", `{"text":"oats"}`), act("up", `{"id":"z"}`), act("remove", `{"id":"x"}`)}, "bread tea oats", "3"},
		{"one that will be refused", []htmx.Event{act("toggle", `{"id":"w"}`), act("clear", ``)}, "milk tea", "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			target, html, err := render(t, "list:x", fmt.Sprintf(`{"e":1,"v":5,"s":%q}`, data), "me", c.waiting...)
			if err != nil || target != "#live" {
				t.Fatalf("got %s, %v", target, err)
			}
			if got := strings.Join(regexp.MustCompile(`(?:<span id="t-[^"]*">)([a-z]+)`).FindAllString(html, -1), " "); regexp.MustCompile(`<[^>]*>`).ReplaceAllString(got, "") != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			checkWaiting(t, html, c.waiters)
		})
	}
}

// A bank that was never written has no data, and is the one that it begins with.
func TestAStateThatWasNeverWrittenIsTheFirst(t *testing.T) {
	for topic, want := range map[string]string{"counter:x": `data-count="0"`, "poll:x": `data-votes="0"`, "bank:x": `data-balance="100"`} {
		_, html, err := render(t, topic, `{"e":1,"v":0,"s":""}`, "")
		if err != nil || !strings.Contains(html, want) {
			t.Errorf("%s: got %s, %v, want %s", topic, html, err, want)
		}
	}
}

func TestWhatIsNoStateIsAnError(t *testing.T) {
	for _, c := range []struct{ topic, record string }{
		{"", `{"e":1,"v":1,"s":"1 1"}`}, {"counter:", `{"e":1,"v":1,"s":"1 1"}`}, {"counter:A B", `{"e":1,"v":1,"s":"1 1"}`},
		{"tabs:x", `{"e":1,"v":1,"s":"1 1"}`}, {"counter", `{"e":1,"v":1,"s":"1 1"}`}, {":x", `{"e":1,"v":1,"s":"1 1"}`},
		{"counter:x", ""}, {"counter:x", "{}"}, {"counter:x", "null"}, {"counter:x", `{"e":1,"v":1}`}, {"counter:x", `{"e":1,"v":1,"s":7}`},
		{"counter:x", `{"e":-1,"v":1,"s":"1 1"}`}, {"counter:x", `{"e":1,"v":1,"absent":true}`},
		{"counter:x", `{"e":1,"v":1,"s":"1"}`}, {"counter:x", `{"e":1,"v":1,"s":"1 x"}`}, {"counter:x", `{"e":1,"v":1,"s":"0 1"}`},
		{"counter:x", `{"e":1,"v":1,"s":"2 1"}`}, // of a later version
		{"counter:x", `{"e":1,"v":1,"s":"1 {}"}`}, {"poll:x", `{"e":1,"v":1,"s":"1 7"}`}, {"bank:x", `{"e":1,"v":1,"s":"1 []"}`},
	} {
		if _, html, err := render(t, c.topic, c.record, "", waits(c.topic, "increment", "")); err == nil {
			t.Errorf("%q of %q: got %s and no error", c.record, c.topic, html)
		}
	}
}

// The server does what the store says, whatever a tab claims to have shown.
func TestTheServerBelievesNothingOfWhatATabShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstate.New(nil)
		a := start(t, mempubsub.NewBus(), store, "one")
		liar, other := livetest.Open(t, a.Runtime(), viewOf(t, a, "counter:x")), livetest.Open(t, a.Runtime(), viewOf(t, a, "counter:x"))
		liar.Send(`{"hello":2,"as":"data","at":{"counter:x":[9007199254740991,9007199254740991],"counter:secret":[1,1]},` +
			`"t":"counter:secret","s":"1 1000","state":"{\"s\":\"1 1000\"}"}`)
		op := liar.Click("counter:x", "increment")
		liar.Until("the answer", func() bool { return liar.Acked(op) == 1 })
		other.Until("one click", count(other, "x", 1))
		time.Sleep(10 * time.Second)
		if got := stateOf(t, store, app.Counters(), "x"); got != 1 {
			t.Errorf("got %d, want one click", got)
		}
		if r := recordOf(t, store, "counter:secret"); r.Version != 0 {
			t.Errorf("got version %d of what nobody has", r.Version)
		}
		if got := liar.Shown("counter:secret"); got != (livetest.Shown{}) {
			t.Errorf("got %+v of a topic that is not the tab's", got)
		}
	})
}
