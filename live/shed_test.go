package live_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/livetest"
)

// A traveller is a page whose tab may come by way of a balancer.
type traveller struct {
	page
	movable bool
}

func (v traveller) Movable() bool { return v.movable }

func openAll(t *testing.T, n int, rt *live.Runtime, view live.View) (tabs []*livetest.Tab) {
	t.Helper()
	for range n {
		tabs = append(tabs, livetest.Open(t, rt, view))
	}
	return tabs
}

// sentAway counts the tabs that were closed to go elsewhere.
func sentAway(tabs []*livetest.Tab) (n int) {
	for _, tab := range tabs {
		if tab.Closed() == live.CodeRestart {
			n++
		}
	}
	return n
}

func TestShedSendsMovableTabsAwayOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		defer r.rt.Stop()
		tabs := openAll(t, 50, r.rt, traveller{page{r, "a"}, true})
		direct := openAll(t, 50, r.rt, traveller{page{r, "a"}, false})
		direct = append(direct, openAll(t, 50, r.rt, page{r, "a"})...)
		var ops []htmx.Op
		for _, tab := range tabs {
			ops = append(ops, tab.Click("t:a", "add"))
		}
		go func() {
			for i := range 4 {
				time.Sleep(time.Second / 2)
				if got, want := sentAway(tabs), 5*(i+1); got < want || got > want+1 {
					t.Errorf("got %d tabs sent away after %d half seconds, want %d: evenly", got, i+1, want)
				}
			}
		}()
		if n, err := r.rt.Shed(t.Context(), 20, 2*time.Second); n != 20 || err != nil {
			t.Errorf("got %d, %v; want 20", n, err)
		}
		time.Sleep(time.Second)
		if got := sentAway(tabs); got != 20 {
			t.Errorf("got %d tabs sent away, want 20", got)
		}
		for i, tab := range tabs {
			if tab.Acked(ops[i]) != 1 {
				t.Errorf("tab %d: its click was acknowledged %d times, want once", i, tab.Acked(ops[i]))
			}
		}
		if n, err := r.rt.Shed(t.Context(), 1000, time.Second); n != 30 || err != nil {
			t.Errorf("got %d, %v; want the 30 that are left", n, err)
		}
		synctest.Wait()
		if got := sentAway(direct); got != 0 {
			t.Errorf("%d tabs were sent away that would come back", got)
		}
		livetest.Open(t, r.rt, page{r, "a"}) // unlike a drain it takes new ones
	})
}

// movableSlow is slow, and movable.
type movableSlow struct{ slow }

func (movableSlow) Movable() bool { return true }

func TestATabThatIsShedIsAnsweredFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, movableSlow{})
		op := tab.Click("t:a", "add")
		if n, err := r.rt.Shed(t.Context(), 1, 0); n != 1 || err != nil {
			t.Errorf("got %d, %v; want 1", n, err)
		}
		if n, _ := r.rt.Shed(t.Context(), 1, 0); n != 0 {
			t.Errorf("got %d, want 0: it is on its way", n)
		}
		tab.Until("the close", func() bool { return tab.Closed() == live.CodeRestart })
		if tab.Acked(op) != 1 {
			t.Error("the click that was under way was not acknowledged")
		}
	})
}

func TestShedEndsWithItsContextAndNeverMeetsADrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		defer r.rt.Stop()
		tabs := openAll(t, 10, r.rt, traveller{page{r, "a"}, true})
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		if n, err := r.rt.Shed(ctx, 10, 10*time.Second); n != 3 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %d, %v; want 3 and the end of the context", n, err)
		}
		go func() {
			if err := r.rt.Drain(context.Background(), time.Second); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		if n, err := r.rt.Shed(t.Context(), 10, 0); n != 0 || err != nil {
			t.Errorf("got %d, %v; want nobody while it drains", n, err)
		}
		time.Sleep(2 * time.Second)
		if got := sentAway(tabs); got != 10 {
			t.Errorf("got %d of 10 tabs sent away by the drain", got)
		}
	})
}

// TestDrainIsEven: many tabs take the time they are given, few are gone at once.
func TestDrainIsEven(t *testing.T) {
	for _, c := range []struct {
		tabs int
		over time.Duration
		want time.Duration
	}{
		{3000, 2 * time.Second, 2 * time.Second},
		{1000, 20 * time.Second, 2 * time.Second}, // 500 a second
		{10, 20 * time.Second, 20 * time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%d tabs in at most %v", c.tabs, c.over), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(newStore(), newHub(), nil)
				defer r.rt.Stop()
				tabs := openAll(t, c.tabs, r.rt, page{r, "a"})
				synctest.Wait()
				began := time.Now()
				drained := make(chan time.Duration, 1)
				go func() {
					if err := r.rt.Drain(context.Background(), c.over); err != nil {
						t.Error(err)
					}
					drained <- time.Since(began)
				}()
				for i := range 10 {
					time.Sleep(c.want / 10)
					if got, want := sentAway(tabs), c.tabs*(i+1)/10; got < want-1 || got > want+1 {
						t.Errorf("got %d tabs sent away after %d tenths of the time, want %d", got, i+1, want)
					}
				}
				if got := <-drained; got > c.want {
					t.Errorf("the drain took %v, want at most %v", got, c.want)
				}
			})
		})
	}
}

func TestTabsThatComeToAWarmRoomAreAnsweredWithTheFrameThatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		r := start(store, newHub(), nil)
		defer r.rt.Stop()
		store.add("a")
		first := livetest.Open(t, r.rt, page{r, "a"})
		first.Until("the state", shows(first, "n=1"))
		store.mu.Lock()
		reads := store.reads
		store.mu.Unlock()
		renders := r.renders.Load()

		const n, within = 2000, time.Second
		began := time.Now()
		tabs := make(chan *livetest.Tab, n)
		for i := range n {
			go func() {
				time.Sleep(within * time.Duration(i) / n)
				tabs <- livetest.Open(t, r.rt, page{r, "a"})
			}()
		}
		for range n {
			tab := <-tabs
			tab.Until("the state", shows(tab, "n=1"))
		}
		if got := r.renders.Load() - renders; got != 0 {
			t.Errorf("%d tabs that came cost %d renders, want none", n, got)
		}
		store.mu.Lock()
		defer store.mu.Unlock()
		if got, limit := store.reads-reads, int(time.Since(began)/(5*time.Millisecond))+5; got > limit {
			t.Errorf("%d tabs that came within %v cost %d reads of the store, want at most %d", n, within, got, limit)
		}
	})
}
