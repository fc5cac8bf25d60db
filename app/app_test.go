package app_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/app"
	"lockstep/app/pages"
	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/livetest"
	"lockstep/pubsub"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
)

// start runs a replica until the test ends.
func start(t *testing.T, bus *mempubsub.Bus, store state.Store, name string) *app.App {
	t.Helper()
	return startWith(t, bus, store, &app.Options{Replica: name})
}

// startWith is start with options.
func startWith(t *testing.T, d driver.Driver, store state.Store, opts *app.Options) *app.App {
	t.Helper()
	a := app.New(d, store, opts)
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.Background(), 0); err != nil {
			t.Error(err)
		}
	})
	return a
}

// viewOf is the view of a page of topics, of nobody in particular.
func viewOf(t *testing.T, a *app.App, topics ...string) live.View {
	t.Helper()
	return viewFor(t, a, app.Visitor{}, topics...)
}

func viewFor(t *testing.T, a *app.App, v app.Visitor, topics ...string) live.View {
	t.Helper()
	view, err := a.View(v, topics...)
	if err != nil {
		t.Fatal(err)
	}
	return view
}

// recordOf is what a store has of a topic.
func recordOf(t *testing.T, store state.Store, topic string) state.Record {
	t.Helper()
	records, err := store.Read(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	return records[0]
}

// stateOf is the state that a store has of a topic of a kind.
func stateOf[S any](t *testing.T, store state.Store, kind state.Kind[S], key string) S {
	t.Helper()
	s, err := kind.Read(recordOf(t, store, kind.Topic(key)).Data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func count(tab *livetest.Tab, name string, n int) func() bool {
	return func() bool {
		return strings.Contains(tab.Shown("counter:"+name).Content, fmt.Sprintf(`data-count="%d"`, n))
	}
}

func TestAClickInOneTabIsSeenInAllTabsOfAllReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one, two := start(t, bus, store, "one"), start(t, bus, store, "two")
		a := livetest.Open(t, one.Runtime(), viewOf(t, one, "counter:x"))
		b := livetest.Open(t, two.Runtime(), viewOf(t, two, "counter:x"))
		other := livetest.Open(t, two.Runtime(), viewOf(t, two, "counter:y"))
		ops := []htmx.Op{a.Click("counter:x", "increment"), a.Click("counter:x", "increment"), a.Click("counter:x", "decrement")}
		for _, tab := range []*livetest.Tab{a, b} {
			tab.Until("the count", count(tab, "x", 1))
		}
		for _, op := range ops {
			a.Until("the acknowledgement", func() bool { return a.Acked(op) == 1 })
		}
		b.Click("counter:x", "reset")
		a.Until("the reset", count(a, "x", 0))
		synctest.Wait()
		if !count(other, "y", 0)() {
			t.Errorf("another counter shows %q", other.Shown("counter:y").Content)
		}
	})
}

func TestARepeatedOpIsAnsweredAsBeforeAndCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one, two := start(t, bus, store, "one"), start(t, bus, store, "two")
		a := livetest.Open(t, one.Runtime(), viewOf(t, one, "counter:x"))
		b := livetest.Open(t, two.Runtime(), viewOf(t, two, "counter:x"))
		op := a.Click("counter:x", "increment")
		a.Until("the acknowledgement", func() bool { return a.Acked(op) == 1 })
		for _, tab := range []*livetest.Tab{b, a} { // as one that has adopted it, and as itself
			tab.Until("a clock", func() bool { return !tab.Clock().IsZero() })
			tab.Send(tab.Message(op, 1, "increment", "{}"))
		}
		a.Until("two acknowledgements", func() bool { return a.Acked(op) == 2 })
		b.Until("one acknowledgement", func() bool { return b.Acked(op) == 1 })

		refused := a.Click("counter:x", "explode")
		a.Until("the refusal", func() bool { return a.Refused(refused) == state.ReasonUnknown })
		b.Send(b.Message(refused, 1, "increment", "{}")) // whatever it is said to be now
		b.Until("the same refusal", func() bool { return b.Refused(refused) == state.ReasonUnknown })

		next := a.Click("counter:x", "increment")
		a.Until("the next acknowledgement", func() bool { return a.Acked(next) == 1 })
		b.Send(b.Message(op, 1, "increment", "{}"))
		b.Until("that its answer was had", func() bool { return b.Settled(op) })
		if got := stateOf(t, store, app.Counters(), "x"); got != 2 {
			t.Errorf("got %d, want 2", got)
		}
	})
}

// TestATabThatRendersItselfIsToldWhichStateHasItsClick: it holds states back whose clicks it can't
// tell. Others need not know, and are told as before.
func TestATabThatRendersItselfIsToldWhichStateHasItsClick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one, two := start(t, bus, store, "one"), start(t, bus, store, "two")
		itself := livetest.Open(t, one.Runtime(), viewOf(t, one, "counter:x"))
		other := livetest.Open(t, two.Runtime(), viewOf(t, two, "counter:x"))
		itself.Send(`{"hello":2,"as":"data"}`)
		itself.Until("the state", func() bool { return itself.Shown("counter:x").State != "" })
		first := other.Click("counter:x", "increment")
		other.Until("the acknowledgement", func() bool { return other.Acked(first) == 1 })
		second := itself.Click("counter:x", "increment")
		itself.Until("the acknowledgement", func() bool { return itself.Acked(second) == 1 })
		itself.Send(itself.Message(second, 1, "increment", "{}")) // of this time nobody knows it any more
		itself.Until("the acknowledgement again", func() bool { return itself.Acked(second) == 2 })
		records, err := store.Read(t.Context(), "counter:x")
		if err != nil {
			t.Fatal(err)
		}
		for tab, want := range map[*livetest.Tab][]string{
			itself: {fmt.Sprintf(`"ack":[["%s",1]],"first":[[%d,2]],`, second.Client, records[0].Epoch), fmt.Sprintf(`"ack":[["%s",1]],"clock"`, second.Client)},
			other:  {fmt.Sprintf(`"ack":[["%s",1]],"clock"`, first.Client)},
		} {
			var got []string
			for _, m := range tab.Messages() {
				if strings.Contains(m, `"ack"`) {
					got = append(got, m)
				}
			}
			if len(got) != len(want) || slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(strings.Join(got, ""), w) }) {
				t.Errorf("got %q, want %q", got, want)
			}
		}
	})
}

func TestOpsOfATabApplyInTheOrderOfItsClicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one, two := start(t, bus, store, "one"), start(t, bus, store, "two")
		a := livetest.Open(t, one.Runtime(), viewOf(t, one, "counter:x"))
		b := livetest.Open(t, two.Runtime(), viewOf(t, two, "counter:x"))
		for _, tab := range []*livetest.Tab{a, b} {
			tab.Until("a clock", func() bool { return !tab.Clock().IsZero() })
		}
		first := htmx.Op{Topic: "counter:x", Client: a.Client(), Seq: 1}
		second := htmx.Op{Topic: "counter:x", Client: a.Client(), Seq: 2}
		b.Send(b.Message(second, 1, "reset", "{}"))
		b.Until("that it came too early", func() bool { return b.Retried(second) == state.ReasonEarly })
		a.Send(a.Message(first, 1, "increment", "{}"))
		a.Until("the first", func() bool { return a.Acked(first) == 1 })
		b.Send(b.Message(second, 1, "reset", "{}"))
		b.Until("the second", func() bool { return b.Acked(second) == 1 })
		if got := stateOf(t, store, app.Counters(), "x"); got != 0 {
			t.Errorf("got %d, want 0: the reset was behind the increment", got)
		}
	})
}

// What can't be an op, or may not be one, is answered by its name, and changes nothing.
func TestWhatIsRefusedIsSaidAndChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstate.New(nil)
		a := start(t, mempubsub.NewBus(), store, "one")
		tab := livetest.Open(t, a.Runtime(), viewOf(t, a, "counter:x"))
		tab.Until("a clock", func() bool { return !tab.Clock().IsZero() })
		op := func(topic, client string, seq uint64) htmx.Op {
			return htmx.Op{Topic: topic, Client: client, Seq: seq}
		}
		for name, c := range map[string]struct {
			op   htmx.Op
			from uint64
			in   string
			says string
		}{
			"a client that is none": {op("counter:x", "short", 1), 1, "{}", state.ReasonBadOp},
			"a client with more bits than it has": {
				op("counter:x", tab.Client()[:21]+"B", 1), 1, "{}", state.ReasonBadOp,
			},
			"a seq of 0":                  {op("counter:x", tab.Client(), 0), 0, "{}", state.ReasonBadOp},
			"a from of 0":                 {op("counter:x", tab.Client(), 1), 0, "{}", state.ReasonBadOp},
			"a from behind the seq":       {op("counter:x", tab.Client(), 2), 3, "{}", state.ReasonBadOp},
			"input that is a list":        {op("counter:x", tab.Client(), 1), 1, "[]", "the input can't be read"},
			"input with an object":        {op("counter:x", tab.Client(), 4), 1, `{"x":{}}`, "the input can't be read"},
			"a topic that is not shown":   {op("counter:y", tab.Client(), 1), 1, "{}", "this page may not do that here"},
			"a topic that there is not":   {op("counter:A B", tab.Client(), 1), 1, "{}", "this page may not do that here"},
			"a kind that there is not":    {op("tabs:x", tab.Client(), 1), 1, "{}", "this page may not do that here"},
			"no topic":                    {op("", tab.Client(), 1), 1, "{}", "this page may not do that here"},
			"another kind of the name":    {op("poll:x", tab.Client(), 1), 1, "{}", "this page may not do that here"},
			"a topic as long as can come": {op("counter:"+strings.Repeat("x", 3000), tab.Client(), 1), 1, "{}", "this page may not do that here"},
		} {
			tab.Send(tab.Message(c.op, c.from, "increment", c.in))
			tab.Until(name, func() bool { return tab.Refused(c.op) == c.says })
		}
		if r := recordOf(t, store, "counter:x"); r.Version != 0 {
			t.Errorf("got version %d, want nothing applied", r.Version)
		}
	})
}

func TestAnOpThatIsTooOldIsNotGuessed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstate.New(nil)
		a := start(t, mempubsub.NewBus(), store, "one")
		tab := livetest.Open(t, a.Runtime(), viewOf(t, a, "counter:x"))
		known := tab.Click("counter:x", "increment")
		tab.Until("the acknowledgement", func() bool { return tab.Acked(known) == 1 })
		aged := func(client string, seconds int64) string {
			op := htmx.Op{Topic: "counter:x", Client: client, Seq: 1}
			return strings.Replace(tab.Message(op, 1, "increment", "{}"), `"t":`, fmt.Sprintf(`"age":%d,"t":`, seconds), 1)
		}
		week := int64(state.OpLifetime / time.Second)
		tab.Send(aged(tab.Client(), week+1))
		tab.Until("the answer that it had: its lane is known", func() bool { return tab.Acked(known) == 2 })
		unknown := htmx.Op{Topic: "counter:x", Client: "AAAAAAAAAAAAAAAAAAAAAA", Seq: 1}
		tab.Send(aged(unknown.Client, week+1))
		tab.Until("that nobody knows", func() bool { return tab.Old(unknown) })
		tab.Send(aged(unknown.Client, week-1))
		tab.Until("that it is taken a little earlier", func() bool { return tab.Acked(unknown) == 1 })
		if got := stateOf(t, store, app.Counters(), "x"); got != 2 {
			t.Errorf("got %d, want 2", got)
		}
	})
}

// A stamp that is old was in a message that has waited, or in a tab that slept: the op has to be
// read from the outbox again.
func TestAnOpWithAnOldStampIsToBeReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, mempubsub.NewBus(), memstate.New(nil), "one")
		tab := livetest.Open(t, a.Runtime(), viewOf(t, a, "counter:x"))
		tab.Until("a clock", func() bool { return !tab.Clock().IsZero() })
		op := htmx.Op{Topic: "counter:x", Client: tab.Client(), Seq: 1}
		message := tab.Message(op, 1, "increment", "{}")
		time.Sleep(state.Fresh + time.Second)
		tab.Send(message)
		tab.Until("that it is to be sent again", func() bool { return tab.Retried(op) == state.ReasonStale })
		tab.Send(strings.Replace(message, `"seen"`, `"seen":0,"unseen"`, 1)) // never heard
		tab.Send(tab.Message(op, 1, "increment", "{}"))
		tab.Until("the acknowledgement", func() bool { return tab.Acked(op) == 1 })
	})
}

// A slowBus takes its time for each message.
type slowBus struct {
	driver.Driver
	pause time.Duration
}

// Open implements driver.Driver.
func (b slowBus) Open(ctx context.Context) (driver.Conn, error) {
	c, err := b.Driver.Open(ctx)
	return slowConn{c, b.pause}, err
}

type slowConn struct {
	driver.Conn
	pause time.Duration
}

// Publish implements driver.Conn.
func (c slowConn) Publish(ctx context.Context, topic string, payload []byte) error {
	time.Sleep(c.pause)
	return c.Conn.Publish(ctx, topic, payload)
}

// A clicker is a state.Sender without limits.
type clicker string

// Share implements state.Sender.
func (c clicker) Share() any { return c }

// NewTopic implements state.Sender.
func (clicker) NewTopic() bool { return true }

// TakeLane implements state.Sender.
func (clicker) TakeLane() bool { return true }

// OweLanes implements state.Sender.
func (clicker) OweLanes(int) {}

// ReturnLane implements state.Sender.
func (clicker) ReturnLane() {}

// form is an op as a form without JavaScript makes it: the first of a client.
func form(do string) state.Op {
	return state.Op{Client: state.Client([]byte(rand.Text())[:16]), Seq: 1, From: 1, Do: do}
}

func TestOnePersonsManyCountersDelayNobodyOnOtherReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one := startWith(t, slowBus{bus, 50 * time.Millisecond}, store, &app.Options{Replica: "one", Refresh: 24 * time.Hour, Digest: 24 * time.Hour})
		two := startWith(t, bus, store, &app.Options{Replica: "two", Refresh: 24 * time.Hour, Digest: 24 * time.Hour})
		tab := livetest.Open(t, two.Runtime(), viewOf(t, two, "counter:a"))
		tab.Until("the first state", count(tab, "a", 0))
		click := func(who clicker, name string) {
			answer, err := one.Do(t.Context(), app.Visitor{Sender: who}, "counter:"+name, form("increment"))
			if err != nil || answer.Verdict != state.Ack {
				t.Errorf("got %+v, %v", answer, err)
			}
		}
		var all sync.WaitGroup
		for i := range 900 {
			all.Go(func() { click("x", fmt.Sprintf("x%d", i)) })
		}
		all.Wait()
		click("x", "a") // behind all others
		click("y", "a")
		began := time.Now()
		tab.Until("both clicks", count(tab, "a", 2))
		if d := time.Since(began); d > 200*time.Millisecond {
			t.Errorf("shown on the other replica after %v, behind %d counters of another person", d, 900)
		}
	})
}

// away is a store that fails on demand.
type away struct {
	state.Store
	gone atomic.Bool
}

func (s *away) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	if s.gone.Load() {
		return state.Failed(len(steps), errors.New("gone"))
	}
	return s.Store.Commit(ctx, steps...)
}

func TestAClickWaitsForTheStoreAndIsThenPutOffHonestly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &away{Store: memstate.New(nil)}
		a := start(t, mempubsub.NewBus(), store, "one")
		tab := livetest.Open(t, a.Runtime(), viewOf(t, a, "counter:x"))
		store.gone.Store(true)
		op := tab.Click("counter:x", "increment")
		time.Sleep(time.Second)
		store.gone.Store(false)
		tab.Until("the acknowledgement after a short fault", func() bool { return tab.Acked(op) == 1 })

		store.gone.Store(true)
		op = tab.Click("counter:x", "increment")
		tab.Until("that it waits, after a long fault", func() bool { return tab.Retried(op) == state.ReasonAway })
		store.gone.Store(false)
		tab.Again(op)
		tab.Until("both clicks", count(tab, "x", 2))
	})
}

func TestTheNumberOfTabsIsThatOfAllReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one, two := start(t, bus, store, "same name"), start(t, bus, store, "same name")
		a := livetest.Open(t, one.Runtime(), viewOf(t, one, "counter:x"))
		b := livetest.Open(t, two.Runtime(), viewOf(t, two, "counter:x"))
		says := func(tab *livetest.Tab, n string) func() bool {
			return func() bool { return strings.Contains(tab.Shown("tabs:counter:x").Content, n) }
		}
		a.Until("two tabs", says(a, "2"))
		b.Until("two tabs", says(b, "2"))
		b.Disconnect()
		a.Until("one tab", says(a, "1"))
	})
}

func TestATabIsToldWhoServesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, mempubsub.NewBus(), memstate.New(nil), "<one>")
		tab := livetest.Open(t, a.Runtime(), viewOf(t, a, "counter:x"))
		tab.Until("the welcome", func() bool { return len(tab.Messages()) > 0 })
		if got := tab.Messages()[0]; !strings.Contains(got, `#replica`) || !strings.Contains(got, "&lt;one&gt;") {
			t.Errorf("got %s, want the replica's name, escaped", got)
		}
	})
}

func TestAPoisonedChannelHurtsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := mempubsub.NewBus()
		a := start(t, bus, memstate.New(nil), "one")
		tab := livetest.Open(t, a.Runtime(), viewOf(t, a, "counter:x"))
		vandal := pubsub.NewHub(bus, nil)
		if err := vandal.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer vandal.Stop(context.Background())
		for _, p := range []string{"", "nonsense", "{}", "null", "[]",
			`{"e":1,"v":2}`, `{"e":1,"v":2,"s":7}`, `{"e":9,"v":-2,"s":"1 7"}`, `{"e":9,"v":2,"s":"7"}`, `{"e":9,"v":3,"s":"2 7"}`, `{"e":9,"v":4,"s":"1 x"}`,
			`{"e":9,"v":5,"b":"!"}`, `{"e":9,"v":6,"absent":true}`, strings.Repeat("x", 1<<20)} {
			for _, topic := range []string{"counter:x", "presence"} {
				if err := vandal.Broadcast(t.Context(), topic, []byte(p)); err != nil {
					t.Fatal(err)
				}
			}
		}
		tab.Click("counter:x", "increment")
		tab.Until("the click", count(tab, "x", 1))
		if tab.Closed() != 0 {
			t.Errorf("the tab was closed with %d", tab.Closed())
		}
	})
}

func TestStopEndsEverythingAndAcknowledgesWhatItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstate.New(nil)
		a := app.New(mempubsub.NewBus(), store, nil)
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		tab := livetest.Open(t, a.Runtime(), viewOf(t, a, "counter:x"))
		op := tab.Click("counter:x", "increment")
		if err := a.Stop(t.Context(), time.Second); err != nil {
			t.Fatal(err)
		}
		if tab.Acked(op) != 1 {
			t.Error("a click made before the stop was not acknowledged")
		}
		answer, err := a.Do(t.Context(), app.Visitor{}, "counter:x", form("increment"))
		if err != nil || answer.Verdict != state.Retry || !errors.Is(answer.Err, state.ErrClosed) {
			t.Errorf("got %+v, %v of a click after the stop, want that it was not taken", answer, err)
		}
	})
}

// stuckStore answers reads and refuses writes, as with a full disk.
type stuckStore struct {
	state.Store
	stuck atomic.Bool
}

func (s *stuckStore) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	if s.stuck.Load() {
		return state.Failed(len(steps), errors.New("no space left on device"))
	}
	return s.Store.Commit(ctx, steps...)
}

func TestAStoreThatRefusesWritesIsNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &stuckStore{Store: memstate.New(nil)}
		a := start(t, mempubsub.NewBus(), store, "one")
		tab := livetest.Open(t, a.Runtime(), viewOf(t, a, "counter:x"))
		synctest.Wait()
		store.stuck.Store(true)
		op := tab.Click("counter:x", "increment")
		tab.Until("degraded", func() bool { return tab.Status() == "degraded" })
		if err := a.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "writes: changes can't be saved") {
			t.Errorf("got %v, want that changes can't be saved", err)
		}
		tab.Until("that the click waits", func() bool { return tab.Retried(op) != "" })
		store.stuck.Store(false)
		tab.Again(op)
		tab.Until("live", func() bool { return tab.Status() == "live" })

		store.stuck.Store(true)
		tab.Click("counter:x", "increment")
		tab.Until("degraded", func() bool { return tab.Status() == "degraded" })
		tab.Until("live again when nobody tries any more", func() bool { return tab.Status() == "live" })
	})
}

// hangingStore is a store whose reads wait for their context to end.
type hangingStore struct {
	state.Store
	hangs atomic.Bool
}

func (s *hangingStore) Read(ctx context.Context, topics ...string) ([]state.Record, error) {
	if s.hangs.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.Store.Read(ctx, topics...)
}

func TestAPageThatCanNotBeReadSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &hangingStore{Store: memstate.New(nil)}
		a := start(t, mempubsub.NewBus(), store, "one")
		stateOfPage := func() string {
			p, _, err := a.Page(t.Context(), "counter:x", nil)
			if err != nil {
				t.Error(err)
			}
			return p.State
		}
		if got := stateOfPage(); got != pages.Connecting {
			t.Fatalf("got %q before anything hangs, want connecting", got)
		}
		store.hangs.Store(true)
		// The page gives up before the runtime has found anything wrong.
		if got := stateOfPage(); got != "degraded" {
			t.Errorf("got %q from a store that does not answer, want degraded", got)
		}
	})
}

// moodyStore fails some reads, or panics.
type moodyStore struct {
	state.Store
	fails  atomic.Int64 // the next reads
	panics atomic.Bool
}

func (s *moodyStore) Read(ctx context.Context, topics ...string) ([]state.Record, error) {
	if s.panics.Load() {
		panic("sabotage")
	}
	if s.fails.Add(-1) >= 0 {
		return nil, errors.New("a moment, please")
	}
	return s.Store.Read(ctx, topics...)
}

func TestOneReadThatFailsIsReadyAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &moodyStore{Store: memstate.New(nil)}
		a := start(t, mempubsub.NewBus(), store, "one")
		for range 10 {
			store.fails.Store(1)
			if err := a.Ready(t.Context()); err != nil {
				t.Errorf("got %v after one failed read", err)
			}
		}
		store.fails.Store(1 << 60)
		if err := a.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "store") {
			t.Errorf("got %v while every read fails", err)
		}
		store.fails.Store(0)
		store.panics.Store(true)
		if err := a.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "store") {
			t.Errorf("got %v while every read panics", err)
		}
		store.panics.Store(false)
		if err := a.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestAnyNameOfAReplicaWillDo(t *testing.T) {
	for _, name := range []string{"", strings.Repeat("x", 10_000), "not UTF-8: \xff", strings.Repeat("ü", 200)} {
		synctest.Test(t, func(t *testing.T) {
			a := start(t, mempubsub.NewBus(), memstate.New(nil), name)
			tab := livetest.Open(t, a.Runtime(), viewOf(t, a, "counter:x"))
			time.Sleep(10 * time.Second)
			if got := tab.Shown("tabs:counter:x").Content; !strings.Contains(got, "1") {
				t.Errorf("got %q for a replica called %.20q, want one tab", got, name)
			}
		})
	}
}

func TestAnApplicationNeedsABrokerAndAStore(t *testing.T) {
	for want, a := range map[string]*app.App{
		"no driver": app.New(nil, memstate.New(nil), nil),
		"no store":  app.New(mempubsub.NewBus(), nil, nil),
	} {
		if err := a.Start(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
