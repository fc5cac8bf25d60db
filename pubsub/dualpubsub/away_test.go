package dualpubsub_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/precondition"
	"lockstep/pubsub"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/dualpubsub"
	"lockstep/pubsub/mempubsub"
	"lockstep/pubsub/pubsubtest"
)

// quick is a moment in which nothing of a hub's patience runs out.
const quick = 200 * time.Millisecond

// heard is what a subscriber has got.
type heard struct {
	mu  sync.Mutex
	got []string
}

func (h *heard) handle(_ context.Context, m pubsub.Message) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m.Gap {
		h.got = append(h.got, "gap")
	} else {
		h.got = append(h.got, string(m.Payload))
	}
	return nil
}

// take returns what has come since it was last called, each once.
func (h *heard) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	got := h.got
	h.got = nil
	slices.Sort(got)
	return slices.Compact(got)
}

// A replica is a hub over both brokers, each of which it reaches by a way of its own.
type replica struct {
	t     *testing.T
	ways  [2]*pubsubtest.Recorder
	hub   *pubsub.Hub
	heard heard
	part  *precondition.Part
}

func start(t *testing.T, brokers [2]*mempubsub.Bus) *replica {
	t.Helper()
	r := &replica{t: t, ways: [2]*pubsubtest.Recorder{pubsubtest.NewRecorder(brokers[0]), pubsubtest.NewRecorder(brokers[1])}, part: precondition.NewPart("broker", nil)}
	d := dualpubsub.NewDriver(r.ways[0], r.ways[1], &dualpubsub.Options{Prefix: "app:", First: "one", Second: "two", Preconditions: r.part})
	r.hub = pubsub.NewHub(d, &pubsub.Options{Prefix: "app:", ProbeInterval: -1})
	r.must(r.hub.Start(t.Context()))
	r.must(r.hub.SubscribeTopic(t.Context(), "s", "x", r.heard.handle))
	return r
}

func (r *replica) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *replica) stop() {
	r.t.Helper()
	r.must(r.hub.Stop(context.WithoutCancel(r.t.Context())))
}

func (r *replica) say(text string) {
	r.t.Helper()
	r.must(r.hub.Broadcast(r.t.Context(), "x", []byte(text)))
}

// wants compares what was heard in a moment.
func (r *replica) wants(want ...string) {
	r.t.Helper()
	time.Sleep(quick)
	if got := r.heard.take(); !slices.Equal(got, want) {
		r.t.Errorf("heard %q, want %q", got, want)
	}
}

// lose cuts the way to a broker, and lets nobody through; find does again.
func (r *replica) lose(n int) {
	r.ways[n].Fail(pubsubtest.Open, -1, errors.New("no way"))
	r.ways[n].Disconnect()
	time.Sleep(quick)
}

func (r *replica) find(n int) {
	r.ways[n].Heal()
	time.Sleep(6 * time.Second) // the longest pause between attempts
}

// unmet are the names of what is not as it should be.
func (r *replica) unmet() (names []string) {
	for _, u := range r.part.Unmet() {
		names = append(names, u.Name)
	}
	return names
}

// two runs f with two replicas on two brokers, in a bubble.
func two(t *testing.T, f func(t *testing.T, a, b *replica)) {
	synctest.Test(t, func(t *testing.T) {
		brokers := [2]*mempubsub.Bus{mempubsub.NewBus(), mempubsub.NewBus()}
		a, b := start(t, brokers), start(t, brokers)
		defer a.stop()
		defer b.stop()
		f(t, a, b)
	})
}

func TestBothBrokersCarryEachMessage(t *testing.T) {
	two(t, func(t *testing.T, a, b *replica) {
		a.say("hello")
		b.wants("hello")
		a.wants("hello")
		if n := a.hub.Stats().Received; n != 2 {
			t.Errorf("got %d messages, want one from each broker", n)
		}
		if got := a.unmet(); len(got) > 0 {
			t.Errorf("got %q", got)
		}
	})
}

// TestOneBrokerAwayIsNoOutage whichever it is: messages go on, the hub is healthy, and it is said
// which is away. When it goes, and when it is back, there is a gap.
func TestOneBrokerAwayIsNoOutage(t *testing.T) {
	for n, name := range []string{"first_broker_away", "second_broker_away"} {
		two(t, func(t *testing.T, a, b *replica) {
			a.lose(n)
			a.wants("gap")
			b.wants()
			a.must(a.hub.Err())
			a.say("of a")
			b.say("of b")
			a.wants("of a", "of b")
			b.wants("of a", "of b")
			if got := a.unmet(); !slices.Equal(got, []string{name}) {
				t.Errorf("got %q, want %q", got, name)
			}
			time.Sleep(5 * time.Minute)
			a.wants()
			a.find(n)
			a.wants("gap")
			a.say("again")
			b.wants("again")
			if got := a.unmet(); len(got) > 0 {
				t.Errorf("got %q of a broker that is back", got)
			}
			if n := a.hub.Stats().Reconnects; n != 0 {
				t.Errorf("the connection was lost %d times", n)
			}
		})
	}
}

// TestWhatOnlyTheBrokerThatIsAwayCarriesIsAGap: two replicas that have no broker in common can't
// hear each other, and each has a gap before and after that.
func TestWhatOnlyTheBrokerThatIsAwayCarriesIsAGap(t *testing.T) {
	two(t, func(t *testing.T, a, b *replica) {
		a.lose(0)
		a.wants("gap")
		b.lose(1)
		b.wants("gap")
		a.say("nobody hears it")
		b.wants()
		b.find(1)
		b.wants("gap")
		a.say("here")
		b.wants("here")
	})
}

// TestBothBrokersAwayIsAnOutage and the end of it is noticed with either.
func TestBothBrokersAwayIsAnOutage(t *testing.T) {
	two(t, func(t *testing.T, a, b *replica) {
		a.lose(0)
		a.lose(1)
		if err := a.hub.Err(); !errors.Is(err, pubsub.ErrNotConnected) {
			t.Errorf("got %v, want that nothing is connected", err)
		}
		if got, want := a.unmet(), []string{"first_broker_away", "second_broker_away"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		a.heard.take()
		a.find(1)
		a.must(a.hub.Err())
		a.wants("gap")
		b.say("here")
		a.wants("here")
		a.find(0)
		a.wants("gap")
		if n := a.hub.Stats().Reconnects; n != 1 {
			t.Errorf("got %d reconnections, want 1", n)
		}
	})
}

// TestADeafBrokerIsFound although its connection looks well, and the other one hides it.
func TestADeafBrokerIsFound(t *testing.T) {
	two(t, func(t *testing.T, a, b *replica) {
		a.ways[1].Deafen()
		time.Sleep(3 * time.Second)
		a.wants("gap") // a new connection has taken its place
		b.ways[0].Fail(pubsubtest.Publish, -1, errors.New("refused"))
		b.say("over the second")
		a.wants("over the second")
	})
}

// TestAFrozenBrokerDoesNotHoldUpTheOther for longer than a moment.
func TestAFrozenBrokerDoesNotHoldUpTheOther(t *testing.T) {
	two(t, func(t *testing.T, a, b *replica) {
		thaw := a.ways[0].Stall(pubsubtest.Publish)
		defer thaw()
		began := time.Now()
		a.say("quick")
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		b.wants("quick")
	})
}

// TestTheSecondBrokerMayComeLater: one is enough to begin with, and none is not.
func TestTheSecondBrokerMayComeLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := mempubsub.NewBus()
		late := pubsubtest.NewRecorder(nil)
		late.Fail(pubsubtest.Open, -1, errors.New("not yet"))
		never := pubsubtest.NewRecorder(nil)
		never.Fail(pubsubtest.Open, -1, errors.New("never"))
		if _, err := dualpubsub.NewDriver(never, late, nil).Open(t.Context()); err == nil || !errors.Is(err, pubsub.ErrNotConnected) {
			t.Errorf("got %v of no broker at all", err)
		}
		c, err := dualpubsub.NewDriver(bus, late, nil).Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if err := c.Subscribe(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		late.Heal()
		for {
			m, err := c.Receive(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if m.Gap && m.Topic == "x" {
				return // the second has it now, too
			}
		}
	})
}

// TestTopicsHaveThePrefix: what the driver says to itself must be below it, as rights are.
func TestTopicsHaveThePrefix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		way := pubsubtest.NewRecorder(nil)
		c, err := dualpubsub.NewDriver(way, mempubsub.NewBus(), &dualpubsub.Options{Prefix: "app:"}).Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		for _, topic := range []string{"other:x", "app:", ""} {
			if err := errors.Join(c.Subscribe(t.Context(), topic)); err == nil {
				t.Errorf("%q was subscribed", topic)
			}
		}
		time.Sleep(5 * time.Second)
		for _, call := range way.Calls() {
			if call.Topic != "" && call.Topic[:4] != "app:" {
				t.Errorf("%v of %q", call.Op, call.Topic)
			}
		}
	})
}

// TestAForgedMessageIsCounted: the hub above hears of it, too.
func TestAForgedMessageIsCounted(t *testing.T) {
	two(t, func(t *testing.T, a, b *replica) {
		a.ways[1].Deliver(driver.Message{Topic: "app:x", Gap: true, Forged: true})
		a.wants("gap")
		if n := a.hub.Stats().Forged; n != 1 {
			t.Errorf("got %d forged messages, want 1", n)
		}
	})
}
