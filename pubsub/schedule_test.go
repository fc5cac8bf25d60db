package pubsub_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/pubsub"
	"lockstep/pubsub/mempubsub"
	"lockstep/pubsub/pubsubtest"
)

// TestRandomSchedules makes two replicas subscribe, unsubscribe, broadcast and
// lose their connections at random, and compares what handlers were told with
// what they are promised. A failure names its seed.
func TestRandomSchedules(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			w := newCluster(t, seed)
			w.run(t)
			for _, p := range w.problems() {
				t.Errorf("seed %d: %s", seed, p)
			}
		})
		if t.Failed() {
			return // the next seeds would say the same
		}
	}
}

// cluster is two replicas on one broker, and the model of what they promise.
type cluster struct {
	seed      uint64
	hubs      []*pubsub.Hub
	recorders []*pubsubtest.Recorder
	topics    []*sent

	mu       sync.Mutex // guards the rest
	handlers []*recorder
	wrong    []string
}

// sent is what was broadcast on one topic.
type sent struct {
	name string

	mu    sync.Mutex // held while a broadcast is under way, so that they have an order
	taken []broadcast
	next  int
}

// A broadcast that the broker has taken.
type broadcast struct {
	value int
	begun time.Time
}

// A recorder is one handler, and what it was told.
type recorder struct {
	cluster *cluster
	topic   *sent
	slow    time.Duration // how long each call takes

	mu    sync.Mutex // guards the rest
	since time.Time  // when SubscribeTopic had returned nil; zero: it has not
	until time.Time  // when the subscription had ended; zero: it has not
	seen  map[int]bool
	last  int
	gap   time.Time // of the newest one
}

func newCluster(t *testing.T, seed uint64) *cluster {
	w := &cluster{seed: seed}
	bus := mempubsub.NewBus()
	for range 2 {
		r := pubsubtest.NewRecorder(bus)
		h := pubsub.NewHub(r, &pubsub.Options{Queue: 8})
		must(t, h.Start(t.Context()))
		w.hubs, w.recorders = append(w.hubs, h), append(w.recorders, r)
	}
	for _, name := range []string{"a", "b", "c"} {
		w.topics = append(w.topics, &sent{name: name, next: 1})
	}
	return w
}

// run lets everybody do as they like for a while, and then waits for peace.
func (w *cluster) run(t *testing.T) {
	var everybody sync.WaitGroup
	act := func(actor uint64, steps int, f func(r *rand.Rand)) {
		r := rand.New(rand.NewPCG(w.seed, actor))
		everybody.Go(func() {
			for range steps {
				f(r)
				time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
			}
		})
	}
	for i, h := range w.hubs {
		n := uint64(10 * i)
		for s := range uint64(2) {
			current := make(map[*sent]*recorder) // of this session
			act(n+s, 60, func(r *rand.Rand) { w.step(t.Context(), h, strconv.FormatUint(s, 10), current, r) })
		}
		act(n+5, 150, func(r *rand.Rand) { w.topics[r.IntN(len(w.topics))].broadcast(t.Context(), h) })
		act(n+6, 8, func(r *rand.Rand) { disturb(w.recorders[i], r) })
	}
	everybody.Wait()
	for _, r := range w.recorders {
		r.Heal()
	}
	time.Sleep(time.Minute) // time for backoff, heartbeats and slow handlers
	for i, h := range w.hubs {
		if err := h.Err(); err != nil {
			w.complain("replica " + strconv.Itoa(i) + " does not heal: " + err.Error())
		}
	}
	// A replica that is healthy now receives everything.
	for _, s := range w.topics {
		s.broadcast(t.Context(), w.hubs[0])
	}
	time.Sleep(time.Second)
	for _, h := range w.hubs {
		must(t, h.Stop(t.Context()))
	}
}

// disturb breaks something of a replica's connection.
func disturb(r *pubsubtest.Recorder, rnd *rand.Rand) {
	time.Sleep(time.Duration(rnd.IntN(200)) * time.Millisecond)
	switch rnd.IntN(6) {
	case 0, 1, 2:
		r.Disconnect()
	case 3:
		r.Fail(pubsubtest.Subscribe, 1+rnd.IntN(3), errRefused)
	case 4:
		r.Fail(pubsubtest.Unsubscribe, 1+rnd.IntN(3), errRefused)
	case 5:
		r.Fail(pubsubtest.Open, 1+rnd.IntN(3), errRefused)
	}
}

// step changes one subscription of a session, which no one else does.
func (w *cluster) step(ctx context.Context, h *pubsub.Hub, session string, current map[*sent]*recorder, r *rand.Rand) {
	topic := w.topics[r.IntN(len(w.topics))]
	switch r.IntN(8) {
	case 0, 1:
		_ = h.UnsubscribeTopic(ctx, session, topic.name) // the broker's error: it has ended all the same
		current[topic].end()
		delete(current, topic)
	case 2:
		_ = h.UnsubscribeAll(ctx, session)
		for _, c := range current {
			c.end()
		}
		clear(current)
	default:
		c := &recorder{cluster: w, topic: topic, seen: make(map[int]bool)}
		if r.IntN(4) == 0 {
			c.slow = time.Duration(r.IntN(30)) * time.Millisecond
		}
		if h.SubscribeTopic(ctx, session, topic.name, c.handle) != nil {
			c.end() // what was there before stays
			return
		}
		c.begin()
		current[topic].end()
		current[topic] = c
	}
}

func (s *sent) broadcast(ctx context.Context, h *pubsub.Hub) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := broadcast{s.next, time.Now()}
	s.next++
	if h.Broadcast(ctx, s.name, strconv.AppendInt(nil, int64(b.value), 10)) == nil {
		s.taken = append(s.taken, b)
	}
}

// begin notes that the subscription is promised from now on.
func (c *recorder) begin() {
	c.mu.Lock()
	c.since = time.Now()
	c.mu.Unlock()
	c.cluster.mu.Lock()
	defer c.cluster.mu.Unlock()
	c.cluster.handlers = append(c.cluster.handlers, c)
}

// end notes that no call may begin any more. Nil is harmless.
func (c *recorder) end() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = time.Now()
}

func (c *recorder) handle(_ context.Context, m pubsub.Message) error {
	c.note(m)
	time.Sleep(c.slow)
	return nil
}

func (c *recorder) note(m pubsub.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// In a bubble time does not pass while anything can run. So a call that
	// was under way when the subscription ended has begun at that time.
	if !c.until.IsZero() && time.Now().After(c.until) {
		c.cluster.complain("a handler of " + c.topic.name + " was called after its end")
	}
	if m.Gap {
		c.gap = time.Now()
		return
	}
	value, err := strconv.Atoi(string(m.Payload))
	if err != nil || m.Topic != c.topic.name || value <= c.last {
		c.cluster.complain("a handler of " + c.topic.name + " got " + string(m.Payload) + " of " + m.Topic + " after " + strconv.Itoa(c.last))
	}
	c.last, c.seen[value] = value, true
}

func (w *cluster) complain(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, s)
}

// problems returns what went wrong. The hubs have stopped.
func (w *cluster) problems() []string {
	for _, c := range w.handlers {
		if v := c.missed(); v != 0 {
			w.complain("a handler of " + c.topic.name + " neither saw " + strconv.Itoa(v) + " nor a gap after it")
		}
	}
	return w.wrong
}

// missed returns the value of a broadcast that a handler which is still in
// place should have seen, or zero.
func (c *recorder) missed() int {
	if !c.until.IsZero() {
		return 0
	}
	for _, b := range c.topic.taken {
		if b.begun.After(c.since) && !c.seen[b.value] && c.gap.Before(b.begun) {
			return b.value
		}
	}
	return 0
}
