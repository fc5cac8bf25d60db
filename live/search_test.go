package live_test

import (
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/live"
	"lockstep/live/livetest"
	"lockstep/pubsub"
)

// Whoever may publish on a broker without signatures lies for ten seconds, with
// states or with versions alone.
func TestALiarCostsFewReadsAndDelaysNobodyForLong(t *testing.T) {
	for name, change := range map[string]func(*live.RoomsOptions[state]){"states": slowRefresh, "versions": referring} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, hub := newStore(), newHub()
				r := start(store, hub, nil, change, slowRefresh)
				defer r.rt.Stop()
				tab := livetest.Open(t, r.rt, page{r, "a"})
				tab.Until("the first state", shows(tab, "n=0<"))
				time.Sleep(time.Second)
				before := store.count()
				for i := range 10_000 {
					say(t, hub, state{N: 666, Epoch: 1, Version: uint64(i) + 1000}, false)
					time.Sleep(time.Millisecond)
				}
				if got := store.count() - before; got > 80 {
					t.Errorf("got %d reads in ten seconds, want seven a second at most", got)
				}
				began := time.Now()
				say(t, hub, store.add("a"), false)
				tab.Until("the truth", shows(tab, "n=1<"))
				if d := time.Since(began); d > 250*time.Millisecond {
					t.Errorf("what is true was shown after %v", d)
				}
				time.Sleep(time.Second) // silence
				began = time.Now()
				say(t, hub, store.add("a"), false)
				tab.Until("the truth", shows(tab, "n=2<"))
				if d := time.Since(began); d > 20*time.Millisecond {
					t.Errorf("what is true was shown %v after a silence, want at once", d)
				}
				if everShown(tab, "n=666") {
					t.Error("a value that never was has been shown")
				}
			})
		})
	}
}

// Messages of what has no signature are dropped, and a Gap takes the place of each.
func TestForgedMessagesCostFewReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		r := start(store, hub, nil, slowRefresh)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Until("the first state", shows(tab, "n=0<"))
		before := store.count()
		for range 10_000 {
			if err := hub.deliver(pubsub.Message{Topic: "t:a", Gap: true}); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Millisecond)
		}
		if got := store.count() - before; got > 80 {
			t.Errorf("got %d reads in ten seconds, want seven a second at most", got)
		}
	})
}

// A state that is too large for broadcasts is read some twenty times a second at
// most, however often it changes, and not by all replicas in the same moment.
func TestALargeStateIsNotReadForEachChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		r := start(store, hub, nil, slowRefresh, referring)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Until("the first state", shows(tab, "n=0<"))
		time.Sleep(time.Second)
		before := store.count()
		for range 5000 {
			say(t, hub, store.add("a"), true)
			time.Sleep(time.Millisecond)
		}
		tab.Until("the last state", shows(tab, "n=5000<"))
		if got := store.count() - before; got < 50 || got > 140 {
			t.Errorf("got %d reads in five seconds, want 100 or so", got)
		}
		spread := make(map[time.Duration]bool)
		for range 20 {
			time.Sleep(time.Second)
			began, n := time.Now(), store.count()
			say(t, hub, store.add("a"), true)
			for store.count() == n {
				time.Sleep(time.Millisecond)
			}
			spread[time.Since(began)] = true
			if d := time.Since(began); d > 11*time.Millisecond {
				t.Errorf("read after %v", d)
			}
		}
		if len(spread) < 3 {
			t.Errorf("replicas read after %v, want not in the same moment", spread)
		}
	})
}

// A read that fails leaves the rest to anti-entropy, and a broadcast after it is
// heard.
func TestASearchEndsWithAStoreThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		r := start(store, hub, nil, slowRefresh)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Until("the first state", shows(tab, "n=0<"))
		store.fail(errors.New("away"))
		say(t, hub, store.add("a"), false)
		time.Sleep(time.Second)
		store.fail(nil)
		say(t, hub, store.add("a"), false)
		tab.Until("the truth", shows(tab, "n=2<"))
	})
}

// What only somebody has said who is not known to be a replica is not told to the
// application: it would compute from it.
func TestOnlyWhatAReplicaSaysIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		var told []state
		panics := atomic.Bool{}
		r := start(store, hub, nil, slowRefresh, func(o *live.RoomsOptions[state]) {
			o.Heard = func(key string, s state) {
				if panics.Load() || key != "a" {
					panic(key)
				}
				told = append(told, s)
			}
			o.Decode = func(p []byte) (s state, err error) {
				if err = json.Unmarshal(p, &s); err == nil && s.N == 0 {
					err = live.ErrReadIt
				}
				return s, err
			}
		})
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Until("the first state", shows(tab, "n=0<"))
		next := store.add("a")
		say(t, hub, state{N: 666, Epoch: 1, Version: 1}, false)
		say(t, hub, next, true)
		say(t, hub, next, true)                              // no news
		say(t, hub, state{Epoch: 1, Version: 1}, true)       // only the order
		say(t, hub, state{N: 7, Epoch: 9, Version: 1}, true) // a leap
		want := []state{next, next, {Epoch: 1, Version: 1}, {N: 7, Epoch: 9, Version: 1}}
		if len(told) != len(want) {
			t.Fatalf("got %+v, want %+v", told, want)
		}
		for i := range want {
			if told[i] != want[i] {
				t.Errorf("got %+v, want %+v", told[i], want[i])
			}
		}
		panics.Store(true)
		say(t, hub, store.add("a"), true)
		tab.Until("the state all the same", shows(tab, "n=2<"))
		if r.rt.Stats().Failures == 0 {
			t.Error("the panic is not counted")
		}
	})
}

// A read that began before a broadcast was heard knows nothing of it: another one
// follows.
func TestWhatIsHeardDuringAReadIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		slow, answer := make(chan struct{}, 1), make(chan struct{})
		r := start(store, hub, nil, slowRefresh, answersLate(store, slow, answer))
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Until("the first state", shows(tab, "n=0<"))
		time.Sleep(time.Second)
		slow <- struct{}{}
		say(t, hub, store.add("a"), false)
		time.Sleep(time.Second)
		say(t, hub, store.add("a"), false)
		close(answer)
		tab.Until("the newest", shows(tab, "n=2<"))
	})
}
