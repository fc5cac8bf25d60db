package live_test

import (
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/live"
)

// A slowBroker takes its time for each broadcast, and knows when each topic's
// last came through.
type slowBroker struct {
	pause time.Duration

	mu   sync.Mutex // guards the rest
	last map[string]time.Time
	n    int
}

// replica starts one whose rooms nothing repairs but broadcasts.
func (b *slowBroker) replica() *replica {
	hub := newHub()
	b.last = make(map[string]time.Time)
	hub.carry = func(topic string) {
		time.Sleep(b.pause)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.last[topic] = time.Now()
		b.n++
	}
	return start(newStore(), hub, nil, slowRefresh, func(o *live.RoomsOptions[state]) { o.Digest = 24 * time.Hour })
}

// carried returns when the last broadcast of a topic came through, and how many
// there were in all.
func (b *slowBroker) carried(topic string) (at time.Time, all int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last[topic], b.n
}

func (r *replica) change(key string, from ...any) { r.rooms.Commit(key, r.store.add(key), from...) }

func TestWhoChangesManyTopicsDelaysNobodyElsesBroadcasts(t *testing.T) {
	const pause = 100 * time.Millisecond
	many := func(r *replica) {
		for i := range 900 {
			r.change("x"+strconv.Itoa(i), "x")
		}
	}
	for name, scene := range map[string]func(*replica){
		"a topic of its own":                    func(r *replica) { many(r); r.change("a", "y") },
		"one of nobody":                         func(r *replica) { many(r); r.change("a") },
		"one that the other has changed before": func(r *replica) { many(r); r.change("a", "x"); r.change("a", "y") },
		"one that the other changes after it":   func(r *replica) { many(r); r.change("a", "y"); r.change("a", "x") },
		"one that both have changed at once":    func(r *replica) { many(r); r.change("a", "x", "y") },
		"beside topics that change all the time": func(r *replica) {
			for i := range 64 {
				key := "hot" + strconv.Itoa(i)
				go func() {
					for range 1000 {
						r.change(key, "x")
						time.Sleep(pause / 10)
					}
				}()
			}
			time.Sleep(10 * pause)
			r.change("a", "y")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				broker := &slowBroker{pause: pause}
				r := broker.replica()
				defer r.rt.Stop()
				scene(r)
				began := time.Now()
				time.Sleep(3 * pause)
				if at, _ := broker.carried("t:a"); at.IsZero() || at.Sub(began) > 2*pause {
					t.Errorf("it came through at %v, want within two broadcasts of %v", at.Sub(began), pause)
				}
				time.Sleep(time.Minute) // nothing is left out
				if at, all := broker.carried("t:x899"); name[0] != 'b' && (at.IsZero() || all < 901) {
					t.Errorf("got %d broadcasts in all, want all 901", all)
				}
			})
		})
	}
}

// A replica whose broker stands still keeps no more than it must.
func TestBroadcastsThatWaitAreBoundedAndOneOfManyHasNotAllTheRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &slowBroker{pause: time.Millisecond}
		r := broker.replica()
		defer r.rt.Stop()
		for i := range 40_000 {
			r.change("x"+strconv.Itoa(i), "x")
		}
		r.change("a", "y")
		time.Sleep(time.Minute)
		const most = 1<<13 + 1 + 16 // half of the room, the other's, and those under way
		if at, all := broker.carried("t:a"); at.IsZero() || all > most {
			t.Errorf("got %d broadcasts, the other's at %v; want it, and at most %d", all, at, most)
		}
	})
}

func TestValuesThatCannotBeComparedAreNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := &slowBroker{pause: time.Millisecond}
		r := broker.replica()
		defer r.rt.Stop()
		r.change("a", []int{1}, "x", map[string]int{})
		r.change("b", []int{1})
		time.Sleep(time.Second)
		for _, topic := range []string{"t:a", "t:b"} {
			if at, _ := broker.carried(topic); at.IsZero() {
				t.Errorf("%s was not broadcast", topic)
			}
		}
		if got := r.rt.Stats().Failures; got != 3 {
			t.Errorf("got %d failures, want one for each of 3 values", got)
		}
	})
}
