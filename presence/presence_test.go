package presence_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/presence"
	"lockstep/pubsub"
	"lockstep/pubsub/mempubsub"
)

const topic = "counter:lobby"

// A wire is the announcements on the broker. Trackers that share one are
// replicas of one application.
type wire struct {
	mu       sync.Mutex                // guards the rest
	handlers map[string]pubsub.Handler // by replica
	sent     []announcement
	cut      map[string]bool // replicas that neither send nor hear
	refuse   error           // what Subscribe returns
}

// announcement is the format on the wire, which replicas of different versions
// share.
type announcement struct {
	Replica string         `json:"r"`
	Counts  map[string]int `json:"c"`
	Ask     bool           `json:"ask"`
}

func newWire() *wire {
	return &wire{handlers: make(map[string]pubsub.Handler), cut: make(map[string]bool)}
}

// hub returns the presence.Hub of one replica.
func (w *wire) hub(replica string) presence.Hub { return &wireHub{w, replica} }

type wireHub struct {
	wire    *wire
	replica string
}

func (h *wireHub) SubscribeTopic(_ context.Context, _, _ string, handler pubsub.Handler) error {
	h.wire.mu.Lock()
	defer h.wire.mu.Unlock()
	if h.wire.refuse != nil {
		return h.wire.refuse
	}
	h.wire.handlers[h.replica] = handler
	return nil
}

// Broadcast delivers before it returns, so that tests need not wait.
func (h *wireHub) Broadcast(ctx context.Context, topic string, payload []byte) error {
	var a announcement
	if err := json.Unmarshal(payload, &a); err != nil {
		return err
	}
	h.wire.mu.Lock()
	if h.wire.cut[h.replica] {
		h.wire.mu.Unlock()
		return pubsub.ErrNotConnected
	}
	h.wire.sent = append(h.wire.sent, a)
	var to []pubsub.Handler
	for replica, handler := range h.wire.handlers {
		if !h.wire.cut[replica] {
			to = append(to, handler)
		}
	}
	h.wire.mu.Unlock()
	for _, handler := range to {
		if err := handler(ctx, pubsub.Message{Topic: topic, Payload: payload, Trusted: true}); err != nil {
			return err
		}
	}
	return nil
}

func (w *wire) setCut(replica string, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut[replica] = cut
}

// gap tells a replica that it may have missed announcements.
func (w *wire) gap(t *testing.T, replica string) {
	t.Helper()
	w.mu.Lock()
	handler := w.handlers[replica]
	w.mu.Unlock()
	if err := handler(t.Context(), pubsub.Message{Topic: "presence", Gap: true}); err != nil {
		t.Fatal(err)
	}
}

// takeSent returns what has been announced since the last call.
func (w *wire) takeSent() []announcement {
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := w.sent
	w.sent = nil
	return sent
}

// start returns a running tracker.
func start(t *testing.T, hub presence.Hub, replica string, opts *presence.Options) *presence.Tracker {
	t.Helper()
	tr := presence.NewTracker(hub, replica, opts)
	if err := tr.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return tr
}

// settle is longer than what replicas need to tell each other, and shorter
// than the time between two announcements of everything.
func settle() { time.Sleep(500 * time.Millisecond) }

func wantCount(t *testing.T, want int, trackers ...*presence.Tracker) {
	t.Helper()
	for i, tr := range trackers {
		if got := tr.Count(topic); got != want {
			t.Errorf("tracker %d counts %d, want %d", i, got, want)
		}
	}
}

func TestTrackersCountTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := mempubsub.NewBus()
		var trackers []*presence.Tracker
		for i := range 3 {
			h := pubsub.NewHub(bus, nil)
			if err := h.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer h.Stop(context.WithoutCancel(t.Context()))
			tr := start(t, h, fmt.Sprint("replica-", i), nil)
			defer tr.Stop()
			trackers = append(trackers, tr)
		}
		wantCount(t, 0, trackers...)
		for i, tr := range trackers {
			for range i + 1 {
				tr.Enter(topic)
			}
		}
		wantCount(t, 1, trackers[0]) // what is here counts at once
		settle()
		wantCount(t, 6, trackers...)
		trackers[2].Leave(topic)
		trackers[0].Leave(topic)
		settle()
		wantCount(t, 4, trackers...)
		time.Sleep(time.Minute) // nothing is forgotten while replicas live
		wantCount(t, 4, trackers...)
	})
}

func TestTrackerForgets(t *testing.T) {
	t.Run("a replica that is killed, within TTL and an interval", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			a, b := start(t, w.hub("a"), "a", nil), start(t, w.hub("b"), "b", nil)
			defer a.Stop()
			defer b.Stop()
			a.Enter(topic)
			b.Enter(topic)
			settle()
			wantCount(t, 2, a, b)
			w.setCut("b", true)
			time.Sleep(4 * time.Second)
			wantCount(t, 2, a) // one lost announcement is not a death
			time.Sleep(6 * time.Second)
			wantCount(t, 1, a)
			w.setCut("b", false)
			time.Sleep(3 * time.Second)
			wantCount(t, 2, a, b)
		})
	})
	t.Run("a replica that stops, at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			a, b := start(t, w.hub("a"), "a", nil), start(t, w.hub("b"), "b", nil)
			defer a.Stop()
			a.Enter(topic)
			b.Enter(topic)
			settle()
			b.Stop()
			wantCount(t, 1, a)
			b.Stop()
		})
	})
	t.Run("a replica that stops in the moment in which it was entered", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			a, b := start(t, w.hub("a"), "a", nil), start(t, w.hub("b"), "b", nil)
			defer a.Stop()
			b.Enter(topic)
			b.Stop()
			settle()
			wantCount(t, 0, a)
		})
	})
}

func TestTrackerAsks(t *testing.T) {
	t.Run("when it comes late", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			a := start(t, w.hub("a"), "a", &presence.Options{Interval: time.Hour, TTL: 3 * time.Hour})
			defer a.Stop()
			a.Enter(topic)
			settle()
			b := start(t, w.hub("b"), "b", nil)
			defer b.Stop()
			settle()
			wantCount(t, 1, a, b)
		})
	})
	t.Run("when it may have missed something", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			slow := &presence.Options{Interval: time.Hour, TTL: 3 * time.Hour}
			a, b := start(t, w.hub("a"), "a", slow), start(t, w.hub("b"), "b", slow)
			defer a.Stop()
			defer b.Stop()
			b.Enter(topic)
			settle()
			w.setCut("b", true)
			a.Enter(topic) // b does not hear it
			b.Enter(topic) // nor a this
			settle()
			wantCount(t, 2, a, b)
			w.setCut("b", false)
			w.gap(t, "b")
			settle()
			wantCount(t, 3, a, b)
		})
	})
	t.Run("and when the question is lost, learns with the next announcement of everything", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			a := start(t, w.hub("a"), "a", nil)
			defer a.Stop()
			a.Enter(topic)
			settle()
			w.setCut("b", true)
			b := start(t, w.hub("b"), "b", nil)
			defer b.Stop()
			settle()
			wantCount(t, 0, b)
			w.setCut("b", false)
			time.Sleep(3 * time.Second)
			wantCount(t, 1, a, b)
		})
	})
}

func TestTrackerAnnouncesLittle(t *testing.T) {
	t.Run("a join storm costs a few announcements", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			a, b := start(t, w.hub("a"), "a", nil), start(t, w.hub("b"), "b", nil)
			defer a.Stop()
			defer b.Stop()
			settle()
			w.takeSent()
			for i := range 10_000 {
				a.Enter(topic)
				if i%100 == 0 {
					time.Sleep(10 * time.Millisecond)
				}
			}
			settle()
			wantCount(t, 10_000, a, b)
			// 1 s of joins, at most ten announcements a second.
			if got := len(w.takeSent()); got > 20 {
				t.Errorf("%d announcements for 10,000 joins within a second", got)
			}
		})
	})
	t.Run("more topics than fit are split", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			a, b := start(t, w.hub("a"), "a", nil), start(t, w.hub("b"), "b", nil)
			defer a.Stop()
			defer b.Stop()
			const topics = 100
			for i := range topics {
				a.Enter(fmt.Sprint("topic-", i))
			}
			settle()
			for i := range topics {
				if got := b.Count(fmt.Sprint("topic-", i)); got != 1 {
					t.Errorf("topic %d: got %d, want 1", i, got)
				}
			}
			for _, sent := range w.takeSent() {
				if len(sent.Counts) > 32 {
					t.Errorf("an announcement has %d topics", len(sent.Counts))
				}
			}
		})
	})
	t.Run("nobody answers its own question", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			a := start(t, w.hub("a"), "a", nil)
			defer a.Stop()
			settle()
			if sent := w.takeSent(); len(sent) != 1 || !sent[0].Ask || len(sent[0].Counts) > 0 {
				t.Errorf("got %+v, want one question", sent)
			}
		})
	})
}

// A ledger keeps what Changed was called with.
type ledger struct {
	mu  sync.Mutex // guards got
	got map[string][]int
}

func (l *ledger) changed(topic string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.got == nil {
		l.got = make(map[string][]int)
	}
	l.got[topic] = append(l.got[topic], n)
}

func (l *ledger) of(topic string) []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.got[topic])
}

func TestTrackerTellsChanges(t *testing.T) {
	t.Run("here and elsewhere, in order", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			var l ledger
			a, b := start(t, w.hub("a"), "a", &presence.Options{Changed: l.changed}), start(t, w.hub("b"), "b", nil)
			defer a.Stop()
			defer b.Stop()
			for _, change := range []func(){
				func() { a.Enter(topic) }, func() { b.Enter(topic) }, func() { b.Enter(topic) }, func() { a.Leave(topic) }, func() { b.Stop() },
			} {
				change()
				settle()
			}
			if got, want := l.of(topic), []int{1, 2, 3, 2, 0}; !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	})
	t.Run("the last one is right after a storm", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			var l ledger
			a, b := start(t, w.hub("a"), "a", &presence.Options{Changed: l.changed}), start(t, w.hub("b"), "b", nil)
			defer a.Stop()
			defer b.Stop()
			var wg sync.WaitGroup
			for range 8 {
				for _, tr := range []*presence.Tracker{a, b} {
					wg.Go(func() {
						for range 100 {
							tr.Enter(topic)
							time.Sleep(time.Millisecond)
						}
						tr.Leave(topic)
					})
				}
			}
			wg.Wait()
			settle()
			got := l.of(topic)
			if len(got) == 0 || got[len(got)-1] != 1584 {
				t.Errorf("got %v, want 1584 as the last", got)
			}
		})
	})
	t.Run("when a killed replica is forgotten", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			var l ledger
			a, b := start(t, w.hub("a"), "a", &presence.Options{Changed: l.changed}), start(t, w.hub("b"), "b", nil)
			defer a.Stop()
			defer b.Stop()
			b.Enter(topic)
			settle()
			w.setCut("b", true)
			time.Sleep(10 * time.Second)
			if got, want := l.of(topic), []int{1, 0}; !slices.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	})
	t.Run("not when nothing has changed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			var l ledger
			a, b := start(t, w.hub("a"), "a", &presence.Options{Changed: l.changed}), start(t, w.hub("b"), "b", nil)
			defer a.Stop()
			defer b.Stop()
			a.Enter(topic)
			b.Enter("other")
			time.Sleep(time.Minute)
			if got := l.of(topic); !slices.Equal(got, []int{1}) {
				t.Errorf("got %v, want 1 only", got)
			}
			if got := l.of("other"); !slices.Equal(got, []int{1}) {
				t.Errorf("got %v, want 1 only", got)
			}
		})
	})
}

func wantByReplica(t *testing.T, tr *presence.Tracker, here int, there ...int) {
	t.Helper()
	gotHere, gotThere := tr.ByReplica(topic)
	slices.Sort(gotThere)
	if gotHere != here || !slices.Equal(gotThere, there) {
		t.Errorf("got %d here and %v there, want %d and %v", gotHere, gotThere, here, there)
	}
}

func TestTrackerKnowsWhichReplicaHasHowMany(t *testing.T) {
	t.Run("those that have none yet too, if they take part", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			a, b, c := start(t, w.hub("a"), "a", nil), start(t, w.hub("b"), "b", nil), start(t, w.hub("c"), "c", nil)
			defer a.Stop()
			defer b.Stop()
			defer c.Stop()
			a.Enter(topic)
			a.Enter(topic)
			b.Participate(topic)
			settle()
			wantByReplica(t, a, 2, 0)
			wantByReplica(t, b, 0, 2)
			wantByReplica(t, c, 0, 0, 2)
			b.Enter(topic)
			settle()
			wantByReplica(t, a, 2, 1)
			b.Leave(topic)
			settle()
			wantByReplica(t, a, 2, 0)
			time.Sleep(time.Minute) // it goes on saying so
			wantByReplica(t, a, 2, 0)
			late := start(t, w.hub("d"), "d", nil)
			defer late.Stop()
			settle()
			wantByReplica(t, late, 0, 0, 2)
		})
	})
	t.Run("not one that has left, for whatever reason", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			a, b, c := start(t, w.hub("a"), "a", nil), start(t, w.hub("b"), "b", nil), start(t, w.hub("c"), "c", nil)
			defer a.Stop()
			defer c.Stop()
			for _, tr := range []*presence.Tracker{a, b, c} {
				tr.Participate(topic)
			}
			settle()
			wantByReplica(t, a, 0, 0, 0)
			b.Stop()
			settle()
			wantByReplica(t, a, 0, 0)
			w.setCut("c", true)
			time.Sleep(10 * time.Second)
			wantByReplica(t, a, 0)
		})
	})
	t.Run("not one that takes no part any more, whatever it has", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			a, b := start(t, w.hub("a"), "a", nil), start(t, w.hub("b"), "b", nil)
			defer a.Stop()
			defer b.Stop()
			a.Participate(topic)
			b.Participate(topic)
			for range 3 {
				b.Enter(topic)
			}
			settle()
			wantByReplica(t, a, 0, 3)
			b.Withdraw(topic)
			b.Leave(topic)
			b.Enter(topic)
			settle()
			wantByReplica(t, a, 0)
			wantByReplica(t, b, 0, 0)
			wantCount(t, 0, a, b)
			time.Sleep(10 * time.Second)
			wantByReplica(t, a, 0)
		})
	})
}

func TestTrackerKnowsHowManyOthersThereAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := start(t, w.hub("a"), "a", nil)
		defer a.Stop()
		if got := a.Others(); got != 0 {
			t.Errorf("got %d before anything was announced", got)
		}
		b, c := start(t, w.hub("b"), "b", nil), start(t, w.hub("c"), "c", nil)
		defer b.Stop()
		defer c.Stop()
		b.Participate(topic)
		c.Enter("another")
		c.Enter(topic)
		for range 10 {
			settle()
			if got := a.Others(); got != 2 {
				t.Errorf("got %d, want both that have something to say", got)
			}
			time.Sleep(2 * time.Second)
		}
		w.setCut("c", true)
		time.Sleep(10 * time.Second)
		if got := a.Others(); got != 1 {
			t.Errorf("got %d, want 1 after one has gone", got)
		}
	})
}

func TestStartReturnsWhyItCannotListen(t *testing.T) {
	w := newWire()
	w.refuse = errors.New("no broker")
	tr := presence.NewTracker(w.hub("a"), "a", nil)
	if err := tr.Start(t.Context()); !errors.Is(err, w.refuse) {
		t.Errorf("got %v, want %v", err, w.refuse)
	}
	tr.Stop()
}

// What all replicas must have alike is compared with each announcement of those that
// are counted.
func TestAReplicaWithAnotherSettingIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		var differs []string
		first := start(t, w.hub("a"), "a", &presence.Options{Setting: "7d", Differs: func(s string) { differs = append(differs, s) }})
		same := start(t, w.hub("b"), "b", &presence.Options{Setting: "7d"})
		former := start(t, w.hub("c"), "c", nil)
		for _, tr := range []*presence.Tracker{first, same, former} {
			defer tr.Stop()
			tr.Enter("t")
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(differs) > 0 {
			t.Errorf("got %q, want nothing of replicas that have the same, or say nothing", differs)
		}
		defer start(t, w.hub("d"), "d", &presence.Options{Setting: "1d"}).Stop() // it has no tab, and says no more
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if !slices.Equal(differs, []string{"1d"}) {
			t.Errorf("got %q, want that of the new one, once", differs)
		}
		for _, m := range []pubsub.Message{
			{Payload: []byte(`{"r":"x","n":1,"s":"2d"}`)}, // nobody knows of whom
			{Payload: []byte(`{"r":"x","n":1,"s":"` + strings.Repeat("x", 513) + `"}`), Trusted: true},
		} {
			w.mu.Lock()
			h := w.handlers["a"]
			w.mu.Unlock()
			_ = h(t.Context(), m) // an error, or nothing
		}
		if len(differs) != 1 {
			t.Errorf("got %q of strangers", differs)
		}
	})
}
