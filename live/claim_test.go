package live_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/live"
	"lockstep/live/livetest"
)

// A tab comes from a replica that had heard what never was.
const helloFromElsewhere = `{"hello":2,"client":"x","at":{"t:b":[9,9],"t:a":[1,1001]}}`

// takenBack reports whether a tab was sent a state with "back".
func takenBack(tab *livetest.Tab, text string) func() bool {
	return func() bool {
		for _, m := range tab.Messages() {
			if strings.Contains(m, `"back":true`) && strings.Contains(m, text) {
				return true
			}
		}
		return false
	}
}

func TestATabThatComesWithWhatNeverWasIsTakenBack(t *testing.T) {
	for name, c := range map[string]struct{ hello, want, next string }{
		"HTML":   {helloFromElsewhere, `n=1<`, `n=2<`},
		"states": {`{"hello":2,"client":"x","at":{"t:a":[1,1001]},"as":"data"}`, "state 1", "state 2"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, hub := newStore(), newHub()
				store.add("a")
				r := start(store, hub, nil, asData, slowRefresh)
				defer r.rt.Stop()
				tab, other := livetest.Open(t, r.rt, page{r, "a"}), livetest.Open(t, r.rt, page{r, "a"})
				other.Until("the first state", shows(other, "n=1<"))
				time.Sleep(time.Second)
				others := len(other.Messages())
				began := time.Now()
				tab.Send(c.hello)
				tab.Until("the truth", takenBack(tab, c.want))
				if d := time.Since(began); d > 10*time.Millisecond {
					t.Errorf("taken back after %v, want after one read", d)
				}
				if got := len(other.Messages()) - others; got != 0 || r.rt.Stats().Corrections != 0 {
					t.Errorf("another tab got %d messages, and there were %d corrections: a tab is no evidence", got, r.rt.Stats().Corrections)
				}
				op := other.Click("t:a", "add")
				other.Until("the acknowledgement", func() bool { return other.Acked(op) == 1 })
				synctest.Wait()
				all := tab.Messages()
				if last := all[len(all)-1]; !strings.Contains(last, c.next) || strings.Contains(last, "back") {
					t.Errorf("got %s at last, want the next state as every tab has it", last)
				}
			})
		})
	}
}

// What the store bears out, or nobody can know, takes nobody back.
func TestATabThatIsAheadOfItsReplicaIsNotTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		r := start(store, hub, nil, slowRefresh)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Until("the first state", shows(tab, "n=0<"))
		store.add("a") // on another replica, whose broadcast is lost
		tab.Send(`{"hello":2,"at":{"t:a":[1,1]}}`)
		tab.Until("what it has shown", shows(tab, "n=1<"))
		for _, hello := range []string{
			`{"hello":2,"at":{"t:a":[1,1]}}`, `{"hello":2,"at":{"t:a":[0,7]}}`, `{"hello":2,"at":{}}`, `{"hello":2}`,
			`{"hello":2,"at":{"t:b":[9,9],"a":[9,9],"":[9,9]}}`, // of what is not the tab's
		} {
			tab.Send(hello)
		}
		synctest.Wait()
		if takenBack(tab, "")() {
			t.Errorf("taken back: %q", tab.Messages())
		}
	})
}

func TestATabIsTakenBackWhenTheStoreHasSpoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		store.add("a")
		r := start(store, hub, nil)
		defer r.rt.Stop()
		tab, gone := livetest.Open(t, r.rt, page{r, "a"}), livetest.Open(t, r.rt, page{r, "a"})
		tab.Until("the first state", shows(tab, "n=1<"))
		store.fail(errors.New("away"))
		tab.Send(helloFromElsewhere)
		gone.Send(helloFromElsewhere)
		time.Sleep(10 * time.Second)
		if takenBack(tab, "")() {
			t.Errorf("taken back while nobody knows: %q", tab.Messages())
		}
		gone.Disconnect()
		store.fail(nil)
		tab.Until("the truth", takenBack(tab, `n=1<`))
	})
}

// The tab drops what is older than what never was, so it must get what came
// before the correction again.
func TestWhatComesBeforeACorrectionComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		store.add("a")
		slow := make(chan time.Duration, 1)
		r := start(store, hub, nil, slowRefresh, func(o *live.RoomsOptions[state]) {
			render := o.Render
			o.Render = func(key string, s state) (string, live.Component) {
				select {
				case d := <-slow:
					time.Sleep(d)
				default:
				}
				return render(key, s)
			}
		})
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Until("the first state", shows(tab, "n=1<"))
		time.Sleep(time.Second)
		slow <- time.Second
		tab.Send(helloFromElsewhere)
		time.Sleep(100 * time.Millisecond) // the correction is being rendered
		r.change("a")
		tab.Until("the change", shows(tab, "n=2<"))
		tab.Until("the truth", takenBack(tab, `n=1<`))
		synctest.Wait()
		all := tab.Messages()
		if last := all[len(all)-1]; !strings.Contains(last, `n=2<`) {
			t.Errorf("got %q at last, want the change after the correction", last)
		}
	})
}

func TestAFloodOfClaimsCostsFewReadsAndRenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		r := start(store, hub, nil, slowRefresh)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Until("the first state", shows(tab, "n=0<"))
		time.Sleep(time.Second)
		reads, renders, began := store.count(), r.renders.Load(), time.Now()
		for i := range 10_000 {
			tab.Send(fmt.Sprintf(`{"hello":2,"at":{"t:a":[1,%d]}}`, 1+i))
			if i%100 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		time.Sleep(time.Second)
		limit := int(time.Since(began)/(5*time.Millisecond)) + 2
		if got := store.count() - reads; got > limit {
			t.Errorf("got %d reads, want at most %d", got, limit)
		}
		if got := int(r.renders.Load() - renders); got > limit {
			t.Errorf("got %d renders, want at most %d", got, limit)
		}
	})
}

// answersLate has one read for each value of slow be answered when answer says so: the
// store has read by then, and its answer is on the way.
func answersLate(store *fakeStore, slow, answer <-chan struct{}) func(*live.RoomsOptions[state]) {
	return func(o *live.RoomsOptions[state]) {
		o.Load = func(ctx context.Context, keys ...string) ([]state, error) {
			states, err := store.load(ctx, keys...)
			select {
			case <-slow:
				<-answer
			default:
			}
			return states, err
		}
	}
}

// A read that began before the tab spoke knows nothing of what it shows.
func TestAReadThatBeganBeforeAClaimIsNoAnswerToIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		slow, answer := make(chan struct{}, 1), make(chan struct{})
		r := start(store, hub, nil, slowRefresh, answersLate(store, slow, answer))
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Until("the first state", shows(tab, "n=0<"))
		time.Sleep(time.Second) // the next read begins at once
		slow <- struct{}{}
		go func() { _, _, _ = r.rooms.Read(context.Background(), "a") }()
		synctest.Wait()
		store.add("a") // on another replica
		tab.Send(`{"hello":2,"at":{"t:a":[1,1]}}`)
		synctest.Wait()
		close(answer)
		tab.Until("what it has shown", shows(tab, "n=1<"))
		if takenBack(tab, "")() {
			t.Errorf("taken back: %q", tab.Messages())
		}
	})
}

func TestManyClaimsHaveOneThatAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		r := start(store, hub, nil, slowRefresh)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Until("the first state", shows(tab, "n=0<"))
		time.Sleep(time.Second)
		blocked := make(chan struct{})
		store.mu.Lock()
		store.blocked = blocked
		store.mu.Unlock()
		before := runtime.NumGoroutine()
		for range 100 {
			tab.Send(helloFromElsewhere)
		}
		synctest.Wait()
		if got := runtime.NumGoroutine() - before; got > 20 {
			t.Errorf("100 claims made %d goroutines", got)
		}
		close(blocked)
		tab.Until("the truth", takenBack(tab, ""))
	})
}

// A callback that fails leaves nothing that goes on asking.
func TestAClaimOnStatesThatCannotBeOrderedAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, hub := newStore(), newHub()
		broken := false
		r := start(store, hub, nil, slowRefresh, func(o *live.RoomsOptions[state]) {
			order, load := o.Order, o.Load
			o.Order = func(s state) (uint64, uint64) {
				if s.N == 13 {
					panic("sabotage")
				}
				return order(s)
			}
			o.Load = func(ctx context.Context, keys ...string) ([]state, error) {
				if broken {
					return []state{{N: 13}}, nil
				}
				return load(ctx, keys...)
			}
		})
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		tab.Until("the first state", shows(tab, "n=0<"))
		broken = true
		before := r.rt.Stats().Failures
		tab.Send(helloFromElsewhere)
		time.Sleep(time.Minute)
		if got := r.rt.Stats().Failures - before; got != 1 {
			t.Errorf("got %d failures, want 1", got)
		}
	})
}
