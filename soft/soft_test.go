package soft_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/pubsub"
	"lockstep/soft"
)

const topic = "soft:lobby"

// A wire is the broadcasts on the broker. Softs that share one are replicas of one
// application.
type wire struct {
	mu       sync.Mutex                           // guards the rest
	handlers map[string]map[string]pubsub.Handler // by replica and topic
	sent     []broadcast
	cut      map[string]bool // replicas that neither send nor hear
	refuse   error           // what SubscribeTopic returns
}

// broadcast is the format on the wire, which replicas of different versions share.
type broadcast struct {
	Replica string   `json:"r"`
	Number  uint64   `json:"n"`
	Is      [][3]any `json:"is"`
	Gone    []string `json:"gone"`
	Ask     bool     `json:"ask"`

	size int
}

func newWire() *wire {
	return &wire{handlers: make(map[string]map[string]pubsub.Handler), cut: make(map[string]bool)}
}

// hub returns the soft.Hub of one replica.
func (w *wire) hub(replica string) soft.Hub { return &wireHub{w, replica} }

type wireHub struct {
	wire    *wire
	replica string
}

func (h *wireHub) SubscribeTopic(_ context.Context, _, topic string, handler pubsub.Handler) error {
	h.wire.mu.Lock()
	defer h.wire.mu.Unlock()
	if h.wire.refuse != nil {
		return h.wire.refuse
	}
	if h.wire.handlers[h.replica] == nil {
		h.wire.handlers[h.replica] = make(map[string]pubsub.Handler)
	}
	h.wire.handlers[h.replica][topic] = handler
	return nil
}

func (h *wireHub) UnsubscribeAll(_ context.Context, session string) error {
	h.wire.mu.Lock()
	defer h.wire.mu.Unlock()
	_, after, _ := strings.Cut(session, ":")
	_, topic, _ := strings.Cut(after, ":")
	delete(h.wire.handlers[h.replica], topic)
	return nil
}

// Broadcast delivers before it returns, so that tests need not wait.
func (h *wireHub) Broadcast(ctx context.Context, topic string, payload []byte) error {
	b := broadcast{size: len(payload)}
	if err := json.Unmarshal(payload, &b); err != nil {
		return err
	}
	h.wire.mu.Lock()
	if h.wire.cut[h.replica] {
		h.wire.mu.Unlock()
		return pubsub.ErrNotConnected
	}
	h.wire.sent = append(h.wire.sent, b)
	var to []pubsub.Handler
	for replica, handlers := range h.wire.handlers {
		if handler := handlers[topic]; handler != nil && !h.wire.cut[replica] {
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

// hear hands a message to a replica, as its hub does.
func (w *wire) hear(t *testing.T, replica string, m pubsub.Message) error {
	t.Helper()
	w.mu.Lock()
	handler := w.handlers[replica][topic]
	w.mu.Unlock()
	m.Topic = topic
	return handler(t.Context(), m)
}

func (w *wire) listens(replica string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.handlers[replica][topic] != nil
}

func (w *wire) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// takeSent returns what has been broadcast since the last call.
func (w *wire) takeSent() []broadcast {
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := w.sent
	w.sent = nil
	return sent
}

// start returns a running Soft of numbers.
func start(t *testing.T, hub soft.Hub, replica string, opts *soft.Options[int]) *soft.Soft[int] {
	t.Helper()
	s := soft.New(hub, replica, opts)
	s.Start()
	return s
}

// settle is longer than what replicas need to tell each other, and shorter than the time
// between two repetitions.
func settle() { time.Sleep(500 * time.Millisecond) }

func mustSet(t *testing.T, s *soft.Soft[int], owner string, v int) {
	t.Helper()
	if err := s.Set(topic, owner, v); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, values map[string]int, softs ...*soft.Soft[int]) {
	t.Helper()
	for i, s := range softs {
		if got := maps.Collect(s.Values(topic)); !maps.Equal(got, values) {
			t.Errorf("replica %d has %v, want %v", i, got, values)
		}
	}
}

// pair returns two replicas that watch the topic.
func pair(t *testing.T, opts *soft.Options[int]) (w *wire, a, b *soft.Soft[int], stop func()) {
	t.Helper()
	w = newWire()
	a, b = start(t, w.hub("a"), "a", opts), start(t, w.hub("b"), "b", opts)
	a.Watch(topic)
	b.Watch(topic)
	settle()
	w.takeSent()
	return w, a, b, func() { a.Stop(); b.Stop() }
}

func TestValuesAreMergedByOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b, stop := pair(t, nil)
		defer stop()
		mustSet(t, a, "ann", 1)
		mustSet(t, b, "bob", 2)
		settle()
		want(t, map[string]int{"ann": 1, "bob": 2}, a, b)
		mustSet(t, a, "ann", 3)
		settle()
		want(t, map[string]int{"ann": 3, "bob": 2}, a, b)
	})
}

// TestTheReplicaThatAnOwnerComesToTakesItOver: what the one before says of it counts no
// more, nor that its session there has ended.
func TestTheReplicaThatAnOwnerComesToTakesItOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b, stop := pair(t, nil)
		defer stop()
		mustSet(t, a, "ann", 1)
		settle()
		mustSet(t, b, "ann", 2)
		settle()
		want(t, map[string]int{"ann": 2}, a, b)
		a.Drop(topic, "ann")
		settle()
		want(t, map[string]int{"ann": 2}, a, b)
		// A replica that has not heard of it tells of what it has, which is older.
		w.set(func() { w.cut["a"] = true })
		mustSet(t, b, "ann", 3)
		mustSet(t, a, "eve", 1)
		settle()
		w.set(func() { w.cut["a"] = false })
		mustSet(t, a, "cat", 1)
		time.Sleep(4 * time.Second)
		want(t, map[string]int{"ann": 3, "eve": 1, "cat": 1}, a, b)
	})
}

// TestTheNewestWordCounts, by when an owner has had it, and not by when it arrives.
func TestTheNewestWordCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := start(t, w.hub("a"), "a", nil)
		defer a.Stop()
		a.Watch(topic)
		settle()
		mustSet(t, a, "ann", 1)
		time.Sleep(time.Second)
		for _, c := range []struct {
			says string
			want map[string]int
		}{
			{`{"r":"b","n":1,"is":[["ann",5000,2]]}`, map[string]int{"ann": 1}}, // older than what a has
			{`{"r":"b","n":2,"is":[["ann",10,3]]}`, map[string]int{"ann": 3}},
			{`{"r":"c","n":1,"is":[["ann",500,4]]}`, map[string]int{"ann": 3}},
			{`{"r":"c","n":2,"gone":["ann"]}`, map[string]int{"ann": 3}},         // c does not have it
			{`{"r":"c","n":3,"is":[["bob",10000,5]]}`, map[string]int{"ann": 3}}, // as old as a TTL
			{`{"r":"b","n":3,"gone":["ann"]}`, map[string]int{}},
		} {
			if err := w.hear(t, "a", pubsub.Message{Payload: []byte(c.says), Trusted: true}); err != nil {
				t.Fatal(err)
			}
			want(t, c.want, a)
		}
	})
}

func TestWhatIsNotRenewedIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b, stop := pair(t, nil)
		defer stop()
		mustSet(t, a, "ann", 1)
		mustSet(t, a, "bob", 2)
		for range 3 {
			time.Sleep(5 * time.Second)
			mustSet(t, a, "bob", 2)
		}
		want(t, map[string]int{"bob": 2}, a, b)
		time.Sleep(9 * time.Second)
		want(t, map[string]int{"bob": 2}, a, b)
		time.Sleep(3 * time.Second)
		want(t, map[string]int{}, a, b)
		if got := a.Stats().Values + b.Stats().Values; got != 0 {
			t.Errorf("%d values are kept that nobody is shown", got)
		}
	})
}

func TestWhatIsDroppedIsGoneEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b, stop := pair(t, nil)
		defer stop()
		mustSet(t, a, "ann", 1)
		settle()
		b.Drop(topic, "ann") // it is not b's
		settle()
		want(t, map[string]int{"ann": 1}, a, b)
		a.Drop(topic, "ann")
		a.Drop(topic, "nobody")
		settle()
		want(t, map[string]int{}, a, b)
		mustSet(t, a, "ann", 2)
		settle()
		want(t, map[string]int{"ann": 2}, a, b)
	})
}

func TestAReplicaThatDiesIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b, stop := pair(t, nil)
		defer stop()
		mustSet(t, a, "ann", 1)
		settle()
		w.set(func() { w.cut["a"] = true })
		mustSet(t, b, "bob", 1)
		time.Sleep(8 * time.Second)
		mustSet(t, b, "bob", 1)
		want(t, map[string]int{"ann": 1, "bob": 1}, b)
		time.Sleep(3 * time.Second)
		want(t, map[string]int{"bob": 1}, b)
	})
}

func TestAReplicaThatStopsSaysGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b, _ := pair(t, nil)
		for i := range 300 { // more than one broadcast has room for
			mustSet(t, a, fmt.Sprint("owner-with-a-long-name-", i), i)
		}
		time.Sleep(2 * time.Second)
		if got := len(maps.Collect(b.Values(topic))); got != 300 {
			t.Fatalf("got %d values, want 300", got)
		}
		a.Stop()
		want(t, map[string]int{}, b)
		b.Stop()
		b.Stop()
	})
}

func TestALateReplicaIsToldWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b, stop := pair(t, nil)
		defer stop()
		mustSet(t, a, "ann", 1)
		mustSet(t, b, "bob", 2)
		settle()
		c := start(t, w.hub("c"), "c", nil)
		defer c.Stop()
		c.Watch(topic)
		settle()
		want(t, map[string]int{"ann": 1, "bob": 2}, a, b, c)
	})
}

func TestALostBroadcastIsRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b, stop := pair(t, nil)
		defer stop()
		w.set(func() { w.cut["a"] = true })
		mustSet(t, a, "ann", 1)
		settle()
		w.set(func() { w.cut["a"] = false })
		want(t, map[string]int{}, b)
		time.Sleep(4 * time.Second) // a third of the TTL, and what the sweep is late
		want(t, map[string]int{"ann": 1}, a, b)
		// A repetition renews nothing.
		time.Sleep(7 * time.Second)
		want(t, map[string]int{}, a, b)
	})
}

func TestAGapIsRepairedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b, stop := pair(t, nil)
		defer stop()
		w.set(func() { w.cut["a"], w.cut["b"] = true, true })
		mustSet(t, a, "ann", 1)
		mustSet(t, b, "bob", 2)
		settle()
		w.set(func() { clear(w.cut) })
		if err := w.hear(t, "b", pubsub.Message{Gap: true}); err != nil {
			t.Fatal(err)
		}
		settle()
		want(t, map[string]int{"ann": 1, "bob": 2}, a, b)
	})
}

// TestBroadcastsAreConflated: one in an interval, with the newest of each owner.
func TestBroadcastsAreConflated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b, stop := pair(t, nil)
		defer stop()
		began := time.Now()
		n := 0
		for range 1000 {
			n++
			mustSet(t, a, "ann", n)
			mustSet(t, a, "bob", -n)
			time.Sleep(time.Millisecond)
		}
		took := time.Since(began)
		settle()
		want(t, map[string]int{"ann": n, "bob": -n}, a, b)
		sent := w.takeSent()
		if limit := int(took/(50*time.Millisecond)) + 2; len(sent) > limit || len(sent) < limit/2 {
			t.Errorf("got %d broadcasts in %v, want one in 50 ms", len(sent), took)
		}
	})
}

// TestABroadcastIsBounded, and whoever waits longest is told next: nobody is forgotten.
func TestABroadcastIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b, stop := pair(t, nil)
		defer stop()
		all := make(map[string]int)
		for round := range 20 {
			for i := range 1000 {
				owner := fmt.Sprint("owner-", i)
				mustSet(t, a, owner, round)
				all[owner] = round
			}
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(time.Second)
		want(t, all, a, b)
		for _, one := range w.takeSent() {
			if one.size > 4096 {
				t.Fatalf("a broadcast has %d bytes", one.size)
			}
		}
	})
}

func TestChangedIsCalledAtOnceAndThenOnceInAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		a := start(t, newWire().hub("a"), "a", &soft.Options[int]{Changed: func(string) { calls.Add(1); panic("sabotage") }})
		defer a.Stop()
		a.Watch(topic)
		settle()
		calls.Store(0)
		mustSet(t, a, "ann", 1)
		synctest.Wait()
		if got := calls.Load(); got != 1 {
			t.Errorf("got %d calls at once, want 1", got)
		}
		for i := range 1000 {
			mustSet(t, a, "ann", i)
			time.Sleep(time.Millisecond)
		}
		if got := calls.Load(); got < 15 || got > 22 {
			t.Errorf("got %d calls in a second, want 20", got)
		}
	})
}

func TestATopicThatNobodyWatchesIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := start(t, w.hub("a"), "a", nil)
		defer a.Stop()
		one, other := a.Watch(topic), a.Watch(topic)
		settle()
		mustSet(t, a, "ann", 1)
		one()
		one()
		time.Sleep(time.Minute)
		if !w.listens("a") {
			t.Error("it has left a topic that is watched")
		}
		other()
		time.Sleep(5 * time.Second)
		again := a.Watch(topic)
		time.Sleep(time.Minute)
		if !w.listens("a") {
			t.Error("it has left a topic that is watched again")
		}
		again()
		time.Sleep(time.Minute)
		if w.listens("a") || a.Stats().Topics != 0 {
			t.Error("it listens to a topic that nobody watches")
		}
		if err := a.Set(topic, "ann", 1); !errors.Is(err, soft.ErrUnknown) {
			t.Errorf("got %v, want ErrUnknown", err)
		}
	})
}

func TestABrokerThatIsAwayIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a, b := start(t, w.hub("a"), "a", nil), start(t, w.hub("b"), "b", nil)
		defer func() { a.Stop(); b.Stop() }()
		w.set(func() { w.refuse = errors.New("away") })
		a.Watch(topic)
		b.Watch(topic)
		mustSet(t, a, "ann", 1)
		settle()
		want(t, map[string]int{"ann": 1}, a)
		w.set(func() { w.refuse = nil })
		time.Sleep(2 * time.Second)
		want(t, map[string]int{"ann": 1}, a, b)
	})
}

func TestWhatMayNotBeSharedIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := soft.New(newWire().hub("a"), "a", &soft.Options[string]{
			MaxOwners: 2, MaxValue: 10, Valid: func(v string) bool { return v != "bad" },
		})
		a.Start()
		defer a.Stop()
		a.Watch(topic)
		for _, c := range []struct {
			owner, v string
			want     error
		}{
			{"", "x", soft.ErrOwner}, {strings.Repeat("x", 65), "x", soft.ErrOwner}, {`"`, "x", soft.ErrOwner}, {"<b>", "x", soft.ErrOwner}, {"ä", "x", soft.ErrOwner},
			{"ann", "123456789", soft.ErrValue}, {"ann", "bad", soft.ErrValue},
			{"ann", "12345678", nil}, {"bob", "x", nil}, {"cat", "x", soft.ErrFull}, {"ann", "y", nil},
		} {
			if err := a.Set(topic, c.owner, c.v); !errors.Is(err, c.want) {
				t.Errorf("%q of %q: got %v, want %v", c.v, c.owner, err, c.want)
			}
		}
		a.Drop(topic, "bob")
		settle()
		time.Sleep(time.Second)
		if err := a.Set(topic, "cat", "x"); err != nil {
			t.Errorf("got %v where an owner has gone, want that there is room", err)
		}
	})
}

// TestAnOriginHasItsShare: who has very many names keeps nobody else out, and what is gone is not
// counted any more.
func TestAnOriginHasItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b, stop := pair(t, &soft.Options[int]{MaxOwners: 8, MaxFrom: 2, TTL: 10 * time.Second})
		defer stop()
		set := func(s *soft.Soft[int], owner string, origin any, want error) {
			t.Helper()
			if err := s.SetFrom(topic, owner, 1, origin); !errors.Is(err, want) {
				t.Errorf("%s of %v: got %v, want %v", owner, origin, err, want)
			}
		}
		set(a, "eve1", "evil", nil)
		set(a, "eve2", "evil", nil)
		set(a, "eve3", "evil", soft.ErrFull)
		set(a, "eve2", "evil", nil)
		set(a, "ann", "good", nil)
		set(a, "bob", nil, nil)
		set(a, "ann", "evil", soft.ErrFull)
		set(a, "cat", []int{}, soft.ErrOwner)
		a.Drop(topic, "eve1")
		settle()
		time.Sleep(time.Second)
		set(a, "eve3", "evil", nil)
		settle()
		set(b, "eve3", "elsewhere", nil) // takes it over
		settle()
		set(a, "eve4", "evil", nil)
		time.Sleep(20 * time.Second) // and all are forgotten
		set(a, "eve5", "evil", nil)
		set(a, "eve6", "evil", nil)
		set(a, "eve7", "evil", soft.ErrFull)
	})
}

func TestWhatOtherReplicasSayIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := start(t, w.hub("a"), "a", &soft.Options[int]{MaxOwners: 10, Valid: func(v int) bool { return v >= 0 }})
		defer a.Stop()
		a.Watch(topic)
		settle()
		say := func(payload string) error {
			return w.hear(t, "a", pubsub.Message{Payload: []byte(payload), Trusted: true})
		}
		long := `"` + strings.Repeat("x", 300) + `"`
		for _, payload := range []string{
			``, `[]`, `{}`, `{"r":""}`, `{"r":"` + strings.Repeat("x", 513) + `"}`, `{"r":"b","n":1,"is":[[]]}`, `{"r":"b","n":1,"is":[["ann",0]]}`,
			`{"r":"b","n":1,"is":[["ann",-1,1]]}`, `{"r":"b","n":1,"is":[["ann",1e30,1]]}`, `{"r":"b","n":1,"is":[["<b>",0,1]]}`,
			`{"r":"b","n":1,"is":[["ann",0,"text"]]}`, `{"r":"b","n":1,"is":[["ann",0,-1]]}`, `{"r":"b","n":1,"is":[["ann",0,` + long + `]]}`, `{"r":"b","n":1,"gone":["<b>"]}`,
			`{"r":"b","n":1,"gone":["x"` + strings.Repeat(`,"x"`, 1000) + `]}`,
		} {
			if err := say(payload); err == nil {
				t.Errorf("got no error for %.60s", payload)
			}
		}
		want(t, map[string]int{}, a)
		for i := range 3000 { // many replicas with many owners
			if err := say(fmt.Sprintf(`{"r":"r%d","n":1,"is":[["owner-%d",0,1]]}`, i, i)); err != nil {
				t.Fatal(err)
			}
		}
		if got := a.Stats().Values; got != 10 {
			t.Errorf("got %d values, want the 10 that there is room for", got)
		}
	})
}

func TestWhatNobodyHasSignedIsNotShown(t *testing.T) {
	for _, unsigned := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWire()
			a := start(t, w.hub("a"), "a", &soft.Options[int]{Unsigned: unsigned})
			defer a.Stop()
			a.Watch(topic)
			settle()
			if err := w.hear(t, "a", pubsub.Message{Payload: []byte(`{"r":"b","n":1,"is":[["ann",0,1]]}`)}); err != nil {
				t.Fatal(err)
			}
			shown := map[string]int{}
			if unsigned {
				shown["ann"] = 1
			}
			want(t, shown, a)
		})
	}
}

func TestWhatComesAgainCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a := start(t, w.hub("a"), "a", nil)
		defer a.Stop()
		a.Watch(topic)
		settle()
		say := func(payload string) {
			t.Helper()
			if err := w.hear(t, "a", pubsub.Message{Payload: []byte(payload), Trusted: true}); err != nil {
				t.Error(err)
			}
		}
		say(`{"r":"b","n":7,"is":[["ann",0,1]]}`)
		say(`{"r":"b","n":8,"gone":["ann"]}`)
		for range 100 { // somebody repeats what b has said
			say(`{"r":"b","n":7,"is":[["ann",0,1]]}`)
			want(t, map[string]int{}, a)
			time.Sleep(time.Second)
		}
	})
}

func TestAFloodOfQuestionsHasFewAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, _, stop := pair(t, nil)
		defer stop()
		mustSet(t, a, "ann", 1)
		settle()
		w.takeSent()
		began := time.Now()
		for i := range 1000 {
			m := pubsub.Message{Payload: fmt.Appendf(nil, `{"r":"x","n":%d,"ask":true}`, i+1), Trusted: true}
			if i%2 == 0 {
				m = pubsub.Message{Gap: true}
			}
			if err := w.hear(t, "a", m); err != nil {
				t.Error(err)
			}
			if i%100 == 0 {
				mustSet(t, a, "ann", 1)
			}
			time.Sleep(10 * time.Millisecond)
		}
		answers := 0
		for _, one := range w.takeSent() {
			if one.Replica == "a" && len(one.Is) > 0 {
				answers++
			}
		}
		// What is set is told besides.
		if limit := int(time.Since(began)/(300*time.Millisecond)) + 15; answers > limit || answers < 10 {
			t.Errorf("got %d answers in %v, want at most %d", answers, time.Since(began), limit)
		}
	})
}

// A frame is what Next and Whole return.
type frame struct {
	N    uint64         `json:"n"`
	All  bool           `json:"all"`
	Is   map[string]int `json:"is"`
	Gone []string       `json:"gone"`
}

func read(t *testing.T, p []byte) (f frame) {
	t.Helper()
	if p == nil {
		return f
	}
	if err := json.Unmarshal(p, &f); err != nil {
		t.Fatalf("%s: %v", p, err)
	}
	return f
}

func TestFramesHaveWhatHasChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b, stop := pair(t, nil)
		defer stop()
		mustSet(t, a, "ann", 1)
		mustSet(t, b, "bob", 2)
		settle()
		var last uint64
		next := func(want frame) {
			t.Helper()
			got := read(t, b.Next(topic))
			if got.N <= last && len(want.Is)+len(want.Gone) > 0 {
				t.Errorf("got number %d after %d", got.N, last)
			}
			last, got.N = max(last, got.N), 0
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
		next(frame{Is: map[string]int{"ann": 1, "bob": 2}})
		next(frame{})
		mustSet(t, b, "bob", 3)
		mustSet(t, b, "bob", 4)
		next(frame{Is: map[string]int{"bob": 4}})
		a.Drop(topic, "ann")
		settle()
		if got := read(t, b.Whole(topic)); !reflect.DeepEqual(got, frame{N: last, All: true, Is: map[string]int{"bob": 4}}) {
			t.Errorf("got %+v for all", got)
		}
		next(frame{Is: map[string]int{}, Gone: []string{"ann"}})
		// All is repeated for who has missed it.
		time.Sleep(6 * time.Second)
		next(frame{Is: map[string]int{"bob": 4}})
		time.Sleep(6 * time.Second)
		next(frame{Is: map[string]int{}, Gone: []string{"bob"}})
		if got := read(t, b.Whole("soft:unknown")); !reflect.DeepEqual(got, frame{All: true, Is: map[string]int{}}) {
			t.Errorf("got %+v for a topic that is not watched", got)
		}
	})
}

// TestFramesOfSeveralReplicasFollowEachOther: a tab without a websocket is told all there is by the
// one that takes its casts, and goes on to be told by the one that its stream is of.
func TestFramesOfSeveralReplicasFollowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b, stop := pair(t, nil)
		defer stop()
		for i := range 10 {
			mustSet(t, a, "ann", i)
			a.Next(topic)
		}
		settle()
		all := read(t, a.Whole(topic))
		mustSet(t, b, "bob", 1)
		if next := read(t, b.Next(topic)); next.N <= all.N {
			t.Errorf("got number %d after %d: it is taken for older", next.N, all.N)
		}
	})
}

// TestAFrameIsBounded, and whoever waits longest is in the next.
func TestAFrameIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var changed atomic.Int64
		a := start(t, newWire().hub("a"), "a", &soft.Options[int]{Changed: func(string) { changed.Add(1) }})
		defer a.Stop()
		a.Watch(topic)
		a.Next(topic)
		all := make(map[string]int)
		for round := range 20 {
			for i := range 1000 {
				mustSet(t, a, fmt.Sprint("owner-", i), round)
			}
			f := a.Next(topic)
			if len(f) > 4096+100 {
				t.Fatalf("a frame has %d bytes", len(f))
			}
			maps.Copy(all, read(t, f).Is)
		}
		for f := read(t, a.Next(topic)); f.N > 0; f = read(t, a.Next(topic)) {
			maps.Copy(all, f.Is)
		}
		if len(all) != 1000 || slices.ContainsFunc(slices.Collect(maps.Values(all)), func(round int) bool { return round != 19 }) {
			t.Errorf("got %d owners in the end, want 1000 with their newest", len(all))
		}
		for i := range 1000 {
			mustSet(t, a, fmt.Sprint("owner-", i), 20)
		}
		settle()
		before := changed.Load()
		a.Next(topic)
		settle()
		if changed.Load() == before {
			t.Error("nobody is told that there is more")
		}
	})
}

// TestWhatNobodyTakesIsNotKept: a topic whose frames nobody asks for any more.
func TestWhatNobodyTakesIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, newWire().hub("a"), "a", nil)
		defer a.Stop()
		a.Watch(topic)
		a.Next(topic)
		for i := range 3000 {
			owner := fmt.Sprint("owner-", i)
			if err := a.Set(topic, owner, i); err != nil {
				t.Fatalf("%d: %v", i, err)
			}
			a.Drop(topic, owner)
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(20 * time.Second)
		if got := a.Stats().Values; got != 0 {
			t.Errorf("%d values are kept", got)
		}
	})
}

// A clumsyHub panics whatever it is to do.
type clumsyHub struct{}

func (clumsyHub) Broadcast(context.Context, string, []byte) error { panic("sabotage") }
func (clumsyHub) SubscribeTopic(context.Context, string, string, pubsub.Handler) error {
	panic("sabotage")
}
func (clumsyHub) UnsubscribeAll(context.Context, string) error { panic("sabotage") }

// A farHub needs a while for each call.
type farHub struct{ soft.Hub }

func (h farHub) SubscribeTopic(ctx context.Context, session, topic string, f pubsub.Handler) error {
	time.Sleep(20 * time.Millisecond)
	return h.Hub.SubscribeTopic(ctx, session, topic, f)
}

func (h farHub) UnsubscribeAll(ctx context.Context, session string) error {
	time.Sleep(20 * time.Millisecond)
	return h.Hub.UnsubscribeAll(ctx, session)
}

func (h farHub) Broadcast(ctx context.Context, topic string, payload []byte) error {
	time.Sleep(20 * time.Millisecond)
	return h.Hub.Broadcast(ctx, topic, payload)
}

// TestManyTopicsDelayNoOtherForLong: somebody opens very many.
func TestManyTopicsDelayNoOtherForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		a, b := start(t, farHub{w.hub("a")}, "a", nil), start(t, w.hub("b"), "b", nil)
		defer b.Stop()
		defer a.Stop()
		a.Watch(topic)
		b.Watch(topic)
		settle()
		for i := range 1000 {
			a.Watch(fmt.Sprint("soft:x", i))
		}
		time.Sleep(time.Millisecond)
		mustSet(t, a, "ann", 7)
		time.Sleep(5 * time.Second)
		want(t, map[string]int{"ann": 7}, b)
	})
}

func TestAHubThatPanicsIsOneThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, clumsyHub{}, "a", nil)
		leave := a.Watch(topic)
		mustSet(t, a, "ann", 1)
		settle()
		want(t, map[string]int{"ann": 1}, a)
		leave()
		time.Sleep(time.Minute)
		a.Stop()
	})
}

func TestAWrongSoftIsRefusedInASentence(t *testing.T) {
	for name, c := range map[string]struct {
		hub     soft.Hub
		replica string
		opts    soft.Options[int]
		want    string
	}{
		"no hub":                           {nil, "a", soft.Options[int]{}, "needs a Hub"},
		"no name":                          {clumsyHub{}, "", soft.Options[int]{}, "the name of a replica"},
		"a negative TTL":                   {clumsyHub{}, "a", soft.Options[int]{TTL: -1}, "is negative"},
		"values beyond what brokers carry": {clumsyHub{}, "a", soft.Options[int]{MaxValue: 4096}, "not every broker"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p := recover(); !strings.Contains(fmt.Sprint(p), c.want) {
					t.Errorf("got %v, want %q", p, c.want)
				}
			}()
			soft.New(c.hub, c.replica, &c.opts)
		})
	}
}

// FuzzReceive: whatever comes from the broker, nothing panics and nothing grows.
func FuzzReceive(f *testing.F) {
	f.Add([]byte(`{"r":"b","n":1,"is":[["ann",0,1]],"gone":["bob"],"ask":true}`))
	f.Add([]byte(`{"r":"b","n":1,"is":[["ann",0,null]]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		w := newWire()
		a := start(t, w.hub("a"), "a", &soft.Options[int]{MaxOwners: 4, Interval: time.Nanosecond})
		defer a.Stop()
		a.Watch(topic)
		for !w.listens("a") {
			time.Sleep(time.Microsecond)
		}
		_ = w.hear(t, "a", pubsub.Message{Payload: payload, Trusted: true})
		if whole := read(t, a.Whole(topic)); len(whole.Is) > 4 {
			t.Errorf("%d values of %q", len(whole.Is), payload)
		}
	})
}
