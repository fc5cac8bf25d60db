package live_test

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

	"lockstep/live"
	"lockstep/live/livetest"
	"lockstep/pubsub"
)

// say broadcasts a state, by a replica or by somebody else.
func say(t *testing.T, hub *fakeHub, s state, trusted bool) {
	t.Helper()
	p, err := json.Marshal(s)
	if err != nil {
		t.Error(err)
	}
	if err := hub.deliver(pubsub.Message{Topic: "t:a", Payload: p, Trusted: trusted}); err != nil {
		t.Error(err)
	}
}

func everShown(tab *livetest.Tab, text string) bool {
	return slices.ContainsFunc(tab.Messages(), func(m string) bool {
		return strings.Contains(m, text+"<") || strings.Contains(m, text+`\u003c`)
	})
}

func TestWhatAStrangerSaysIsNeverShown(t *testing.T) {
	for name, forged := range map[string]state{
		"a few versions ahead": {N: 666, Epoch: 1, Version: 5},
		"the next version":     {N: 666, Epoch: 1, Version: 2},
		"a thousand ahead":     {N: 666, Epoch: 1, Version: 1001},
		"a later epoch":        {N: 666, Epoch: 9, Version: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, hub := newStore(), newHub()
				store.add("a")
				r := start(store, hub, nil)
				defer r.rt.Stop()
				tab := livetest.Open(t, r.rt, page{r, "a"})
				tab.Until("the first state", shows(tab, "n=1<"))
				time.Sleep(time.Second) // the next change is shown at once
				say(t, hub, forged, false)
				time.Sleep(time.Second)
				if s, _, err := r.rooms.Read(t.Context(), "a"); err != nil || s.N != 1 {
					t.Errorf("a page says %+v, %v", s, err)
				}
				op := tab.Click("t:a", "add")
				tab.Until("the truth", shows(tab, "n=2<"))
				tab.Until("the acknowledgement", func() bool { return tab.Acked(op) == 1 })
				time.Sleep(10 * time.Second)
				if everShown(tab, "n=666") {
					t.Errorf("a value that never was has been shown: %q", tab.Messages())
				}
			})
		})
	}
}

// Also a broker that is not signed has true messages on it.
func TestATrueBroadcastOfAStrangerIsShownAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		r := start(store, hub, nil, slowRefresh)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Until("the first state", shows(tab, "n=0<"))
		time.Sleep(time.Second)
		began := time.Now()
		say(t, hub, store.add("a"), false)
		tab.Until("the change", shows(tab, "n=1<"))
		if d := time.Since(began); d > 5*time.Millisecond {
			t.Errorf("shown after %v, want at most the pause between two reads", d)
		}
	})
}

func TestAFloodOfStrangersCostsFewReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		r := start(store, hub, nil, slowRefresh)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Until("the first state", shows(tab, "n=0<"))
		time.Sleep(time.Second)
		before, messages, began := store.count(), len(tab.Messages()), time.Now()
		var all sync.WaitGroup
		for i := range 10_000 {
			all.Go(func() { say(t, hub, state{N: 666, Epoch: 1, Version: uint64(i)}, false) })
		}
		all.Wait()
		limit := int(time.Since(began)/(5*time.Millisecond)) + 2
		if got := store.count() - before; got > limit {
			t.Errorf("got %d reads for 10,000 messages in %v, want at most %d", got, time.Since(began), limit)
		}
		synctest.Wait()
		if got := len(tab.Messages()) - messages; got != 0 {
			t.Errorf("got %d messages to a tab, want none", got)
		}
		// What has been heard already, or is older, is not even looked up.
		store.add("a")
		say(t, hub, state{N: 1, Epoch: 1, Version: 1}, false)
		before = store.count()
		say(t, hub, state{N: 1, Epoch: 1, Version: 1}, false)
		if got := store.count() - before; got != 0 {
			t.Errorf("got %d reads for what is known, want none", got)
		}
	})
}

// A replica with another store, or a broken one, has the keys too.
func TestWhatOnlyABroadcastSaysIsTakenBack(t *testing.T) {
	for name, forged := range map[string]state{
		"a few versions ahead": {N: 666, Epoch: 1, Version: 5},
		"a thousand ahead":     {N: 666, Epoch: 1, Version: 1001},
		"the version of now":   {N: 666, Epoch: 1, Version: 2}, // of the click that follows
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, hub := newStore(), newHub()
				store.add("a")
				r := start(store, hub, nil, asData)
				defer r.rt.Stop()
				html, data := livetest.Open(t, r.rt, page{r, "a"}), livetest.Open(t, r.rt, page{r, "a"})
				data.Send(helloAsData)
				html.Until("the first state", shows(html, "n=1<"))
				data.Until("the first state", hasState(data, "state 1"))
				say(t, hub, forged, true)
				html.Until("what a replica says", shows(html, "n=666<"))
				if name == "the version of now" {
					store.add("a")
					say(t, hub, state{N: 2, Epoch: 1, Version: 2}, true)
				}
				n := store.states["a"].N
				began := time.Now()
				html.Until("the truth", shows(html, fmt.Sprintf("n=%d<", n)))
				data.Until("the truth", hasState(data, fmt.Sprintf("state %d", n)))
				if d := time.Since(began); d > 3*time.Second {
					t.Errorf("taken back after %v, want with the next read of all rooms", d)
				}
				if got := r.rt.Stats().Corrections; got != 1 {
					t.Errorf("got %d corrections, want 1", got)
				}
				op := html.Click("t:a", "add")
				html.Until("the next click", shows(html, fmt.Sprintf("n=%d<", n+1)))
				data.Until("the next click", hasState(data, fmt.Sprintf("state %d", n+1)))
				html.Until("the acknowledgement", func() bool { return html.Acked(op) == 1 })
				late := livetest.Open(t, r.rt, page{r, "a"})
				late.Until("the truth", shows(late, fmt.Sprintf("n=%d<", n+1)))
				time.Sleep(10 * time.Second)
				if got := r.rt.Stats().Corrections; got != 1 {
					t.Errorf("got %d corrections in the end, want 1", got)
				}
			})
		})
	}
}

func TestWhatTheStoreBearsOutIsNotRenderedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		r := start(store, hub, nil)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Until("the first state", shows(tab, "n=0<"))
		say(t, hub, store.add("a"), true)
		tab.Until("the change", shows(tab, "n=1<"))
		before := r.renders.Load()
		time.Sleep(time.Minute)
		if got := r.renders.Load() - before; got != 0 || r.rt.Stats().Corrections != 0 {
			t.Errorf("got %d renders and %d corrections, want none", got, r.rt.Stats().Corrections)
		}
	})
}

// A read that began before a true broadcast was heard knows nothing of it.
func TestAReadThatBeganTooEarlyTakesNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		slow, answer := make(chan struct{}, 1), make(chan struct{})
		r := start(store, hub, nil, func(o *live.RoomsOptions[state]) {
			o.Load = func(ctx context.Context, keys ...string) ([]state, error) {
				states, err := store.load(ctx, keys...)
				select {
				case <-slow:
					<-answer // the store has read, and its answer is on the way
				default:
				}
				return states, err
			}
		})
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Until("the first state", shows(tab, "n=0<"))
		slow <- struct{}{}
		time.Sleep(3 * time.Second) // anti-entropy waits for its answer
		say(t, hub, store.add("a"), true)
		tab.Until("the change", shows(tab, "n=1<"))
		close(answer)
		time.Sleep(10 * time.Second)
		if s := tab.Shown("t:a"); !strings.Contains(s.Content, "n=1<") || r.rt.Stats().Corrections != 0 {
			t.Errorf("got %+v after %d corrections, want that the true state stays", s, r.rt.Stats().Corrections)
		}
	})
}

func TestNothingIsShownBeforeTheFirstRead(t *testing.T) {
	for _, trusted := range []bool{true, false} {
		t.Run(fmt.Sprint("trusted: ", trusted), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, hub := newStore(), newHub()
				store.add("a")
				store.blocked = make(chan struct{})
				r := start(store, hub, nil)
				defer r.rt.Stop()
				done := make(chan *livetest.Tab)
				go func() { done <- livetest.Open(t, r.rt, page{r, "a"}) }()
				synctest.Wait()
				go say(t, hub, state{N: 666, Epoch: 1, Version: 3}, trusted)
				go say(t, hub, state{N: 666, Epoch: 7, Version: 3}, trusted)
				synctest.Wait()
				close(store.blocked)
				tab := <-done
				tab.Until("the truth", shows(tab, "n=1<"))
				time.Sleep(10 * time.Second)
				if everShown(tab, "n=666") {
					t.Errorf("a value that never was has been shown: %q", tab.Messages())
				}
			})
		})
	}
}

func TestAFalseDigestIsNoEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		r := start(store, hub, nil, slowRefresh)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Until("the first state", shows(tab, "n=0<"))
		time.Sleep(2 * time.Second) // it listens to digests
		before, messages := store.count(), len(tab.Messages())
		began := time.Now()
		for range 1000 {
			if err := hub.deliver(pubsub.Message{Topic: "_digest:test", Payload: []byte(`{"a":[1,77]}`)}); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		if got, limit := store.count()-before, int(time.Since(began)/(100*time.Millisecond))+1; got > limit {
			t.Errorf("got %d reads, want at most %d", got, limit)
		}
		if n := hub.subscriptionsEver("t:a"); n != 1 {
			t.Errorf("got %d subscriptions, want that a lie changes nothing", n)
		}
		if got := len(tab.Messages()) - messages; got != 0 || r.rt.Err() != nil {
			t.Errorf("got %d messages to a tab and %v, want nothing", got, r.rt.Err())
		}
		many := make(map[string][2]int)
		for i := range 100_000 {
			many[fmt.Sprint(i)] = [2]int{1, i}
		}
		large, err := json.Marshal(many)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range [][]byte{large, large[:0], []byte(`{"a":[1,2,3,4]}`)} {
			if err := hub.deliver(pubsub.Message{Topic: "_digest:test", Payload: p}); err == nil && len(p) != len(`{"a":[1,2,3,4]}`) {
				t.Errorf("got no error for %d bytes", len(p))
			}
		}
	})
}

func TestAFailedReadIsAnErrorOfItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		r := start(store, newHub(), nil)
		defer r.rt.Stop()
		away := errors.New("away")
		store.fail(away)
		if _, known, err := r.rooms.Read(t.Context(), "a"); known || !errors.Is(err, away) {
			t.Errorf("got %t, %v", known, err)
		}
	})
}
