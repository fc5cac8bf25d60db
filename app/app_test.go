package app_test

import (
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
	"lockstep/components"
	"lockstep/counter"
	"lockstep/counter/memcounter"
	"lockstep/live/livetest"
	"lockstep/pubsub"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
)

// start runs a replica until the test ends.
func start(t *testing.T, bus *mempubsub.Bus, store counter.Store, name string) *app.App {
	t.Helper()
	return startWith(t, bus, store, &app.Options{Replica: name})
}

// startWith is start with options.
func startWith(t *testing.T, d driver.Driver, store counter.Store, opts *app.Options) *app.App {
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

func count(tab *livetest.Tab, name string, n int) func() bool {
	return func() bool {
		return strings.Contains(tab.Shown("counter:"+name).Content, fmt.Sprintf(`data-count="%d"`, n))
	}
}

func TestAClickInOneTabIsSeenInAllTabsOfAllReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memcounter.New(nil)
		one, two := start(t, bus, store, "one"), start(t, bus, store, "two")
		a := livetest.Open(t, one.Runtime(), one.Counter("x"))
		b := livetest.Open(t, two.Runtime(), two.Counter("x"))
		other := livetest.Open(t, two.Runtime(), two.Counter("y"))
		ops := []string{a.Click("increment"), a.Click("increment"), a.Click("decrement")}
		for _, tab := range []*livetest.Tab{a, b} {
			tab.Until("the count", count(tab, "x", 1))
		}
		for _, op := range ops {
			a.Until("the acknowledgement", func() bool { return a.Acked(op) == 1 })
		}
		b.Click("reset")
		a.Until("the reset", count(a, "x", 0))
		synctest.Wait()
		if !count(other, "y", 0)() {
			t.Errorf("another counter shows %q", other.Shown("counter:y").Content)
		}
	})
}

func TestARepeatedOpIsAcknowledgedAndCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memcounter.New(nil)
		one, two := start(t, bus, store, "one"), start(t, bus, store, "two")
		a := livetest.Open(t, one.Runtime(), one.Counter("x"))
		b := livetest.Open(t, two.Runtime(), two.Counter("x"))
		const op = "the-same-op-everywhere"
		for _, tab := range []*livetest.Tab{a, b, a} {
			tab.Send(`{"action":"increment","op":"` + op + `"}`)
		}
		a.Until("two acknowledgements", func() bool { return a.Acked(op) == 2 })
		b.Until("one acknowledgement", func() bool { return b.Acked(op) == 1 })
		if v, err := store.Get(t.Context(), "x"); err != nil || v[0].N != 1 || v[0].Version != 1 {
			t.Errorf("got %+v, %v; want 1 at version 1", v, err)
		}
	})
}

func TestWhatIsRefusedIsSaidAndChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memcounter.New(nil)
		a := start(t, mempubsub.NewBus(), store, "one")
		tab := livetest.Open(t, a.Runtime(), a.Counter("x"))
		old := int64(counter.OpLifetime/time.Second) + 1
		for _, c := range []struct{ message, op, says string }{
			{`{"action":"explode","op":"aaaaaaaaaaaaaaaaaaaa"}`, "aaaaaaaaaaaaaaaaaaaa", "unknown action"},
			{`{"action":"increment","op":"short"}`, "short", "16 to 64"},
			{`{"action":"increment"}`, "", "16 to 64"},
			{fmt.Sprintf(`{"action":"increment","op":"bbbbbbbbbbbbbbbbbbbb","age":%d}`, old), "bbbbbbbbbbbbbbbbbbbb", "too old"},
		} {
			tab.Send(c.message)
			tab.Until(c.says, func() bool { return strings.Contains(tab.Refused(c.op), c.says) })
		}
		if v, err := store.Get(t.Context(), "x"); err != nil || v[0].Version != 0 {
			t.Errorf("got %+v, %v; want nothing applied", v, err)
		}
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

// A clicker is a counter.Sender without limits.
type clicker string

// Share implements counter.Sender.
func (c clicker) Share() any { return c }

// TakeOp implements counter.Sender.
func (clicker) TakeOp() bool { return true }

// ReturnOp implements counter.Sender.
func (clicker) ReturnOp() {}

// NewName implements counter.Sender.
func (clicker) NewName() bool { return true }

func TestOnePersonsManyCountersDelayNobodyOnOtherReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memcounter.New(nil)
		one := startWith(t, slowBus{bus, 50 * time.Millisecond}, store, &app.Options{Replica: "one", Refresh: 24 * time.Hour, Digest: 24 * time.Hour})
		two := startWith(t, bus, store, &app.Options{Replica: "two", Refresh: 24 * time.Hour, Digest: 24 * time.Hour})
		tab := livetest.Open(t, two.Runtime(), two.Counter("a"))
		tab.Until("the first state", count(tab, "a", 0))
		click := func(who clicker, name string, i int) {
			if _, err := one.Click(t.Context(), who, name, "increment", fmt.Sprintf("an-op-of-%s-for-%s-%d", who, name, i), 0); err != nil {
				t.Error(err)
			}
		}
		var all sync.WaitGroup
		for i := range 900 {
			all.Go(func() { click("x", fmt.Sprintf("x%d", i), i) })
		}
		all.Wait()
		click("x", "a", 0) // behind all others
		click("y", "a", 0)
		began := time.Now()
		tab.Until("both clicks", count(tab, "a", 2))
		if d := time.Since(began); d > 200*time.Millisecond {
			t.Errorf("shown on the other replica after %v, behind %d counters of another person", d, 900)
		}
	})
}

// away is a store that fails on demand.
type away struct {
	counter.Store
	gone atomic.Bool
}

func (s *away) Apply(ctx context.Context, name string, ops ...counter.Op) (counter.Value, []bool, error) {
	if s.gone.Load() {
		return counter.Value{}, nil, errors.New("gone")
	}
	return s.Store.Apply(ctx, name, ops...)
}

func TestAClickWaitsForTheStoreAndIsThenRefusedHonestly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &away{Store: memcounter.New(nil)}
		a := start(t, mempubsub.NewBus(), store, "one")
		tab := livetest.Open(t, a.Runtime(), a.Counter("x"))
		store.gone.Store(true)
		op := tab.Click("increment")
		time.Sleep(time.Second)
		store.gone.Store(false)
		tab.Until("the acknowledgement after a short fault", func() bool { return tab.Acked(op) == 1 })

		store.gone.Store(true)
		op = tab.Click("increment")
		tab.Until("the refusal after a long fault", func() bool { return strings.Contains(tab.Refused(op), "your click waits") })
		if last := tab.Messages()[len(tab.Messages())-1]; !strings.Contains(last, `"retry":true`) {
			t.Errorf("the refusal does not ask to try again: %s", last)
		}
		store.gone.Store(false)
		tab.Send(`{"action":"increment","op":"` + op + `"}`)
		tab.Until("both clicks", count(tab, "x", 2))
	})
}

func TestTheNumberOfTabsIsThatOfAllReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memcounter.New(nil)
		one, two := start(t, bus, store, "same name"), start(t, bus, store, "same name")
		a := livetest.Open(t, one.Runtime(), one.Counter("x"))
		b := livetest.Open(t, two.Runtime(), two.Counter("x"))
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
		a := start(t, mempubsub.NewBus(), memcounter.New(nil), "<one>")
		tab := livetest.Open(t, a.Runtime(), a.Counter("x"))
		tab.Until("the welcome", func() bool { return len(tab.Messages()) > 0 })
		if got := tab.Messages()[0]; !strings.Contains(got, `#replica`) || !strings.Contains(got, "&lt;one&gt;") {
			t.Errorf("got %s, want the replica's name, escaped", got)
		}
	})
}

func TestAPoisonedChannelHurtsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := mempubsub.NewBus()
		a := start(t, bus, memcounter.New(nil), "one")
		tab := livetest.Open(t, a.Runtime(), a.Counter("x"))
		vandal := pubsub.NewHub(bus, nil)
		if err := vandal.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer vandal.Stop(context.Background())
		for _, p := range []string{"", "nonsense", "{}", "null", "[]", `{"n":"1","v":2,"e":3}`, `{"n":1.5,"v":2,"e":3}`, `{"n":1,"v":-2,"e":3}`, strings.Repeat("x", 1<<20)} {
			for _, topic := range []string{"counter:x", "presence"} {
				if err := vandal.Broadcast(t.Context(), topic, []byte(p)); err != nil {
					t.Fatal(err)
				}
			}
		}
		tab.Click("increment")
		tab.Until("the click", count(tab, "x", 1))
		if tab.Closed() != 0 {
			t.Errorf("the tab was closed with %d", tab.Closed())
		}
	})
}

func TestStopEndsEverythingAndAcknowledgesWhatItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memcounter.New(nil)
		a := app.New(mempubsub.NewBus(), store, nil)
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		tab := livetest.Open(t, a.Runtime(), a.Counter("x"))
		op := tab.Click("increment")
		if err := a.Stop(t.Context(), time.Second); err != nil {
			t.Fatal(err)
		}
		if tab.Acked(op) != 1 {
			t.Error("a click made before the stop was not acknowledged")
		}
		if _, err := a.Click(t.Context(), nil, "x", "increment", "an-op-that-comes-late", 0); err == nil {
			t.Error("a click after the stop was taken")
		}
	})
}

// stuckStore answers reads and refuses writes, as with a full disk.
type stuckStore struct {
	counter.Store
	stuck atomic.Bool
}

func (s *stuckStore) Apply(ctx context.Context, name string, ops ...counter.Op) (counter.Value, []bool, error) {
	if s.stuck.Load() {
		return counter.Value{}, nil, errors.New("no space left on device")
	}
	return s.Store.Apply(ctx, name, ops...)
}

func TestAStoreThatRefusesWritesIsNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &stuckStore{Store: memcounter.New(nil)}
		a := start(t, mempubsub.NewBus(), store, "one")
		tab := livetest.Open(t, a.Runtime(), a.Counter("x"))
		synctest.Wait()
		store.stuck.Store(true)
		op := tab.Click("increment")
		tab.Until("degraded", func() bool { return tab.Status() == "degraded" })
		if err := a.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "writes: clicks can't be saved") {
			t.Errorf("got %v, want that clicks can't be saved", err)
		}
		tab.Until("the refusal", func() bool { return tab.Refused(op) != "" })
		store.stuck.Store(false)
		tab.Click("increment")
		tab.Until("live", func() bool { return tab.Status() == "live" })

		store.stuck.Store(true)
		tab.Click("increment")
		tab.Until("degraded", func() bool { return tab.Status() == "degraded" })
		tab.Until("live again when nobody tries any more", func() bool { return tab.Status() == "live" })
	})
}

// hangingStore is a store whose reads wait for their context to end.
type hangingStore struct {
	counter.Store
	hangs atomic.Bool
}

func (s *hangingStore) Get(ctx context.Context, names ...string) ([]counter.Value, error) {
	if s.hangs.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.Store.Get(ctx, names...)
}

func TestAPageThatCanNotBeReadSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &hangingStore{Store: memcounter.New(nil)}
		a := start(t, mempubsub.NewBus(), store, "one")
		if got := a.CounterPage(t.Context(), "x").State; got != components.Connecting {
			t.Fatalf("got %q before anything hangs, want connecting", got)
		}
		store.hangs.Store(true)
		// The page gives up before the runtime has found anything wrong.
		if got := a.CounterPage(t.Context(), "x").State; got != "degraded" {
			t.Errorf("got %q from a store that does not answer, want degraded", got)
		}
	})
}

// moodyStore fails some reads, or panics.
type moodyStore struct {
	counter.Store
	fails  atomic.Int64 // the next reads
	panics atomic.Bool
}

func (s *moodyStore) Get(ctx context.Context, names ...string) ([]counter.Value, error) {
	if s.panics.Load() {
		panic("sabotage")
	}
	if s.fails.Add(-1) >= 0 {
		return nil, errors.New("a moment, please")
	}
	return s.Store.Get(ctx, names...)
}

func TestOneReadThatFailsIsReadyAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &moodyStore{Store: memcounter.New(nil)}
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
			a := start(t, mempubsub.NewBus(), memcounter.New(nil), name)
			tab := livetest.Open(t, a.Runtime(), a.Counter("x"))
			time.Sleep(10 * time.Second)
			if got := tab.Shown("tabs:counter:x").Content; !strings.Contains(got, "1") {
				t.Errorf("got %q for a replica called %.20q, want one tab", got, name)
			}
		})
	}
}

func TestAnApplicationNeedsABrokerAndAStore(t *testing.T) {
	for want, f := range map[string]func(){
		"needs a driver": func() { app.New(nil, memcounter.New(nil), nil) },
		"needs a store":  func() { app.New(mempubsub.NewBus(), nil, nil) },
	} {
		func() {
			defer func() {
				if p := recover(); !strings.Contains(fmt.Sprint(p), want) {
					t.Errorf("got %v, want %q", p, want)
				}
			}()
			f()
		}()
	}
}
