package app_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/app"
	"lockstep/live"
	"lockstep/pubsub/mempubsub"
	"lockstep/state/memstate"
)

// A road leads tabs to replicas, as a balancer does.
type road struct {
	t     *testing.T
	bus   *mempubsub.Bus
	store *memstate.Store
	rate  float64
	// choose returns where a tab may go that was on a replica before, -1 if it is
	// new, the best first. Nil: the fewest tabs are best.
	choose func(before int) []int

	mu    sync.Mutex // guards the rest
	apps  []*app.App
	moved []time.Time // when tabs were sent away
	ended bool
	wg    sync.WaitGroup // tabs on the road
}

func newRoad(t *testing.T, replicas int, rate float64) *road {
	r := &road{t: t, bus: mempubsub.NewBus(), store: memstate.New(nil), rate: rate}
	for range replicas {
		r.addReplica()
	}
	t.Cleanup(r.end)
	return r
}

func (r *road) addReplica() {
	a := app.New(r.bus, r.store, &app.Options{Replica: "r", Rebalance: r.rate})
	if err := a.Start(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.apps = append(r.apps, a)
}

func (r *road) end() {
	r.mu.Lock()
	r.ended = true
	apps := r.apps
	r.mu.Unlock()
	for _, a := range apps {
		if err := a.Stop(context.Background(), 0); err != nil {
			r.t.Error(err)
		}
	}
	r.wg.Wait()
}

// fewest is what a balancer with least_conn does.
func (r *road) fewest(int) []int {
	tabs := r.tabs()
	order := make([]int, len(tabs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return tabs[i] - tabs[j] })
	return order
}

// tabs returns how many each replica has.
func (r *road) tabs() (all []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.apps {
		all = append(all, a.Runtime().Stats().Sessions)
	}
	return all
}

func (r *road) open(n int) {
	for range n {
		r.connect(-1, true)
	}
}

// connect brings a tab to a replica that takes it.
func (r *road) connect(before int, movable bool) {
	r.mu.Lock()
	apps, choose, ended := r.apps, r.choose, r.ended
	r.mu.Unlock()
	if choose == nil {
		choose = r.fewest
	}
	for !ended {
		for _, i := range choose(before) {
			p := &passenger{road: r, at: i}
			if _, err := apps[i].Runtime().Connect(context.Background(), p, movableView{viewOf(r.t, apps[i], "counter:x"), movable}); err == nil {
				return
			}
		}
		time.Sleep(100 * time.Millisecond)
		r.mu.Lock()
		ended = r.ended
		r.mu.Unlock()
	}
}

// sent returns how many tabs were sent away, and the most in any second.
func (r *road) sent() (n, peak int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, at := range r.moved {
		first := i
		for first > 0 && at.Sub(r.moved[first-1]) < time.Second {
			first--
		}
		peak = max(peak, i-first+1)
	}
	return len(r.moved), peak
}

// movableView is a view as app/web wraps it.
type movableView struct {
	live.View
	movable bool
}

func (v movableView) Movable() bool { return v.movable }

// A passenger is a tab that comes back half a second after it was sent away.
type passenger struct {
	road *road
	at   int
	s    *live.Session
	once sync.Once
}

var plainWire = &live.Wire{Encode: func(m []byte) []byte { return m }}

func (p *passenger) Wire() *live.Wire     { return plainWire }
func (p *passenger) Bind(s *live.Session) { p.s = s }
func (p *passenger) Send([]byte) bool     { return true }

func (p *passenger) Close(why live.Reason) {
	if why == live.ReasonNotServing {
		return // connect tries another replica
	}
	p.once.Do(func() {
		p.road.mu.Lock()
		defer p.road.mu.Unlock()
		if p.road.ended {
			p.road.wg.Go(func() { p.s.Disconnect(why) })
			return
		}
		p.road.moved = append(p.road.moved, time.Now())
		p.road.wg.Go(func() {
			p.s.Disconnect(why)
			time.Sleep(500 * time.Millisecond)
			p.road.connect(p.at, true)
		})
	})
}

func TestTabsAreSpreadEvenly(t *testing.T) {
	for _, rate := range []int{10, 1000} {
		t.Run(fmt.Sprintf("at %d tabs a second", rate), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { spreadEvenly(t, rate) })
		})
	}
}

func spreadEvenly(t *testing.T, rate int) {
	r := newRoad(t, 2, float64(rate))
	r.open(600)
	time.Sleep(time.Minute)
	if n, _ := r.sent(); n > 0 {
		t.Errorf("%d tabs were sent away from replicas that have the same number", n)
	}
	r.addReplica()
	time.Sleep(3 * time.Minute)
	for i, n := range r.tabs() {
		if n < 180 || n > 220 {
			t.Errorf("replica %d has %d tabs of 600, want a third", i, n)
		}
	}
	n, peak := r.sent()
	// One may look while the other's tabs are on the road.
	if n < 160 || n > 260 {
		t.Errorf("%d tabs were sent away, want the 200 that were too many, and hardly more", n)
	}
	if peak > 2*rate+2 {
		t.Errorf("%d tabs were sent away within a second, want at most %d by each of two", peak, rate)
	}
	time.Sleep(10 * time.Minute)
	if again, _ := r.sent(); again != n {
		t.Errorf("%d more tabs were sent away when all had the same number", again-n)
	}
}

func TestTabsThatComeStraightBackAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoad(t, 1, 10)
		r.choose = func(before int) []int { return []int{max(before, 0)} }
		r.open(200)
		r.addReplica()
		time.Sleep(time.Minute)
		first, _ := r.sent()
		time.Sleep(time.Hour)
		n, _ := r.sent()
		if first == 0 {
			t.Error("it did not try")
		}
		// 20, 40, … 600 s apart: twelve steps of 50 tabs, where an hour has 450.
		if n > 12*50 {
			t.Errorf("%d tabs were sent away in an hour, for nothing", n)
		}
	})
}

func TestTabsThatRebalancingDoesNotMove(t *testing.T) {
	for name, c := range map[string]struct {
		rate  float64
		setup func(r *road)
	}{
		"anybody, when it is off": {0, func(r *road) { r.open(200); r.addReplica() }},
		"tabs that came directly": {10, func(r *road) {
			for range 200 {
				r.connect(-1, false)
			}
			r.addReplica()
		}},
		"anybody, when only the tabs that came directly are spread unevenly": {10, func(r *road) {
			r.addReplica()
			r.choose = func(int) []int { return []int{0} }
			for range 200 {
				r.connect(-1, false)
			}
			next := 0
			r.choose = func(int) []int { next++; return []int{next % 2} }
			r.open(100)
		}},
		"the tabs of a replica that is degraded": {10, func(r *road) {
			r.open(200)
			r.apps[0].Runtime().Report("clock", errors.New("wrong"))
			r.addReplica()
		}},
		"anybody for a replica that takes no part": {10, func(r *road) {
			r.open(200)
			r.rate = 0
			r.addReplica()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRoad(t, 1, c.rate)
				c.setup(r)
				time.Sleep(5 * time.Minute)
				if n, _ := r.sent(); n > 0 {
					t.Errorf("%d tabs were sent away", n)
				}
			})
		})
	}
}

// TestADrainingReplicaIsNotTakenForOneWithRoom: while its tabs leave it has
// fewer and fewer, and nobody may send it theirs.
func TestADrainingReplicaIsNotTakenForOneWithRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoad(t, 3, 10)
		r.open(300)
		release := hold(t, r.apps[2])
		time.Sleep(10 * time.Second)
		stopped := make(chan error, 1)
		go func() { stopped <- r.apps[2].Stop(context.Background(), 10*time.Second) }()
		time.Sleep(5 * time.Minute) // it waits for an answer all the time
		if n, _ := r.sent(); n != 100 {
			t.Errorf("%d tabs were sent away, want the 100 of the replica that drains", n)
		}
		release()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

// hold keeps a replica from ending its drain until the function that it
// returns is called.
func hold(t *testing.T, a *app.App) (release func()) {
	t.Helper()
	p := &passenger{road: &road{ended: true}}
	s, err := a.Runtime().Connect(t.Context(), p, movableView{viewOf(t, a, "counter:x"), false})
	if err != nil {
		t.Fatal(err)
	}
	s.BeginOp()
	return s.EndOp
}
