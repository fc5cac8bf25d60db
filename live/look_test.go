package live_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/live"
	"lockstep/live/livetest"
)

// TestTabsAndTopicsCanBeLookedAt says what a runtime knows of them, for people who look.
func TestTabsAndTopicsCanBeLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		defer r.rt.Stop()
		quick, slow := livetest.Open(t, r.rt, page{r, "a"}), livetest.Open(t, r.rt, page{r, "a"})
		synctest.Wait()
		slow.Stall()
		for range 5 {
			quick.Click("t:a", "add")
			time.Sleep(100 * time.Millisecond)
		}
		slowest := r.rt.SlowestTabs(5)
		if len(slowest) != 1 || slowest[0].Full <= 0 || slowest[0].Behind != 1 || !slices.Equal(slowest[0].Topics, []string{"t:a"}) {
			t.Fatalf("got %+v, want the tab that does not read alone, behind in one room", slowest)
		}
		topics := slices.Collect(r.rt.Topics())
		if len(topics) != 1 || topics[0].Topic != "t:a" || topics[0].Tabs != 2 || topics[0].Messages < 6 {
			t.Errorf("got the topics %+v", topics)
		}
		s := r.rt.Stats()
		if s.Deliveries != topics[0].Messages || s.Deliveries >= s.Messages || s.States < 5 {
			t.Errorf("got %d deliveries of %d messages, of %d states; want those of the topic, %d, and not acknowledgements", s.Deliveries, s.Messages, s.States, topics[0].Messages)
		}
	})
}

func TestATabIsCountedWhileSomebodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		defer r.rt.Stop()
		tab := livetest.Open(t, r.rt, page{r, "a"})
		click := func() uint64 {
			tab.Click("t:a", "add")
			time.Sleep(100 * time.Millisecond)
			info, ok := r.rt.Tab(1)
			if !ok {
				t.Fatal("there is no tab 1")
			}
			return info.Messages
		}
		if got := click(); got != 0 {
			t.Errorf("%d messages are counted of a tab that nobody looks at", got)
		}
		stop, ok := r.rt.WatchTab(1)
		if !ok {
			t.Fatal("the tab can't be watched")
		}
		if _, again := r.rt.WatchTab(1); again {
			t.Error("a tab is watched twice")
		}
		if got := click(); got < 2 {
			t.Errorf("%d messages are counted, want a frame and an acknowledgement", got)
		}
		stop()
		if got := click(); got != 0 {
			t.Errorf("%d messages are counted after the end", got)
		}
		if _, ok := r.rt.WatchTab(99); ok {
			t.Error("a tab is watched that is none")
		}
	})
}

func TestAnOperatorHasTabsConnectAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil)
		defer r.rt.Stop()
		var tabs []*livetest.Tab
		for _, key := range []string{"a", "a", "b", "b"} {
			tabs = append(tabs, livetest.Open(t, r.rt, page{r, key}))
		}
		synctest.Wait()
		if !r.rt.CloseTab(1) || r.rt.CloseTab(99) {
			t.Error("CloseTab does not tell whether there is such a tab")
		}
		n, err := r.rt.CloseTopic(context.Background(), "t:b", time.Second)
		synctest.Wait()
		if n != 2 || err != nil {
			t.Errorf("got %d tabs and %v, want the two of the topic", n, err)
		}
		for i, want := range []live.Reason{live.ReasonOperator, 0, live.ReasonOperator, live.ReasonOperator} {
			if got := tabs[i].Reason(); got != want {
				t.Errorf("tab %d: got %s, want %s", i+1, got, want)
			}
		}
		if got := r.rt.Closed(live.ReasonOperator); got != 3 {
			t.Errorf("%d tabs are counted, want 3", got)
		}
	})
}
