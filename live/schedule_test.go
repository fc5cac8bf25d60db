package live_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/htmx"
	"lockstep/internal/short"
	"lockstep/live"
	"lockstep/live/livetest"
	"lockstep/pubsub"
)

// schedules is how many random schedules run by default; LOCKSTEP_SEEDS says
// otherwise, and LOCKSTEP_SEED replays one.
const schedules = 500

// TestRandomSchedules does to two replicas, in random order, what tabs, store
// and broker can do to them, and then wants every tab to show what the store
// has. A seed always does the same at the same times.
func TestRandomSchedules(t *testing.T) {
	first, last := short.Seeds(t, short.Of[uint64](schedules, 50))
	for seed := first; seed <= last; seed++ {
		var steps []string
		synctest.Test(t, func(t *testing.T) { steps = runSchedule(t, seed) })
		if t.Failed() {
			t.Fatalf("replay with LOCKSTEP_SEED=%d; the steps were:\n%s", seed, strings.Join(steps, "\n"))
		}
	}
}

// A schedule is one run.
type schedule struct {
	t        *testing.T
	rnd      *rand.Rand
	store    *fakeStore
	hub      *fakeHub
	replicas []*replica
	tabs     []*scheduled
	steps    []string
}

// A scheduled tab knows where it is and what it has clicked.
type scheduled struct {
	*livetest.Tab
	r       *replica
	key     string
	ops     []htmx.Op
	floor   uint64    // the store's version before it connected
	stalled time.Time // since when; zero: it is not
}

func runSchedule(t *testing.T, seed uint64) []string {
	s := &schedule{t: t, rnd: rand.New(rand.NewPCG(seed, 0)), store: newStore(), hub: newHub()}
	for range 2 {
		s.replicas = append(s.replicas, start(s.store, s.hub, nil))
	}
	actions := []struct {
		name string
		do   func()
	}{
		{"connect", s.connect}, {"connect", s.connect}, {"disconnect", s.disconnect},
		{"click", s.click}, {"click", s.click}, {"click", s.click},
		{"change elsewhere", func() { s.store.add(s.key()) }},
		{"stall", s.stall}, {"resume", s.resume},
		{"store fails", func() { s.store.fail(errors.New("away")) }}, {"store is back", func() { s.store.fail(nil) }},
		{"broker is deaf", func() { s.hub.deafen("") }}, {"broker loses states", func() { s.hub.deafen("t:") }},
		{"broker is well", func() { s.hub.deafen("none") }},
		{"gap", func() { _ = s.hub.deliver(pubsub.Message{Topic: "t:" + s.key(), Gap: true}) }}, // the store may be away
		{"trouble", func() { s.any().rt.Report("x", errors.New("trouble")) }},
		{"no trouble", func() { s.any().rt.Report("x", nil) }},
		{"wait", func() { time.Sleep(time.Duration(s.rnd.Int64N(int64(3 * time.Second)))) }},
		{"wait a little", func() { time.Sleep(time.Duration(s.rnd.Int64N(int64(50 * time.Millisecond)))) }},
		{"settle", synctest.Wait},
	}
	for range 60 {
		a := actions[s.rnd.IntN(len(actions))]
		s.steps = append(s.steps, a.name)
		a.do()
	}
	s.heal()
	time.Sleep(10 * time.Second)
	synctest.Wait()
	s.check()
	s.end()
	return s.steps
}

func (s *schedule) any() *replica { return s.replicas[s.rnd.IntN(len(s.replicas))] }

func (s *schedule) key() string { return string(rune('a' + s.rnd.IntN(3))) }

func (s *schedule) connect() {
	if len(s.tabs) >= 10 {
		return
	}
	tab := &scheduled{r: s.any(), key: s.key()}
	if now, err := s.store.load(context.Background(), tab.key); err == nil {
		tab.floor = now[0].Version
	}
	tab.Tab = livetest.Open(s.t, tab.r.rt, page{tab.r, tab.key})
	s.tabs = append(s.tabs, tab)
}

func (s *schedule) pick() *scheduled {
	if len(s.tabs) == 0 {
		return nil
	}
	return s.tabs[s.rnd.IntN(len(s.tabs))]
}

func (s *schedule) disconnect() {
	if len(s.tabs) == 0 {
		return
	}
	i := s.rnd.IntN(len(s.tabs))
	s.tabs[i].Disconnect()
	s.tabs = append(s.tabs[:i], s.tabs[i+1:]...)
}

func (s *schedule) click() {
	if tab := s.pick(); tab != nil {
		tab.ops = append(tab.ops, tab.Click("t:"+tab.key, "add"))
	}
}

func (s *schedule) stall() {
	if tab := s.pick(); tab != nil && tab.stalled.IsZero() {
		tab.stalled = time.Now()
		tab.Stall()
	}
}

func (s *schedule) resume() {
	if tab := s.pick(); tab != nil {
		tab.stalled = time.Time{}
		tab.Resume()
	}
}

// heal ends all faults. Tabs that were stalled for longer than is allowed may
// have been closed: they leave.
func (s *schedule) heal() {
	s.store.fail(nil)
	s.hub.deafen("none")
	for _, r := range s.replicas {
		r.rt.Report("x", nil)
	}
	var left []*scheduled
	for _, tab := range s.tabs {
		tab.Resume()
		if tab.Closed() == live.CodeOverload {
			tab.Disconnect()
			continue
		}
		left = append(left, tab)
	}
	s.tabs = left
}

// check compares every tab with the store, and with itself.
func (s *schedule) check() {
	sessions := 0
	for _, r := range s.replicas {
		sessions += r.rt.Stats().Sessions
		if err := r.rt.Err(); err != nil {
			s.t.Errorf("a replica is still degraded: %v", err)
		}
	}
	if sessions != len(s.tabs) {
		s.t.Errorf("got %d sessions of %d tabs", sessions, len(s.tabs))
	}
	for i, tab := range s.tabs {
		want, err := s.store.load(context.Background(), tab.key)
		if err != nil {
			s.t.Fatal(err)
		}
		got := tab.Shown("t:" + tab.key)
		if got.Version != want[0].Version || !strings.Contains(got.Content, fmt.Sprintf("n=%d<", want[0].N)) {
			s.t.Errorf("tab %d shows %+v, the store has %+v", i, got, want[0])
		}
		for _, op := range tab.ops {
			if n := tab.Acked(op); n != 1 {
				s.t.Errorf("tab %d: op %v was acknowledged %d times, want once", i, op, n)
			}
		}
		s.checkOrder(i, tab)
		if tab.Status() != "live" {
			s.t.Errorf("tab %d says %q", i, tab.Status())
		}
	}
}

// checkOrder wants the versions on one connection to grow, and each
// acknowledgement after a state that has its op: the n-th op of this tab is at
// least the n-th change of its key.
func (s *schedule) checkOrder(i int, tab *scheduled) {
	shown, acked := -1, 0
	for _, m := range tab.Messages() {
		var version int
		if _, after, ok := strings.Cut(m, `"v":`); ok {
			if _, err := fmt.Sscan(after[:strings.IndexByte(after, ',')], &version); err != nil {
				s.t.Fatal(err)
			}
			if shown < 0 && version < int(tab.floor) {
				s.t.Errorf("tab %d was first shown version %d, but the store had %d before", i, version, tab.floor)
			}
			if version <= shown {
				s.t.Errorf("tab %d was sent version %d after %d", i, version, shown)
			}
			shown = version
		}
		if strings.Contains(m, `"ack":`) {
			if acked += strings.Count(m, tab.Client()); shown < acked {
				s.t.Errorf("tab %d was sent %d acknowledgements with version %d", i, acked, shown)
			}
		}
	}
}

// end drains and stops the replicas: every tab is sent away, and the bubble
// sees to it that no goroutine is left.
func (s *schedule) end() {
	for _, r := range s.replicas {
		drained := make(chan error)
		go func() { drained <- r.rt.Drain(context.Background(), time.Second) }()
		if err := <-drained; err != nil {
			s.t.Error(err)
		}
		r.rt.Stop()
		closed := uint64(0)
		for why := range live.Reasons() {
			closed += r.rt.Closed(why)
		}
		if accepted := r.rt.Stats().Accepted; closed != accepted {
			s.t.Errorf("got reasons for %d of %d sessions", closed, accepted)
		}
	}
	for i, tab := range s.tabs {
		if got := tab.Closed(); got != live.CodeRestart {
			s.t.Errorf("tab %d was closed with %d, want %d", i, got, live.CodeRestart)
		}
	}
}
