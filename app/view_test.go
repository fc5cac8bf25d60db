package app_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/app"
	"lockstep/app/pages"
	"lockstep/htmx"
	"lockstep/live/livetest"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
)

func TestAPageMayShowSeveralRoomsOfSeveralKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one, two := start(t, bus, store, "one"), start(t, bus, store, "two")
		topics := []string{"counter:x", "counter:y", "poll:x", "bank:x"}
		a := livetest.Open(t, one.Runtime(), viewOf(t, one, topics...))
		b := livetest.Open(t, two.Runtime(), viewOf(t, two, topics...))
		ops := []htmx.Op{
			a.Click("counter:x", "increment"),
			a.Click("counter:y", "decrement"),
			a.Do("poll:x", "vote", `{"option":"summer"}`),
			a.Do("bank:x", "transfer", `{"from":"1","to":"2","amount":"100"}`),
			a.Click("counter:x", "increment"),
		}
		overdraft := a.Do("bank:x", "transfer", `{"from":"1","to":"2","amount":"1"}`)
		for _, op := range ops {
			a.Until("an acknowledgement", func() bool { return a.Acked(op) == 1 })
		}
		a.Until("the refusal of an overdraft", func() bool { return a.Refused(overdraft) == "account 1 has only 0" })
		for topic, want := range map[string]string{
			"counter:x": `data-count="2"`, "counter:y": `data-count="-1"`, "poll:x": `id="option-summer" data-votes="1"`,
			"bank:x": `id="account-2" data-balance="200"`,
		} {
			for _, tab := range []*livetest.Tab{a, b} {
				tab.Until(want, func() bool { return strings.Contains(tab.Shown(topic).Content, want) })
			}
		}
		for i, op := range ops {
			if want := uint64([]int{1, 1, 1, 1, 2}[i]); op.Seq != want {
				t.Errorf("op %d has the seq %d, want %d: each topic has its own", i, op.Seq, want)
			}
		}
		a.Until("the tabs of each", func() bool {
			for _, topic := range topics {
				if !strings.Contains(a.Shown("tabs:"+topic).Content, "2") {
					return false
				}
			}
			return true
		})
	})
}

// A room gets only what is its own: a name is no topic, and an action of one kind none of another.
func TestRoomsNeverGetEachOthersOps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstate.New(nil)
		a := start(t, mempubsub.NewBus(), store, "one")
		tab := livetest.Open(t, a.Runtime(), viewOf(t, a, "counter:x", "poll:x", "bank:x"))
		for topic, do := range map[string]string{"counter:x": "vote", "poll:x": "increment", "bank:x": "reset"} {
			op := tab.Do(topic, do, `{"option":"spring"}`)
			tab.Until("the refusal", func() bool { return tab.Refused(op) == state.ReasonUnknown })
		}
		for _, topic := range []string{"counter:x", "poll:x", "bank:x"} {
			if r := recordOf(t, store, topic); len(r.Data) > 0 {
				t.Errorf("%s: got %s", topic, r.Data)
			}
		}
	})
}

func TestATopicThatThereIsNotIsNobodys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, mempubsub.NewBus(), memstate.New(nil), "one")
		for _, topic := range []string{
			"", ":", "counter", "counter:", "counter:X", "counter:a b", "counter:a,b", "nothing:x", "tabs:counter:x", "counter:" + strings.Repeat("x", 65), "counter:é",
		} {
			if _, err := a.View(app.Visitor{}, "counter:x", topic); !errors.Is(err, app.ErrNoTopic) {
				t.Errorf("%q: a view gives %v", topic, err)
			}
			if _, err := a.Do(t.Context(), app.Visitor{}, topic, form("increment")); !errors.Is(err, app.ErrNoTopic) {
				t.Errorf("%q: an op gives %v", topic, err)
			}
			if _, _, err := a.Page(t.Context(), topic, nil); !errors.Is(err, app.ErrNoTopic) {
				t.Errorf("%q: a page gives %v", topic, err)
			}
		}
		if _, err := a.View(app.Visitor{}, "counter:"+strings.Repeat("x", 64)); err != nil {
			t.Error(err)
		}
	})
}

// What a closed tab has left is sent by another page of the person, which shows other topics: with
// the grant of its own page.
func TestAnOpOfATopicThatIsNotShownNeedsAGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstate.New(nil)
		a := start(t, mempubsub.NewBus(), store, "one")
		granted := func(topic, grant string) bool { return topic != "counter:right" && grant == "given" }
		tab := livetest.Open(t, a.Runtime(), viewFor(t, a, app.Visitor{Granted: granted}, "counter:x"))
		stranger := livetest.Open(t, a.Runtime(), viewFor(t, a, app.Visitor{}, "counter:x"))
		for _, tab := range []*livetest.Tab{tab, stranger} {
			tab.Until("a clock", func() bool { return !tab.Clock().IsZero() })
		}
		const client = "AAAAAAAAAAAAAAAAAAAAAA" // of the tab that was closed
		send := func(tab *livetest.Tab, op htmx.Op, grant string) {
			tab.Send(strings.Replace(tab.Message(op, 1, "increment", "{}"), `"t":`, fmt.Sprintf(`"grant":%q,"t":`, grant), 1))
		}
		left := htmx.Op{Topic: "counter:left", Client: client, Seq: 1}
		for _, wrong := range []string{"", "other", "Given"} {
			send(tab, htmx.Op{Topic: "counter:left", Client: client, Seq: 2}, wrong)
			tab.Until("the refusal", func() bool { return tab.Refused(htmx.Op{Topic: "counter:left", Client: client, Seq: 2}) != "" })
		}
		send(tab, htmx.Op{Topic: "counter:right", Client: client, Seq: 1}, "given")
		tab.Until("the refusal of another topic", func() bool { return tab.Refused(htmx.Op{Topic: "counter:right", Client: client, Seq: 1}) != "" })
		for _, none := range []string{"tabs:left", "counter:A B", "counter:", ""} { // whatever a grant says
			op := htmx.Op{Topic: none, Client: client, Seq: 1}
			send(tab, op, "given")
			tab.Until("the refusal of no topic", func() bool { return tab.Refused(op) == "this page may not do that here" })
		}
		send(stranger, left, "given")
		stranger.Until("the refusal of another person", func() bool { return stranger.Refused(left) != "" })
		if got := recordOf(t, store, "counter:left"); got.Version != 0 {
			t.Fatalf("got version %d, want nothing applied", got.Version)
		}
		send(tab, left, "given")
		tab.Until("the acknowledgement", func() bool { return tab.Acked(left) == 1 })
		shown := htmx.Op{Topic: "counter:x", Client: client, Seq: 1}
		send(tab, shown, "whatever")
		tab.Until("the acknowledgement: the page shows it", func() bool { return tab.Acked(shown) == 1 })
		if got := stateOf(t, store, app.Counters(), "left"); got != 1 {
			t.Errorf("got %d, want 1", got)
		}
		if got := tab.Shown("counter:left"); got != (livetest.Shown{}) {
			t.Errorf("got %+v of a topic that the page does not show", got)
		}
	})
}

// TestAClientThatIsDoneIsForgottenSoon: when it says so, for a topic that it may use. Whether a
// lane is known shows in an op that is not its first.
func TestAClientThatIsDoneIsForgottenSoon(t *testing.T) {
	for name, c := range map[string]struct {
		fin       func(tab *livetest.Tab) string
		forgotten bool
	}{
		"it says nothing":        {func(*livetest.Tab) string { return `{"hello":2}` }, false},
		"it is done":             {func(tab *livetest.Tab) string { return fin(tab, 1, "counter:x", "") }, true},
		"with less than it did":  {func(tab *livetest.Tab) string { return fin(tab, 0, "counter:x", "") }, false},
		"with another topic":     {func(tab *livetest.Tab) string { return fin(tab, 1, "counter:y", "") }, false},
		"and it is granted":      {func(tab *livetest.Tab) string { return fin(tab, 1, "counter:left", "given") }, true},
		"and it is not granted":  {func(tab *livetest.Tab) string { return fin(tab, 1, "counter:left", "stolen") }, false},
		"with a topic of nobody": {func(tab *livetest.Tab) string { return fin(tab, 1, "tabs:x", "given") }, false},
		"as nobody": {func(tab *livetest.Tab) string {
			return strings.Replace(fin(tab, 1, "counter:x", ""), tab.Client(), "nobody", 1)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstate.New(nil)
				a := start(t, mempubsub.NewBus(), store, "one")
				granted := func(topic, grant string) bool { return grant == "given" }
				tab := livetest.Open(t, a.Runtime(), viewFor(t, a, app.Visitor{Granted: granted}, "counter:x"))
				left := livetest.Open(t, a.Runtime(), viewOf(t, a, "counter:left"))
				other := livetest.Open(t, a.Runtime(), viewOf(t, a, "counter:x"))
				first := tab.Click("counter:x", "increment")
				tab.Until("the acknowledgement", func() bool { return tab.Acked(first) == 1 })
				left.Until("a clock", func() bool { return !left.Clock().IsZero() })
				adopted := htmx.Op{Topic: "counter:left", Client: tab.Client(), Seq: 1}
				left.Send(left.Message(adopted, 1, "increment", "{}"))
				left.Until("the acknowledgement", func() bool { return left.Acked(adopted) == 1 })

				tab.Send(c.fin(tab))
				for range 60 { // stores forget while they are used
					time.Sleep(time.Minute)
					op := other.Click("counter:x", "increment")
					other.Until("an acknowledgement", func() bool { return other.Acked(op) == 1 })
				}
				forgotten := false
				for _, of := range []struct {
					tab   *livetest.Tab
					topic string
				}{{tab, "counter:x"}, {left, "counter:left"}} {
					op := htmx.Op{Topic: of.topic, Client: tab.Client(), Seq: 2}
					of.tab.Send(of.tab.Message(op, 1, "increment", "{}"))
					of.tab.Until("an answer", func() bool { return of.tab.Acked(op) == 1 || of.tab.Retried(op) != "" })
					forgotten = forgotten || of.tab.Acked(op) == 0
				}
				if forgotten != c.forgotten {
					t.Errorf("got that a lane is forgotten: %v, want %v", forgotten, c.forgotten)
				}
			})
		})
	}
}

// fin is what a tab says that is done with a topic.
func fin(tab *livetest.Tab, upTo int, topic, grant string) string {
	return fmt.Sprintf(`{"fin":[%q,%d],"t":%q,"grant":%q}`, tab.Client(), upTo, topic, grant)
}

// Casts are for views of other applications: here they mean nothing.
func TestACastChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstate.New(nil)
		a := start(t, mempubsub.NewBus(), store, "one")
		tab := livetest.Open(t, a.Runtime(), viewOf(t, a, "counter:x"))
		tab.Until("the state", count(tab, "x", 0))
		synctest.Wait()
		before := len(tab.Messages())
		for _, m := range []string{`{"cast":"increment","t":"counter:x","in":{}}`, `{"cast":"","t":""}`, `{"cast":"typing"}`} {
			tab.Send(m)
		}
		synctest.Wait()
		if got := tab.Messages()[before:]; len(got) > 0 || recordOf(t, store, "counter:x").Version != 0 {
			t.Errorf("got %q", got)
		}
	})
}

func TestAVoteIsThePersonsAndNotTheTabs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one, two := start(t, bus, store, "one"), start(t, bus, store, "two")
		ann := []*livetest.Tab{
			livetest.Open(t, one.Runtime(), viewFor(t, one, app.Visitor{User: "ann"}, "poll:x")),
			livetest.Open(t, two.Runtime(), viewFor(t, two, app.Visitor{User: "ann"}, "poll:x")),
		}
		bob := livetest.Open(t, two.Runtime(), viewFor(t, two, app.Visitor{User: "bob"}, "poll:x"))
		for _, v := range []struct {
			tab    *livetest.Tab
			option string
		}{{ann[0], "spring"}, {bob, "spring"}, {ann[1], "winter"}} {
			op := v.tab.Do("poll:x", "vote", `{"option":"`+v.option+`","user":"eve"}`)
			v.tab.Until("the acknowledgement", func() bool { return v.tab.Acked(op) == 1 })
		}
		answer, err := one.Do(t.Context(), app.Visitor{User: "bob"}, "poll:x", state.Op{
			Client: state.Client{1}, Seq: 1, From: 1, Do: "vote", In: state.Fields{"option": {"autumn"}}, User: "eve",
		})
		if err != nil || answer.Verdict != state.Ack {
			t.Errorf("got %+v, %v", answer, err)
		}
		if got := stateOf(t, store, app.Polls(), "x"); text(t, got) != text(t, votes("ann", "winter", "bob", "autumn")) {
			t.Errorf("got %+v", got)
		}
	})
}

// A visitorAccount is a state.Sender that may make so many lanes and topics.
type visitorAccount struct {
	mu     sync.Mutex // guards the rest
	lanes  int
	topics int
}

// Share implements state.Sender.
func (v *visitorAccount) Share() any { return v }

// NewTopic implements state.Sender.
func (v *visitorAccount) NewTopic() bool { return v.take(&v.topics) }

// TakeLane implements state.Sender.
func (v *visitorAccount) TakeLane() bool { return v.take(&v.lanes) }

// OweLanes implements state.Sender.
func (v *visitorAccount) OweLanes(n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.lanes -= n
}

// ReturnLane implements state.Sender.
func (v *visitorAccount) ReturnLane() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.lanes++
}

func (v *visitorAccount) take(n *int) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if *n == 0 {
		return false
	}
	*n--
	return true
}

func (v *visitorAccount) left() (lanes, topics int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.lanes, v.topics
}

func TestWhatAVisitorMayNotMakeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstate.New(nil)
		a := start(t, mempubsub.NewBus(), store, "one")
		if _, err := a.Do(t.Context(), app.Visitor{}, "counter:there", form("increment")); err != nil {
			t.Fatal(err)
		}
		account := &visitorAccount{lanes: 2}
		visitor := app.Visitor{Sender: account}
		tab := livetest.Open(t, a.Runtime(), viewFor(t, a, visitor, "counter:there", "counter:new", "counter:newer"))

		made := tab.Click("counter:new", "increment")
		tab.Until("that it waits", func() bool { return tab.Retried(made) == state.ReasonNewTopic })
		op := tab.Click("counter:there", "increment")
		tab.Until("that what there is can be used", func() bool { return tab.Acked(op) == 1 })
		op = tab.Click("counter:there", "increment")
		tab.Until("the next, on the same lane", func() bool { return tab.Acked(op) == 1 })
		if lanes, _ := account.left(); lanes != 1 {
			t.Errorf("got %d lanes left, want one: one was made, and none where there is no topic", lanes)
		}
		account.mu.Lock()
		account.topics = 1
		account.mu.Unlock()
		tab.Again(made)
		tab.Until("the acknowledgement", func() bool { return tab.Acked(made) == 1 })
		if lanes, topics := account.left(); lanes != 0 || topics != 0 {
			t.Errorf("got %d lanes and %d topics left, want none", lanes, topics)
		}
		tab.Again(made)
		tab.Until("the same answer", func() bool { return tab.Acked(made) == 2 })
		laneless := tab.Click("counter:newer", "increment")
		tab.Until("that it waits", func() bool { return tab.Retried(laneless) == state.ReasonNewLane })
		answer, err := a.Do(t.Context(), visitor, "counter:there", form("increment"))
		if err != nil || answer.Verdict != state.Retry || !errors.Is(answer.Err, state.ErrNewLane) {
			t.Errorf("got %+v, %v of a form, want that it waits", answer, err)
		}
		if got := stateOf(t, store, app.Counters(), "there"); got != 3 {
			t.Errorf("got %d, want 3", got)
		}
	})
}

func TestAVisitorThatHasDoneAsMuchAsItMayWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstate.New(nil)
		a := start(t, mempubsub.NewBus(), store, "one")
		left := 1
		visitor := app.Visitor{Allow: func() bool { left--; return left >= 0 }}
		tab := livetest.Open(t, a.Runtime(), viewFor(t, a, visitor, "counter:x"))
		first, second := tab.Click("counter:x", "increment"), tab.Click("counter:x", "increment")
		tab.Until("the first", func() bool { return tab.Acked(first) == 1 })
		tab.Until("that the second waits", func() bool { return tab.Retried(second) == state.ReasonOverload })
		if answer, err := a.Do(t.Context(), visitor, "counter:x", form("increment")); err != nil || !errors.Is(answer.Err, app.ErrTooMany) {
			t.Errorf("got %+v, %v of a form", answer, err)
		}
		left = 1
		tab.Again(second)
		tab.Until("the second", func() bool { return tab.Acked(second) == 1 })
		if got := stateOf(t, store, app.Counters(), "x"); got != 2 {
			t.Errorf("got %d, want 2", got)
		}
	})
}

// TestAClientThatIsDoneCountsAsAnOp: the store is written to for it, too.
func TestAClientThatIsDoneCountsAsAnOp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &finishes{Store: memstate.New(nil)}
		a := start(t, mempubsub.NewBus(), store, "one")
		left := 1
		tab := livetest.Open(t, a.Runtime(), viewFor(t, a, app.Visitor{Allow: func() bool { left--; return left >= 0 }}, "counter:x"))
		for seq := range 3 {
			tab.Send(fin(tab, seq+1, "counter:x", ""))
			time.Sleep(5 * time.Second)
		}
		if n := store.marks.Load(); n != 1 {
			t.Errorf("%d marks were set, want 1", n)
		}
	})
}

// A finishes is a store that counts its marks.
type finishes struct {
	state.Store
	marks atomic.Int64
}

func (s *finishes) Finish(ctx context.Context, marks ...state.Mark) error {
	s.marks.Add(int64(len(marks)))
	return s.Store.Finish(ctx, marks...)
}

// rendered is a component as HTML.
func rendered(t *testing.T, content app.Content, p pages.Page) string {
	t.Helper()
	var b bytes.Buffer
	if err := content.Document(p).Render(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAPageShowsWhatTheStoreHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstate.New(nil)
		a := start(t, mempubsub.NewBus(), store, "one")
		for _, c := range []struct {
			topic, word, name, sum, shows, without string
			op                                     state.Op
		}{
			{
				"counter:x", "counter", "x", "1", `data-count="1"`, `data-count="0"`,
				state.Op{Do: "increment"},
			},
			{
				"poll:x", "poll", "x", "1 vote", `id="option-winter" data-votes="1"`, `id="option-winter" data-votes="0"`,
				state.Op{Do: "vote", In: state.Fields{"option": {"winter"}}},
			},
			{
				"bank:x", "bank", "x", "1,200", `data-balance="50"`, `data-balance="100"`,
				state.Op{Do: "transfer", In: state.Fields{"from": {"1"}, "to": {"2"}, "amount": {"50"}}},
			},
		} {
			p, content, err := a.Page(t.Context(), c.topic, nil)
			if err != nil || !strings.Contains(rendered(t, content, p), c.without) {
				t.Errorf("%s: got a page without %s, %v", c.topic, c.without, err)
			}
			c.op.Client, c.op.Seq, c.op.From = state.Client{7}, 1, 1
			if answer, err := a.Do(t.Context(), app.Visitor{User: "me"}, c.topic, c.op); err != nil || answer.Verdict != state.Ack {
				t.Errorf("%s: got %+v, %v", c.topic, answer, err)
			}
			p, content, err = a.Page(t.Context(), c.topic, nil)
			if err != nil || p.Kind != c.word || p.Name != c.name || p.Sum != c.sum || p.State != pages.Connecting {
				t.Errorf("%s: got %+v, %v", c.topic, p, err)
			}
			if html := rendered(t, content, p); !strings.Contains(html, c.shows) {
				t.Errorf("%s: got %s without %s", c.topic, html, c.shows)
			}
		}
	})
}

// put has a store hold data that no action has made.
func put(t *testing.T, store state.Store, topic, data string) {
	t.Helper()
	out := store.Commit(t.Context(), state.Step{
		Topic: topic, Base: recordOf(t, store, topic), Data: []byte(data),
		Moves: []state.Move{{Client: state.Client{0xff}, Max: state.MaxSeq - 1, To: state.Lane{Last: state.MaxSeq, From: 1}}},
	})
	if out[0].Err != nil {
		t.Fatal(out[0].Err)
	}
}

// TestAStateOfALaterVersionIsNeverOverwritten: a deploy has replicas of both versions side by side.
func TestAStateOfALaterVersionIsNeverOverwritten(t *testing.T) {
	for topic, c := range map[string]struct{ data, do, in string }{
		"counter:x": {`2 {"big":"7"}`, "increment", "{}"},
		"poll:x":    {`2 []`, "vote", `{"option":"spring"}`},
		"bank:x":    {`2 "x"`, "transfer", `{"from":"1","to":"2","amount":"1"}`},
	} {
		t.Run(topic, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstate.New(nil)
				put(t, store, topic, c.data)
				want := recordOf(t, store, topic)
				a := start(t, mempubsub.NewBus(), store, "one")
				tab := livetest.Open(t, a.Runtime(), viewOf(t, a, topic))
				op := tab.Do(topic, c.do, c.in)
				tab.Until("that the click waits", func() bool { return tab.Retried(op) == state.ReasonLater })
				tab.Until("that nothing is known", func() bool { return strings.Contains(tab.Shown(topic).Content, "not known yet") })
				p, content, err := a.Page(t.Context(), topic, nil)
				if err != nil || p.State != string(htmx.Degraded) || p.Sum != "" || !strings.Contains(rendered(t, content, p), "not known yet") {
					t.Errorf("got a page that says %q, %q, %v", p.State, p.Sum, err)
				}
				time.Sleep(time.Minute)
				if got := recordOf(t, store, topic); !got.Same(want) || string(got.Data) != c.data {
					t.Errorf("got %+v, want it as it was", got)
				}
				if tab.Closed() != 0 {
					t.Errorf("the tab was closed with %d", tab.Closed())
				}
			})
		})
	}
}

// TestAStateThatCanNotBeReadHurtsNoOther: the clicks of its own topic wait.
func TestAStateThatCanNotBeReadHurtsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstate.New(nil)
		put(t, store, "counter:broken", "garbage")
		a := start(t, mempubsub.NewBus(), store, "one")
		tab := livetest.Open(t, a.Runtime(), viewOf(t, a, "counter:broken", "counter:x"))
		broken, well := tab.Click("counter:broken", "increment"), tab.Click("counter:x", "increment")
		tab.Until("the other", func() bool { return tab.Acked(well) == 1 })
		tab.Until("that it waits", func() bool { return tab.Retried(broken) == state.ReasonAway })
		if got := recordOf(t, store, "counter:broken"); string(got.Data) != "garbage" {
			t.Errorf("got %s", got.Data)
		}
	})
}

// TestAStateThatIsTooLongForTheBrokerIsReadByEachReplica: it is shown there as soon.
func TestAStateThatIsTooLongForTheBrokerIsReadByEachReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		data, err := app.Polls().Write(manyVotes(500))
		if err != nil {
			t.Fatal(err)
		}
		put(t, store, "poll:x", string(data))
		one, two := start(t, bus, store, "one"), start(t, bus, store, "two")
		a := livetest.Open(t, one.Runtime(), viewFor(t, one, app.Visitor{User: "me"}, "poll:x"))
		b := livetest.Open(t, two.Runtime(), viewFor(t, two, app.Visitor{User: "you"}, "poll:x"))
		itself := livetest.Open(t, two.Runtime(), viewOf(t, two, "poll:x"))
		itself.Send(`{"hello":2,"as":"data"}`)
		heard := hearAll(t, openWire(t, bus, "poll:x"))
		shows := func(tab *livetest.Tab, n int) func() bool {
			return func() bool { return strings.Contains(tab.Shown("poll:x").Content, fmt.Sprintf("%d votes", n)) }
		}
		b.Until("the first state", shows(b, 500))
		time.Sleep(time.Second)
		for i, tab := range []*livetest.Tab{a, b} {
			began := time.Now()
			op := tab.Do("poll:x", "vote", `{"option":"winter"}`)
			for _, tab := range []*livetest.Tab{a, b} {
				tab.Until("the vote", shows(tab, 501+i))
			}
			if d := time.Since(began); d > 100*time.Millisecond {
				t.Errorf("shown on both replicas after %v", d)
			}
			tab.Until("the acknowledgement", func() bool { return tab.Acked(op) == 1 })
			itself.Until("the state", func() bool { return strings.Count(itself.Shown("poll:x").State, "winter") == 1+i })
			time.Sleep(time.Second)
		}
		for _, m := range heard() {
			if len(m.Payload) > driver.MaxPayload {
				t.Errorf("got a broadcast of %d bytes, and %d is what every broker carries", len(m.Payload), driver.MaxPayload)
			}
		}
		if len(heard()) < 2 {
			t.Errorf("got %d broadcasts, want one of each vote", len(heard()))
		}
	})
}
