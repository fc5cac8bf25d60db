package live_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/live"
	"lockstep/live/livetest"
)

func TestWhatIsShownIsAsOldAsTheNewestReadOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil, func(o *live.RoomsOptions[state]) { o.Refresh, o.Digest = time.Minute, time.Hour })
		defer r.rt.Stop()
		time.Sleep(time.Second)
		if got := r.rt.Age(); got != 0 {
			t.Errorf("got %s where nobody is shown anything", got)
		}
		livetest.Open(t, r.rt, page{r, "a"})
		synctest.Wait()
		time.Sleep(10 * time.Second)
		if got := r.rt.Age(); got != 10*time.Second {
			t.Errorf("got %s, 10s after the page was opened", got)
		}
		livetest.Open(t, r.rt, page{r, "b"})
		synctest.Wait()
		if got := r.rt.Age(); got != 10*time.Second {
			t.Errorf("got %s, want that of the older of two rooms", got)
		}
		time.Sleep(70 * time.Second) // anti-entropy comes within 75
		if got := r.rt.Age(); got > 60*time.Second {
			t.Errorf("got %s after anti-entropy", got)
		}
	})
}

func TestAPromiseOfFreshnessThatDoesNotHoldIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(newStore(), newHub(), nil, func(o *live.RoomsOptions[state]) {
			o.Refresh, o.Digest, o.Fresh = time.Minute, time.Hour, 20*time.Second
		})
		defer r.rt.Stop()
		time.Sleep(time.Minute)
		if err := r.rt.Err(); err != nil {
			t.Errorf("got %v where nobody is shown anything", err)
		}
		tab := livetest.Open(t, r.rt, page{r, "a"})
		time.Sleep(15 * time.Second)
		if err := r.rt.Err(); err != nil {
			t.Errorf("got %v, 15s after a read", err)
		}
		tab.Until("that it may be stale", func() bool { return r.rt.Err() != nil && strings.Contains(r.rt.Err().Error(), "20s is promised") })
		tab.Until("the badge", func() bool { got := statuses(tab); return len(got) > 0 && got[len(got)-1] == "degraded" })
		for waited := 0; r.rt.Err() != nil; waited++ { // for anti-entropy
			if waited == 90 {
				t.Fatalf("got %v for ever", r.rt.Err())
			}
			time.Sleep(time.Second)
		}
	})
}
