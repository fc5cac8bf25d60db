package pubsub_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/pubsub"
	"lockstep/pubsub/pubsubtest"
)

// faultSchedules is how many random schedules TestRandomFaults runs.
const faultSchedules = 100

// TestRandomFaults has a broker that refuses, stalls, goes deaf and
// disconnects at random under a random use of the hub. Then, in quiet, the
// broker must have subscribed what the hub has handlers for and nothing else,
// and they must hear it. In between no handler hears anything twice, out of
// order or after its end. HUB_SEED repeats one schedule.
func TestRandomFaults(t *testing.T) {
	if s := os.Getenv("HUB_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		must(t, err)
		runSchedule(t, seed)
		return
	}
	first := rand.Uint64()
	for i := range uint64(faultSchedules) {
		if !t.Run(fmt.Sprintf("HUB_SEED=%d", first+i), func(t *testing.T) { runSchedule(t, first+i) }) {
			return
		}
	}
}

func runSchedule(t *testing.T, seed uint64) {
	withHub(t, &pubsub.Options{Queue: 8}, func(t *testing.T, h *pubsub.Hub, r *pubsubtest.Recorder) {
		m := &model{rnd: rand.New(rand.NewPCG(seed, 0)), h: h, r: r, subs: make(map[[2]string]*watcher), sent: make(map[string]int)}
		for range 150 {
			m.step(t)
		}
		m.settle(t)
	})
}

// model is what must be true. It is owned by the test's goroutine.
type model struct {
	rnd  *rand.Rand
	h    *pubsub.Hub
	r    *pubsubtest.Recorder
	subs map[[2]string]*watcher // by session and topic
	all  []*watcher
	sent map[string]int // number of the last broadcast, by topic
}

// watcher is a handler that checks what it gets.
type watcher struct {
	slow bool

	mu    sync.Mutex // guards the rest
	ended bool
	last  int // last number it got
	wrong []string
}

func (w *watcher) handle(_ context.Context, m pubsub.Message) error {
	w.check(m)
	if w.slow {
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

func (w *watcher) check(m pubsub.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		w.wrong = append(w.wrong, "called after its end")
	}
	if m.Gap {
		return
	}
	n, err := strconv.Atoi(string(m.Payload))
	switch {
	case err != nil:
		w.wrong = append(w.wrong, err.Error())
	case n <= w.last:
		w.wrong = append(w.wrong, fmt.Sprintf("%d after %d", n, w.last))
	}
	w.last = max(n, w.last)
}

func (w *watcher) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// end is called after unsubscribing: nothing may come any more. A call that
// was under way has begun before.
func (w *watcher) end() { w.set(func() { w.ended = true }) }

func (m *model) step(t *testing.T) {
	session, topic := string(rune('1'+m.rnd.IntN(4))), string(rune('a'+m.rnd.IntN(4)))
	switch n := m.rnd.IntN(100); {
	case n < 25:
		m.subscribe(t, session, topic)
	case n < 35:
		m.unsubscribe(session, topic)
	case n < 38:
		m.unsubscribeAll(session)
	case n < 75:
		m.broadcast(topic)
	case n < 78:
		m.r.Disconnect()
	case n < 80:
		m.r.Deafen()
	case n < 84:
		op := pubsubtest.Op(m.rnd.IntN(4))
		m.r.Fail(op, 1+m.rnd.IntN(5), errRefused)
	case n < 86:
		release := m.r.Stall(pubsubtest.Op(m.rnd.IntN(4)))
		time.AfterFunc(time.Duration(m.rnd.IntN(5000))*time.Millisecond, release)
	default:
		time.Sleep(time.Duration(m.rnd.IntN(1000)) * time.Millisecond)
	}
	if m.rnd.IntN(2) == 0 {
		synctest.Wait()
	}
}

func (m *model) subscribe(t *testing.T, session, topic string) {
	w := &watcher{slow: m.rnd.IntN(5) == 0}
	err := m.h.SubscribeTopic(t.Context(), session, topic, w.handle)
	synctest.Wait() // a call that was under way has begun
	if err != nil {
		w.end()
		m.all = append(m.all, w)
		return
	}
	m.drop(session, topic)
	m.subs[[2]string{session, topic}] = w
	m.all = append(m.all, w)
}

func (m *model) drop(session, topic string) {
	key := [2]string{session, topic}
	if w := m.subs[key]; w != nil {
		w.end()
		delete(m.subs, key)
	}
}

func (m *model) unsubscribe(session, topic string) {
	_ = m.h.UnsubscribeTopic(context.Background(), session, topic) // ended all the same
	synctest.Wait()
	m.drop(session, topic)
}

func (m *model) unsubscribeAll(session string) {
	_ = m.h.UnsubscribeAll(context.Background(), session) // ended all the same
	synctest.Wait()
	for _, topic := range []string{"a", "b", "c", "d"} {
		m.drop(session, topic)
	}
}

func (m *model) broadcast(topic string) {
	m.sent[topic]++
	_ = m.h.Broadcast(context.Background(), topic, strconv.AppendInt(nil, int64(m.sent[topic]), 10)) // it may fail
}

// settle ends the faults and compares.
func (m *model) settle(t *testing.T) {
	m.r.Heal()
	time.Sleep(time.Minute)
	must(t, m.h.Err())
	topics := make(map[string]bool)
	for key := range m.subs {
		topics[key[1]] = true
	}
	var want []string
	for topic := range topics {
		want = append(want, topic)
		m.broadcast(topic)
	}
	slices.SortFunc(want, cmp.Compare[string])
	if got := m.r.Subscribed(); !slices.Equal(got, want) {
		t.Errorf("the broker has %q subscribed, want %q", got, want)
	}
	if s := m.h.Stats(); s.Subscriptions != len(m.subs) || s.Topics != len(want) {
		t.Errorf("got %+v, want %d subscriptions of %d topics", s, len(m.subs), len(want))
	}
	time.Sleep(time.Minute)
	synctest.Wait()
	for key, w := range m.subs {
		w.set(func() {
			if w.last != m.sent[key[1]] {
				t.Errorf("%q: got %d last, want %d", key, w.last, m.sent[key[1]])
			}
		})
	}
	for _, w := range m.all {
		w.set(func() {
			for _, s := range w.wrong {
				t.Error(s)
			}
		})
	}
}
