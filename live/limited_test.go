package live_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"lockstep/live"
	"lockstep/live/livetest"
)

// ration is a page whose tab may send so many messages, until it is given more.
type ration struct {
	page
	mu   sync.Mutex
	left int // below 0: asking fails
}

func (r *ration) Allow() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left < 0 {
		panic("a broken limit")
	}
	if r.left == 0 {
		return false
	}
	r.left--
	return true
}

func (r *ration) give(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = n
}

// rationed runs f with a tab that may send n messages.
func rationed(t *testing.T, n int, f func(t *testing.T, r *replica, view *ration, tab *livetest.Tab)) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		defer r.rt.Stop()
		view := &ration{page: page{r, "a"}, left: n}
		f(t, r, view, livetest.Open(t, r.rt, view))
	})
}

func TestAClickTooManyChangesNothingAndIsKept(t *testing.T) {
	rationed(t, 1, func(t *testing.T, r *replica, view *ration, tab *livetest.Tab) {
		first := tab.Click("t:a", "add")
		tab.Until("the first", func() bool { return tab.Acked(first) == 1 })
		second := tab.Click("t:a", "add")
		tab.Until("the answer", func() bool { return tab.Retried(second) == "too many messages at the moment; what you did waits" })
		if got := tab.Refused(second); got != "" {
			t.Errorf("got that it is refused for good: %s", got)
		}
		if got := r.rt.Stats(); got.Events != 1 || got.Limited != 1 || got.Refusals != 1 {
			t.Errorf("got %d events, %d limited and %d refused, want 1 of each", got.Events, got.Limited, got.Refusals)
		}
		view.give(1)
		tab.Again(second)
		tab.Until("the second", func() bool { return tab.Acked(second) == 1 && shows(tab, "n=2")() })
	})
}

// TestEveryMessageCounts sends messages that are no clicks.
func TestEveryMessageCounts(t *testing.T) {
	for _, m := range []string{`{"hello":2,"as":"data"}`, `nonsense`, ``, `{"cast":"add"}`, `{"fin":["c",1]}`, `{"op":7}`, `{"op":["c",1.5,1]}`} {
		rationed(t, 0, func(t *testing.T, r *replica, _ *ration, tab *livetest.Tab) {
			synctest.Wait()
			before := len(tab.Messages())
			tab.Send(m)
			synctest.Wait()
			got := tab.Messages()[before:]
			if want := `{"error":"too many messages at the moment"}`; len(got) != 1 || got[0] != want {
				t.Errorf("%s: got %s, want %s alone", m, got, want)
			}
			if stats := r.rt.Stats(); stats.Limited != 1 || stats.Events != 0 {
				t.Errorf("%s: got %d limited and %d events, want 1 and none", m, stats.Limited, stats.Events)
			}
		})
	}
}

func TestATabThatGoesOnIsClosed(t *testing.T) {
	rationed(t, 0, func(t *testing.T, r *replica, _ *ration, tab *livetest.Tab) {
		for n := range 5000 {
			tab.Send(fmt.Sprintf(`{"op":["c",%d,1],"do":"add"}`, n))
		}
		tab.Until("the close", func() bool { return tab.Closed() != 0 })
		if got := tab.Closed(); got != live.CodeAbuse {
			t.Errorf("got close code %d, want %d", got, live.CodeAbuse)
		}
		if got := r.rt.Stats().Limited; got != 4097 {
			t.Errorf("got %d refused, want 4096 and the one that closed it", got)
		}
	})
}

func TestATabThatIsOftenLimitedAndHoldsBackIsKept(t *testing.T) {
	rationed(t, 0, func(t *testing.T, r *replica, view *ration, tab *livetest.Tab) {
		for range 10 {
			view.give(1000)
			for range 2000 {
				tab.Send(`{"op":["c",1,1],"do":"no"}`)
			}
		}
		op := tab.Click("t:a", "add")
		tab.Until("the refusal", func() bool { return tab.Retried(op) != "" })
		if got := r.rt.Stats().Limited; tab.Closed() != 0 || got != 10_001 {
			t.Errorf("closed with %d after %d, want it to be open after 10001", tab.Closed(), got)
		}
	})
}

func TestATabThatDoesNotReadItsRefusalsIsHeldBackAndClosed(t *testing.T) {
	rationed(t, 0, func(t *testing.T, r *replica, _ *ration, tab *livetest.Tab) {
		synctest.Wait()
		tab.Stall()
		var sending sync.WaitGroup
		sending.Go(func() {
			for range 10_000 {
				tab.Send(`{"op":["c",1,1],"do":"add"}`)
			}
		})
		synctest.Wait()
		if got := r.rt.Stats().Limited; got > 1100 {
			t.Errorf("got %d messages of a tab that does not read, want it held back", got)
		}
		tab.Until("the close", func() bool { return tab.Closed() == live.CodeOverload })
		sending.Wait()
	})
}

func TestALimitThatFailsEndsOnlyItsOwnSession(t *testing.T) {
	rationed(t, -1, func(t *testing.T, r *replica, _ *ration, tab *livetest.Tab) {
		other := livetest.Open(t, r.rt, page{r, "a"})
		tab.Click("t:a", "add")
		tab.Until("the close", func() bool { return tab.Closed() == live.CodeInternal })
		op := other.Click("t:a", "add")
		other.Until("the answer", func() bool { return other.Acked(op) == 1 })
	})
}
