package live_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/livetest"
)

// A tape is what a feed of numbers has: Next returns those that were added since.
type tape struct {
	mu    sync.Mutex
	all   []int
	taken int
	calls int
}

func (tp *tape) add(n ...int) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	tp.all = append(tp.all, n...)
}

func (tp *tape) next(string) []byte {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	tp.calls++
	some := tp.all[tp.taken:]
	if tp.taken = len(tp.all); len(some) == 0 {
		return nil
	}
	return fmt.Appendf(nil, "%q", fmt.Sprint(some))
}

func (tp *tape) whole(string) []byte {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	return fmt.Appendf(nil, "%q", fmt.Sprint("all ", tp.all))
}

// A listener is a view that joins a feed.
type listener struct{ feeds *live.Feeds }

// Mount implements live.View.
func (l listener) Mount(_ context.Context, s *live.Session) error {
	if _, err := l.feeds.Join(s, "room"); err != nil {
		return err
	}
	_, err := l.feeds.Join(s, "room") // harmless
	return err
}

// HandleEvent implements live.View.
func (listener) HandleEvent(context.Context, *live.Session, htmx.Event) error { return nil }

func newFeeds(tb testing.TB, tp *tape, perTab time.Duration) (*live.Runtime, *live.Feeds) {
	tb.Helper()
	rt := live.NewRuntime(&live.Options{StatusInterval: time.Hour})
	rt.Start()
	return rt, live.NewFeeds(rt, live.FeedsOptions{
		Topic: func(key string) string { return "soft:" + key }, Next: tp.next, Whole: tp.whole,
		FrameInterval: 50 * time.Millisecond, PerTab: perTab,
	})
}

// heard returns the soft messages of a tab.
func heard(tab *livetest.Tab) (all []string) {
	for _, m := range tab.Messages() {
		if rest, ok := strings.CutPrefix(m, `{"t":"soft:room","soft":`); ok {
			all = append(all, strings.TrimSuffix(rest, "}"))
		}
	}
	return all
}

func wantHeard(t *testing.T, tab *livetest.Tab, want ...string) {
	t.Helper()
	if got := heard(tab); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAFeedShowsAllAndThenWhatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tp := new(tape)
		rt, feeds := newFeeds(t, tp, 0)
		defer rt.Stop()
		first := livetest.Open(t, rt, listener{feeds})
		synctest.Wait()
		wantHeard(t, first, `"all []"`)
		tp.add(1)
		feeds.Kick("room")
		synctest.Wait()
		wantHeard(t, first, `"all []"`, `"[1]"`)
		second := livetest.Open(t, rt, listener{feeds})
		synctest.Wait()
		wantHeard(t, second, `"all [1]"`) // what it has is not sent again
		time.Sleep(time.Second)
		for n := range 10 { // conflated: one at once, the others after the interval
			tp.add(n)
			feeds.Kick("room")
			synctest.Wait()
		}
		time.Sleep(time.Second)
		wantHeard(t, first, `"all []"`, `"[1]"`, `"[0]"`, `"[1 2 3 4 5 6 7 8 9]"`)
		wantHeard(t, second, `"all [1]"`, `"[0]"`, `"[1 2 3 4 5 6 7 8 9]"`)
	})
}

func TestAFeedWithoutTabsIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tp := new(tape)
		rt, feeds := newFeeds(t, tp, 0)
		defer rt.Stop()
		one, other := livetest.Open(t, rt, listener{feeds}), livetest.Open(t, rt, listener{feeds})
		one.Disconnect()
		if got := feeds.Len(); got != 1 {
			t.Errorf("got %d feeds with a tab left, want 1", got)
		}
		other.Disconnect()
		if got := feeds.Len(); got != 0 {
			t.Errorf("got %d feeds without tabs, want none", got)
		}
		feeds.Kick("room")
		synctest.Wait()
		if tp.calls != 0 {
			t.Error("a frame was made for nobody")
		}
		again := livetest.Open(t, rt, listener{feeds}) // the topic is free again
		tp.add(1)
		feeds.Kick("room")
		synctest.Wait()
		wantHeard(t, again, `"all []"`, `"[1]"`)
	})
}

// TestASlowTabGetsTheNewestFrame, and delays nobody.
func TestASlowTabGetsTheNewestFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tp := new(tape)
		rt, feeds := newFeeds(t, tp, 0)
		defer rt.Stop()
		quick, slow := livetest.Open(t, rt, listener{feeds}), livetest.Open(t, rt, listener{feeds})
		synctest.Wait()
		slow.Stall()
		for n := range 20 {
			tp.add(n)
			feeds.Kick("room")
			time.Sleep(100 * time.Millisecond)
		}
		slow.Resume()
		synctest.Wait()
		if got := heard(quick); len(got) != 21 {
			t.Errorf("the quick tab got %d messages, want 21", len(got))
		}
		wantHeard(t, slow, `"all []"`, `"[0]"`, `"[19]"`)
	})
}

// TestTheFramesOfAFullFeedAreFewer: a feed costs so many deliveries a second, however many
// tabs there are.
func TestTheFramesOfAFullFeedAreFewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tp := new(tape)
		rt, feeds := newFeeds(t, tp, 10*time.Millisecond)
		defer rt.Stop()
		var tabs []*livetest.Tab
		for range 45 {
			tabs = append(tabs, livetest.Open(t, rt, listener{feeds}))
		}
		for n := range 500 {
			tp.add(n)
			feeds.Kick("room")
			time.Sleep(10 * time.Millisecond)
		}
		if got := len(heard(tabs[0])) - 1; got < 9 || got > 12 {
			t.Errorf("got %d frames in 5 s, want one in half a second", got)
		}
	})
}

func TestAFeedThatPanicsFailsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := live.NewRuntime(nil)
		rt.Start()
		defer rt.Stop()
		sabotage := func(string) []byte { panic("sabotage") }
		feeds := live.NewFeeds(rt, live.FeedsOptions{
			Topic: func(key string) string { return key }, Next: sabotage, Whole: sabotage,
		})
		tab := livetest.Open(t, rt, listener{feeds})
		feeds.Kick("room")
		synctest.Wait()
		if tab.Closed() != 0 || rt.Stats().Failures != 2 {
			t.Errorf("got code %d and %d failures, want a tab that goes on, and 2", tab.Closed(), rt.Stats().Failures)
		}
		broken := live.NewFeeds(rt, live.FeedsOptions{
			Topic: func(string) string { return "" }, Next: sabotage, Whole: sabotage,
		})
		if _, err := livetest.Connect(t, rt, listener{broken}); err == nil {
			t.Error("a feed without a name was joined")
		}
	})
}

func TestWrongFeedsAreRefusedInASentence(t *testing.T) {
	defer func() {
		if p := recover(); !strings.Contains(fmt.Sprint(p), "needs Topic, Next and Whole") {
			t.Errorf("got %v", p)
		}
	}()
	live.NewFeeds(live.NewRuntime(nil), live.FeedsOptions{})
}
