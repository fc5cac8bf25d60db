package live_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/livetest"
	"lockstep/pubsub"
)

// state is a versioned number, as a store would keep it.
type state struct {
	N       int
	Epoch   uint64
	Version uint64
}

// fakeStore is the truth of these tests.
type fakeStore struct {
	mu      sync.Mutex
	states  map[string]state
	err     error
	reads   int
	blocked chan struct{} // not nil: reads wait
}

func newStore() *fakeStore { return &fakeStore{states: make(map[string]state)} }

func (f *fakeStore) add(key string) state {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.states[key]
	s.N, s.Version, s.Epoch = s.N+1, s.Version+1, 1
	f.states[key] = s
	return s
}

// count returns how many reads there were.
func (f *fakeStore) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reads
}

func (f *fakeStore) get(key string) state {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.states[key]
}

func (f *fakeStore) set(key string, s state) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.states[key] = s
}

func (f *fakeStore) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *fakeStore) load(_ context.Context, keys ...string) ([]state, error) {
	f.mu.Lock()
	blocked := f.blocked
	f.reads++
	f.mu.Unlock()
	if blocked != nil {
		<-blocked
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	var out []state
	for _, k := range keys {
		s := f.states[k]
		s.Epoch = 1
		out = append(out, s)
	}
	return out, nil
}

// fakeHub delivers broadcasts at once, or loses them.
type fakeHub struct {
	mu       sync.Mutex
	handlers map[string]map[string]pubsub.Handler // by topic and session
	deaf     func(topic string) bool              // nil: to nothing
	refuse   error
	blocked  chan struct{} // not nil: broadcasts wait
	sent     int
	strike   func()             // called by each method; nil: nothing
	carry    func(topic string) // called by each broadcast; nil: nothing
	// subscribed counts the calls by topic
	subscribed map[string]int
}

func newHub() *fakeHub {
	return &fakeHub{handlers: make(map[string]map[string]pubsub.Handler), subscribed: make(map[string]int)}
}

func (h *fakeHub) Broadcast(ctx context.Context, topic string, payload []byte) error {
	if h.strike != nil {
		h.strike()
	}
	if h.carry != nil {
		h.carry(topic)
	}
	h.mu.Lock()
	blocked := h.blocked
	h.sent++
	h.mu.Unlock()
	if blocked != nil {
		<-blocked
	}
	return h.deliver(pubsub.Message{Topic: topic, Payload: payload, Trusted: true})
}

func (h *fakeHub) deliver(m pubsub.Message) error {
	h.mu.Lock()
	var hs []pubsub.Handler
	for _, f := range h.handlers[m.Topic] {
		hs = append(hs, f)
	}
	deaf := h.deaf != nil && h.deaf(m.Topic)
	h.mu.Unlock()
	if deaf {
		return nil
	}
	var errs []error
	for _, f := range hs {
		errs = append(errs, f(context.Background(), m))
	}
	return errors.Join(errs...)
}

// deafen loses what is broadcast on topics that begin so.
func (h *fakeHub) deafen(prefix string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deaf = func(topic string) bool { return strings.HasPrefix(topic, prefix) }
}

func (h *fakeHub) SubscribeTopic(_ context.Context, session, topic string, f pubsub.Handler) error {
	if h.strike != nil {
		h.strike()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refuse != nil {
		return h.refuse
	}
	h.subscribed[topic]++
	if h.handlers[topic] == nil {
		h.handlers[topic] = make(map[string]pubsub.Handler)
	}
	h.handlers[topic][session] = f
	return nil
}

func (h *fakeHub) UnsubscribeAll(_ context.Context, session string) error {
	if h.strike != nil {
		h.strike()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for topic := range h.handlers {
		delete(h.handlers[topic], session)
	}
	return nil
}

func (h *fakeHub) subscriptions(topic string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.handlers[topic])
}

func (h *fakeHub) subscriptionsEver(topic string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.subscribed[topic]
}

// An endpoint is one replica's hub: its sessions are its own.
type endpoint struct {
	*fakeHub
	r *replica
}

func (e endpoint) SubscribeTopic(ctx context.Context, session, topic string, f pubsub.Handler) error {
	return e.fakeHub.SubscribeTopic(ctx, fmt.Sprintf("%p:%s", e.r, session), topic, f)
}

func (e endpoint) UnsubscribeAll(ctx context.Context, session string) error {
	return e.fakeHub.UnsubscribeAll(ctx, fmt.Sprintf("%p:%s", e.r, session))
}

// text renders a state.
type text struct {
	s       state
	renders *atomic.Int64
	broken  bool
}

func (c text) Render(_ context.Context, w io.Writer) error {
	if c.broken {
		panic("a broken component")
	}
	c.renders.Add(1)
	_, err := fmt.Fprintf(w, "n=%d", c.s.N)
	return err
}

// replica is a runtime with one kind of room over a store and a hub.
type replica struct {
	rt      *live.Runtime
	rooms   *live.Rooms[state]
	store   *fakeStore
	hub     *fakeHub
	renders atomic.Int64
	broken  bool
}

func start(store *fakeStore, hub *fakeHub, opts *live.Options, change ...func(*live.RoomsOptions[state])) *replica {
	r := &replica{rt: live.NewRuntime(opts), store: store, hub: hub}
	r.rt.Start()
	rooms := live.RoomsOptions[state]{
		Name:  "test",
		Topic: func(key string) string { return "t:" + key },
		Render: func(_ string, s state) (string, live.Component) {
			return "#live", text{s, &r.renders, r.broken && s.N == 13}
		},
		Order:  func(s state) (uint64, uint64) { return s.Epoch, s.Version },
		Load:   store.load,
		Encode: func(s state) ([]byte, error) { return json.Marshal(s) },
		Decode: func(p []byte) (s state, err error) { return s, json.Unmarshal(p, &s) },
	}
	for _, f := range change {
		f(&rooms)
	}
	r.rooms = live.NewRooms(r.rt, endpoint{hub, r}, rooms)
	return r
}

// page is a view of one room whose events add to it.
type page struct {
	r   *replica
	key string
}

func (p page) Mount(ctx context.Context, s *live.Session) error {
	return p.r.rooms.Join(ctx, s, p.key)
}

func (p page) HandleEvent(_ context.Context, s *live.Session, e htmx.Event) error {
	switch e.Do {
	case "add":
		p.r.rooms.Commit(p.key, p.r.store.add(p.key))
		p.r.rooms.Ack(s, p.key, e.Op)
		return nil
	case "panic":
		panic("a broken view")
	case "fail":
		return errors.New("an error")
	}
	s.Refuse(e.Op, "unknown action", false)
	return nil
}

func shows(tab *livetest.Tab, want string) func() bool {
	return func() bool { return strings.Contains(tab.Shown("t:a").Content, want) }
}

func TestAChangeReachesEveryTabOfEveryReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		r1, r2 := start(store, hub, nil), start(store, hub, nil)
		defer r1.rt.Stop()
		defer r2.rt.Stop()
		a, b := livetest.Open(t, r1.rt, page{r1, "a"}), livetest.Open(t, r2.rt, page{r2, "a"})
		synctest.Wait()
		began := time.Now()
		op := a.Click("t:a", "add")
		a.Until("its own click", shows(a, "n=1"))
		b.Until("the other's click", shows(b, "n=1"))
		if d := time.Since(began); d > 50*time.Millisecond { // of the bubble's clock
			t.Errorf("the other replica heard of it after %v: not by the broadcast", d)
		}
		a.Until("the acknowledgement", func() bool { return a.Acked(op) == 1 })
	})
}

func TestARoomRendersOnceForAllItsTabs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		defer r.rt.Stop()
		var tabs []*livetest.Tab
		for range 20 {
			tabs = append(tabs, livetest.Open(t, r.rt, page{r, "a"}))
		}
		synctest.Wait()
		before := r.renders.Load()
		tabs[0].Click("t:a", "add")
		for _, tab := range tabs {
			tab.Until("the click", shows(tab, "n=1"))
		}
		if got := r.renders.Load() - before; got != 1 {
			t.Errorf("got %d renders for one change and 20 tabs, want 1", got)
		}
	})
}

func TestManyChangesAreConflatedAndTheLastIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		synctest.Wait()
		before, began := r.renders.Load(), time.Now()
		var last htmx.Op
		for range 1000 {
			last = tab.Click("t:a", "add")
			time.Sleep(time.Millisecond) // in the bubble: no real time
		}
		tab.Until("the last change", shows(tab, "n=1000"))
		tab.Until("the last acknowledgement", func() bool { return tab.Acked(last) == 1 })
		limit := int64(time.Since(began)/(33*time.Millisecond)) + 2
		if got := r.renders.Load() - before; got > limit {
			t.Errorf("got %d renders of 1000 changes in %v, want at most %d", got, time.Since(began), limit)
		}
	})
}

func TestTheFirstChangeAfterAPauseIsShownAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		synctest.Wait()
		time.Sleep(time.Second)
		began := time.Now()
		tab.Click("t:a", "add")
		tab.Until("the click", shows(tab, "n=1"))
		if d := time.Since(began); d != 0 {
			t.Errorf("got the change after %v, want at once", d)
		}
	})
}

func TestAnAcknowledgementNeverComesBeforeItsState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		ops := make([]htmx.Op, 50)
		for i := range ops {
			ops[i] = tab.Click("t:a", "add")
			if i%7 == 0 {
				time.Sleep(5 * time.Millisecond)
			}
		}
		tab.Until("the last acknowledgement", func() bool { return tab.Acked(ops[49]) == 1 })
		shown := 0
		for _, m := range tab.Messages() {
			var f struct {
				V   uint64
				Ack [][]any
			}
			if err := json.Unmarshal([]byte(m), &f); err != nil {
				t.Fatal(err)
			}
			shown = max(shown, int(f.V))
			for _, name := range f.Ack {
				if seq, ok := name[1].(float64); !ok || int(seq) > shown {
					t.Fatalf("op %v was acknowledged when only version %d was shown", name, shown)
				}
			}
		}
	})
}

func TestALateJoinerSeesTheStoreNotTheRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		r := start(store, hub, nil)
		defer r.rt.Stop()
		early := livetest.Open(t, r.rt, page{r, "a"})
		early.Until("the first state", shows(early, "n=0"))
		hub.deafen("")
		store.add("a") // by another replica; the broadcast is lost
		late := livetest.Open(t, r.rt, page{r, "a"})
		late.Until("a state", func() bool { return late.Shown("t:a").Content != "" })
		if !shows(late, "n=1")() {
			t.Errorf("the first state a late joiner got was %q, want n=1", late.Shown("t:a").Content)
		}
		for _, m := range late.Messages() {
			if strings.Contains(m, "n=0") {
				t.Errorf("a late joiner was sent the old state: %s", m)
			}
		}
	})
}

func TestALostBroadcastIsRepairedByReadingTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		r := start(store, hub, nil)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Until("the first state", shows(tab, "n=0"))
		hub.deafen("")
		store.add("a")
		began := time.Now()
		tab.Until("the repaired state", shows(tab, "n=1"))
		if d := time.Since(began); d > 2500*time.Millisecond {
			t.Errorf("repaired after %v, want at most 2.5 s", d)
		}
	})
}

// slowRefresh leaves all repairs to the digests.
func slowRefresh(o *live.RoomsOptions[state]) { o.Refresh = time.Hour }

func TestAReplicaThatMissesBroadcastsIsToldByADigest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		other, r := start(store, hub, nil), start(store, newHub(), nil, slowRefresh)
		defer other.rt.Stop()
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		writer := livetest.Open(t, other.rt, page{other, "a"})
		tab.Until("the first state", shows(tab, "n=0"))
		time.Sleep(2 * time.Second) // it listens to digests
		hear := func(digest string) {
			if err := r.hub.deliver(pubsub.Message{Topic: "_digest:test", Payload: []byte(digest)}); err != nil {
				t.Error(err)
			}
		}
		writer.Click("t:a", "add")
		synctest.Wait()
		hear(`{"a":[1,1],"unknown":[1,7]}`)
		tab.Until("what it missed", shows(tab, "n=1"))
		if n := r.rt.Stats().Repairs; n != 1 {
			t.Errorf("got %d repairs, want 1", n)
		}
		if n := r.hub.subscriptionsEver("t:a"); n != 1 {
			t.Errorf("got %d subscriptions after one miss, want 1", n)
		}
		if err := r.hub.deliver(pubsub.Message{Topic: "t:a", Payload: []byte(`{"Epoch":1,"Version":1}`), Trusted: true}); err != nil {
			t.Error(err) // it hears something: misses are counted anew
		}
		synctest.Wait()
		time.Sleep(time.Second)
		for n := 2; n <= 3; n++ {
			writer.Click("t:a", "add")
			synctest.Wait()
			hear(fmt.Sprintf(`{"a":[1,%d]}`, n))
			tab.Until("what it missed", shows(tab, fmt.Sprintf("n=%d", n)))
		}
		synctest.Wait()
		if n := r.hub.subscriptionsEver("t:a"); n != 2 {
			t.Errorf("got %d subscriptions after two misses in a row, want another", n)
		}
		if err := r.hub.deliver(pubsub.Message{Topic: "_digest:test", Payload: []byte("7")}); err == nil {
			t.Error("got no error for what is not a digest")
		}
	})
}

func TestReplicasTellEachOtherWhatChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		one, two := start(store, hub, nil, slowRefresh), start(store, hub, nil, slowRefresh)
		defer one.rt.Stop()
		defer two.rt.Stop()
		a, b := livetest.Open(t, one.rt, page{one, "a"}), livetest.Open(t, two.rt, page{two, "a"})
		synctest.Wait()
		hub.deafen("t:")
		time.Sleep(2 * time.Second) // both listen to digests
		began := time.Now()
		a.Click("t:a", "add")
		b.Until("what no broadcast brought", shows(b, "n=1"))
		if d := time.Since(began); d > 1500*time.Millisecond {
			t.Errorf("told after %v, want at most 1.25 s, the grace and a frame", d)
		}
		time.Sleep(10 * time.Second)
		hub.mu.Lock()
		sent := hub.sent
		hub.mu.Unlock()
		time.Sleep(time.Minute)
		if hub.sent != sent {
			t.Errorf("got %d messages in a minute without a change, want none", hub.sent-sent)
		}
	})
}

func TestAFalseBroadcastIsCheckedAgainstTheStore(t *testing.T) {
	for name, forged := range map[string]state{
		"a later epoch":        {N: 666, Epoch: 9, Version: 1},
		"a version far beyond": {N: 666, Epoch: 1, Version: 1 << 40},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, hub := newStore(), newHub()
				r := start(store, hub, nil)
				defer r.rt.Stop()
				tab := livetest.Open(t, r.rt, page{r, "a"})
				tab.Until("the first state", shows(tab, "n=0"))
				p, err := json.Marshal(forged)
				if err != nil {
					t.Fatal(err)
				}
				if err := hub.deliver(pubsub.Message{Topic: "t:a", Payload: p}); err != nil {
					t.Fatal(err)
				}
				tab.Click("t:a", "add")
				tab.Until("the truth", shows(tab, "n=1"))
				if strings.Contains(strings.Join(tab.Messages(), ""), "n=666") { // an op may have a 666, too
					t.Error("a value that never was has been shown")
				}
			})
		})
	}
}

func TestAGapReloadsTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		r := start(store, hub, nil)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Until("the first state", shows(tab, "n=0"))
		store.add("a")
		began := time.Now()
		if err := hub.deliver(pubsub.Message{Topic: "t:a", Gap: true}); err != nil {
			t.Fatal(err)
		}
		tab.Until("the reloaded state", shows(tab, "n=1"))
		if d := time.Since(began); d > 33*time.Millisecond {
			t.Errorf("reloaded after %v, want within one frame", d)
		}
	})
}

func TestAnOldOrRepeatedBroadcastChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		r := start(store, hub, nil)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		old := store.add("a")
		for range 4 {
			tab.Click("t:a", "add")
		}
		tab.Until("the newest", shows(tab, "n=5"))
		p, err := json.Marshal(old)
		if err != nil {
			t.Fatal(err)
		}
		if err := hub.deliver(pubsub.Message{Topic: "t:a", Payload: p}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := tab.Messages()[len(tab.Messages())-1]; strings.Contains(got, "n=1") {
			t.Errorf("an old broadcast was shown: %s", got)
		}
	})
}

func TestAPoisonedBroadcastIsAnErrorAndChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub()
		r := start(newStore(), hub, nil)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		if err := hub.deliver(pubsub.Message{Topic: "t:a", Payload: []byte("{")}); err == nil {
			t.Error("got no error for a broadcast that is not JSON")
		}
		tab.Click("t:a", "add")
		tab.Until("the next change", shows(tab, "n=1"))
	})
}

func TestAFailingViewEndsOnlyItsOwnSession(t *testing.T) {
	for _, action := range []string{"panic", "fail"} {
		t.Run(action, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(newStore(), newHub(), nil)
				defer r.rt.Stop()
				bad, good := livetest.Open(t, r.rt, page{r, "a"}), livetest.Open(t, r.rt, page{r, "a"})
				bad.Click("t:a", action)
				bad.Until("the close", func() bool { return bad.Closed() == live.CodeInternal })
				good.Click("t:a", "add")
				good.Until("its click", shows(good, "n=1"))
			})
		})
	}
}

func TestAFailingComponentKeepsTheRoomAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		r.broken = true
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		for range 14 {
			tab.Click("t:a", "add")
			time.Sleep(40 * time.Millisecond)
		}
		tab.Until("the state after the one that can't be rendered", shows(tab, "n=14"))
	})
}

func TestAStalledTabDelaysNobodyAndIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		defer r.rt.Stop()
		slow, good := livetest.Open(t, r.rt, page{r, "a"}), livetest.Open(t, r.rt, page{r, "a"})
		good.Until("the first state", shows(good, "n=0"))
		synctest.Wait()
		slow.Stall()
		began := time.Now()
		good.Click("t:a", "add")
		good.Until("its click", shows(good, "n=1"))
		if d := time.Since(began); d > 33*time.Millisecond {
			t.Errorf("a stalled tab delayed another by %v", d)
		}
		slow.Until("the close", func() bool { return slow.Closed() == live.CodeOverload })
		if d := time.Since(began); d > 11*time.Second {
			t.Errorf("a stalled tab was closed after %v, want about 10 s", d)
		}
	})
}

func TestASlowTabGetsTheNewestStateAndNotEveryState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		defer r.rt.Stop()
		slow, good := livetest.Open(t, r.rt, page{r, "a"}), livetest.Open(t, r.rt, page{r, "a"})
		synctest.Wait()
		slow.Stall()
		for range 20 {
			good.Click("t:a", "add")
			time.Sleep(100 * time.Millisecond)
		}
		before := len(slow.Messages())
		slow.Resume()
		slow.Until("the newest", shows(slow, "n=20"))
		if got := len(slow.Messages()) - before; got > 3 {
			t.Errorf("got %d messages after a stall, want the newest and little more", got)
		}
	})
}

func TestDegradedIsToldAndTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		r := start(store, newHub(), nil)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Until("live", func() bool { return tab.Status() == "live" })
		store.fail(errors.New("gone"))
		tab.Until("degraded", func() bool { return tab.Status() == "degraded" })
		if err := r.rt.Err(); err == nil || !strings.Contains(err.Error(), "store") {
			t.Errorf("got %v, want an error that names the store", err)
		}
		store.fail(nil)
		tab.Until("live again", func() bool { return tab.Status() == "live" })
	})
}

func TestAPageReadsWhatIsKnownWhileTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		r := start(store, newHub(), nil)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Click("t:a", "add")
		tab.Until("the click", shows(tab, "n=1"))
		store.fail(errors.New("gone"))
		s, known, err := r.rooms.Read(t.Context(), "a")
		if s.N != 1 || !known || err == nil {
			t.Errorf("got %+v, %v, %v; want the state 1 and the error", s, known, err)
		}
		if _, known, err = r.rooms.Read(t.Context(), "b"); known || err == nil {
			t.Errorf("got known=%v, %v for a cold room; want an error and nothing known", known, err)
		}
		joiner := livetest.Open(t, r.rt, page{r, "a"})
		joiner.Until("what is known", shows(joiner, "n=1"))
	})
}

func TestAStormOfReadsCostsFewReadsOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		r := start(store, newHub(), nil)
		defer r.rt.Stop()
		blocked := make(chan struct{})
		store.blocked = blocked
		var wg sync.WaitGroup
		for range 500 {
			wg.Go(func() {
				if _, _, err := r.rooms.Read(t.Context(), "a"); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(blocked)
		wg.Wait()
		if store.reads > 2 {
			t.Errorf("got %d reads of the store for 500 concurrent readers, want at most 2", store.reads)
		}
	})
}

func TestReadersThatComeOneByOneReadTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		r := start(store, newHub(), nil, slowRefresh)
		defer r.rt.Stop()
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				began := time.Now()
				if _, _, err := r.rooms.Read(t.Context(), "a"); err != nil {
					t.Error(err)
				}
				if d := time.Since(began); d > 5*time.Millisecond {
					t.Errorf("a reader waited for %v, want at most 5 ms", d)
				}
			})
			time.Sleep(time.Millisecond)
		}
		wg.Wait()
		if store.reads > 201 {
			t.Errorf("got %d reads of the store for 1000 readers in a second, want at most 201", store.reads)
		}
		time.Sleep(time.Second)
		before := time.Now()
		if _, _, err := r.rooms.Read(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		if d := time.Since(before); d > 0 {
			t.Errorf("a reader who comes alone waited for %v", d)
		}
	})
}

func TestNothingQueuesBehindASlowBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		r := start(store, hub, nil)
		defer r.rt.Stop()
		blocked := make(chan struct{})
		hub.blocked = blocked
		for range 100 {
			r.rooms.Commit("a", store.add("a"))
		}
		synctest.Wait()
		close(blocked)
		synctest.Wait()
		if hub.sent > 2 {
			t.Errorf("got %d broadcasts of 100 states behind a slow broker, want at most 2", hub.sent)
		}
	})
}

func TestARoomListensWhileItIsNeededAndALittleLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub()
		r := start(newStore(), hub, nil)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		other := livetest.Open(t, r.rt, page{r, "a"})
		if got := hub.subscriptions("t:a"); got != 1 {
			t.Fatalf("got %d subscriptions for two tabs, want 1", got)
		}
		tab.Disconnect()
		other.Disconnect()
		time.Sleep(10 * time.Second)
		if got := hub.subscriptions("t:a"); got != 1 {
			t.Errorf("got %d subscriptions just after the last tab left, want 1", got)
		}
		time.Sleep(30 * time.Second)
		if got := hub.subscriptions("t:a"); got != 0 || r.rooms.Len() != 0 {
			t.Errorf("got %d subscriptions and %d rooms long after the last tab left, want none", got, r.rooms.Len())
		}
		again := livetest.Open(t, r.rt, page{r, "a"})
		again.Click("t:b", "add")
		again.Until("its click", shows(again, "n=1"))
	})
}

func TestATopicThatTheBrokerRefusesIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		hub.refuse = errors.New("not allowed")
		r := start(store, hub, nil)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Until("degraded", func() bool { return tab.Status() == "degraded" })
		store.add("a")
		tab.Until("the state all the same", shows(tab, "n=1"))
		hub.mu.Lock()
		hub.refuse = nil
		hub.mu.Unlock()
		tab.Until("live", func() bool { return tab.Status() == "live" })
	})
}

func TestNonsenseIsRefusedAndThenEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Send("{")
		tab.Until("the complaint", func() bool { return strings.Contains(tab.Error(), "malformed") })
		op := tab.Click("t:a", "no")
		tab.Until("the refusal", func() bool { return tab.Refused(op) == "unknown action" })
		for range 30 {
			tab.Send("nonsense")
		}
		tab.Until("the close", func() bool { return tab.Closed() == live.CodeAbuse })
	})
}

func TestDrainAcknowledgesAndSendsEveryTabAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		var tabs []*livetest.Tab
		var ops []htmx.Op
		for range 50 {
			tab := livetest.Open(t, r.rt, page{r, "a"})
			tabs, ops = append(tabs, tab), append(ops, tab.Click("t:a", "add"))
		}
		began := time.Now()
		if err := r.rt.Drain(t.Context(), 5*time.Second); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("50 tabs took %v to leave, want little", d)
		}
		for i, tab := range tabs {
			if tab.Closed() != live.CodeRestart || tab.Acked(ops[i]) != 1 {
				t.Errorf("tab %d: closed with %d, acknowledged %d times; want %d and 1", i, tab.Closed(), tab.Acked(ops[i]), live.CodeRestart)
			}
		}
		if _, err := livetest.Connect(t, r.rt, page{r, "a"}); !errors.Is(err, live.ErrDraining) {
			t.Errorf("got %v for a tab that comes while draining, want ErrDraining", err)
		}
		r.rt.Stop()
		r.rt.Stop()
	})
}

func TestARuntimeStartsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		r.rt.Start()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		synctest.Wait()
		before := len(tab.Messages())
		time.Sleep(21 * time.Second)
		if got := len(tab.Messages()) - before; got != 1 {
			t.Errorf("got %d messages in 21 idle seconds, want one status", got)
		}
		r.rt.Stop()
		r.rt.Start()
		if _, err := livetest.Connect(t, r.rt, page{r, "a"}); !errors.Is(err, live.ErrDraining) {
			t.Errorf("got %v for a tab that comes after the end, want ErrDraining", err)
		}
	})
}

func TestABurstOfOpsIsAnsweredWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		var last htmx.Op
		for range 5000 {
			last = tab.Click("t:a", "add")
		}
		tab.Until("the last acknowledgement", func() bool { return tab.Acked(last) == 1 })
		if tab.Closed() != 0 {
			t.Errorf("the tab was closed with %d", tab.Closed())
		}
	})
}

func TestATabThatSendsAndDoesNotReadIsHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		r := start(store, newHub(), nil)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		synctest.Wait()
		tab.Stall()
		var sending sync.WaitGroup
		sending.Go(func() {
			for range 5000 {
				tab.Click("t:a", "add")
			}
		})
		time.Sleep(5 * time.Second)
		store.mu.Lock()
		n := store.states["a"].N
		store.mu.Unlock()
		if n > 2100 { // those whose answers are being sent, and as many that wait
			t.Errorf("got %d ops of a tab that does not read, want it held back at 2048", n)
		}
		tab.Until("the close", func() bool { return tab.Closed() == live.CodeOverload })
		sending.Wait()
	})
}

// slow is a view whose ops are answered a second later.
type slow struct{}

func (slow) Mount(context.Context, *live.Session) error { return nil }

func (slow) HandleEvent(_ context.Context, s *live.Session, e htmx.Event) error {
	s.BeginOp()
	time.AfterFunc(time.Second, func() {
		s.Ack(e.Op)
		s.EndOp()
	})
	return nil
}

func TestDrainWaitsForOpsThatAreUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, slow{})
		op := tab.Click("t:a", "add")
		if err := r.rt.Drain(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if tab.Acked(op) != 1 || tab.Closed() != live.CodeRestart {
			t.Errorf("acknowledged %d times and closed with %d, want once and %d", tab.Acked(op), tab.Closed(), live.CodeRestart)
		}
	})
}

func TestTheStatusGoesToEveryTabAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		synctest.Wait()
		before := len(tab.Messages())
		time.Sleep(21 * time.Second)
		if got := len(tab.Messages()) - before; got != 1 {
			t.Errorf("got %d messages in 21 idle seconds, want one status", got)
		}
	})
}

// TestDrainEndsWhenAllThatLeftAreCounted: one who asks after a drain why tabs were closed is told
// of all of them.
func TestDrainEndsWhenAllThatLeftAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := start(newStore(), newHub(), nil).rt
		defer rt.Stop()
		slow := func() { time.Sleep(time.Second) }
		livetest.Open(t, rt, viewFunc(func(s *live.Session) error { s.OnLeave(slow); return nil }))
		if err := rt.Drain(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if got := rt.Closed(live.ReasonDrain); got != 1 {
			t.Errorf("got %d sessions that ended by the drain, want 1", got)
		}
	})
}

func TestOnLeaveIsCalledOnceWhenATabLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		defer r.rt.Stop()
		left := 0
		view := viewFunc(func(s *live.Session) error { s.OnLeave(func() { left++ }); return nil })
		tab := livetest.Open(t, r.rt, view)
		tab.Disconnect()
		tab.Disconnect()
		if left != 1 {
			t.Errorf("OnLeave ran %d times, want once", left)
		}
		if _, err := livetest.Connect(t, r.rt, viewFunc(func(*live.Session) error { panic("no") })); err == nil {
			t.Error("a view that panics in Mount was connected")
		}
		if got := r.rt.Stats().Sessions; got != 0 {
			t.Errorf("got %d sessions at the end, want none", got)
		}
	})
}

// viewFunc is a view that only mounts.
type viewFunc func(*live.Session) error

func (f viewFunc) Mount(_ context.Context, s *live.Session) error               { return f(s) }
func (f viewFunc) HandleEvent(context.Context, *live.Session, htmx.Event) error { return nil }

func TestWhatMattersLittleIsShownSeldomToMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil, func(o *live.RoomsOptions[state]) { o.PerTab = 50 * time.Millisecond })
		defer r.rt.Stop()
		var tabs []*livetest.Tab
		for range 20 {
			tabs = append(tabs, livetest.Open(t, r.rt, page{r, "a"}))
		}
		time.Sleep(2 * time.Second)
		before := r.renders.Load()
		for range 500 {
			tabs[0].Click("t:a", "add")
			time.Sleep(10 * time.Millisecond)
		}
		// 5 s, and one frame in 33 ms and 20 times 50 ms.
		if got := r.renders.Load() - before; got < 4 || got > 6 {
			t.Errorf("got %d renders in 5 s, want 5", got)
		}
		for _, tab := range tabs {
			tab.Until("the last change", shows(tab, "n=500"))
		}
	})
}
