package live_test

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/livetest"
)

// statuses returns what a tab was told, without what only repeats it.
func statuses(tab *livetest.Tab) (all []string) {
	for _, m := range tab.Messages() {
		for _, s := range []string{"live", "degraded"} {
			if strings.Contains(m, `"status":"`+s+`"`) && (len(all) == 0 || all[len(all)-1] != s) {
				all = append(all, s)
			}
		}
	}
	return all
}

func healthy(t *testing.T, o *live.Options) (*live.Runtime, *livetest.Tab) {
	rt := live.NewRuntime(o)
	rt.Start()
	tab := livetest.Open(t, rt, viewFunc(func(*live.Session) error { return nil }))
	synctest.Wait()
	return rt, tab
}

var errAway = errors.New("away")

func TestOneFailureIsNoFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, tab := healthy(t, nil)
		defer rt.Stop()
		for range 100 {
			rt.Report("store", errAway)
			time.Sleep(400 * time.Millisecond)
			rt.Report("store", nil)
			if rt.Err() != nil {
				t.Fatalf("got %v for less than half a second", rt.Err())
			}
			time.Sleep(time.Second)
		}
		if got := statuses(tab); len(got) != 1 {
			t.Errorf("a tab was told %q", got)
		}
	})
}

func TestAFaultThatLastsIsSaidAfterHalfASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, tab := healthy(t, nil)
		defer rt.Stop()
		began := time.Now()
		rt.Report("store", errAway)
		tab.Until("degraded", func() bool { return tab.Status() == "degraded" })
		if d := time.Since(began); d != 500*time.Millisecond {
			t.Errorf("told after %v, want half a second", d)
		}
		if err := rt.Err(); !errors.Is(err, errAway) || !slices.Equal(rt.Degraded(), []string{"store"}) || rt.Status() != htmx.Degraded {
			t.Errorf("got %v, %q and %q", err, rt.Degraded(), rt.Status())
		}
		time.Sleep(10 * time.Second)
		began = time.Now()
		rt.Report("store", nil)
		tab.Until("live", func() bool { return tab.Status() == "live" })
		if d := time.Since(began); d != 2*time.Second || rt.Err() != nil {
			t.Errorf("told after %v with %v, want two seconds and nothing", d, rt.Err())
		}
	})
}

// Two kinds of rooms read one store: one by a query that fails.
func TestOneSourceDoesNotSpeakForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		rt, tab := healthy(t, &live.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		defer rt.Stop()
		for range 60 {
			rt.ReportOf("store", "polls", errAway)
			time.Sleep(600 * time.Millisecond)
			rt.ReportOf("store", "counters", nil)
			time.Sleep(600 * time.Millisecond)
		}
		if got := statuses(tab); !slices.Equal(got, []string{"live", "degraded"}) {
			t.Errorf("a tab was told %q, want that it is degraded, once", got)
		}
		if got := rt.Degraded(); !slices.Equal(got, []string{"store"}) {
			t.Errorf("got %q, want the part once", got)
		}
		if err := rt.Err(); err == nil || !strings.Contains(err.Error(), "store (polls): away") {
			t.Errorf("got %v, want an error that names the source", err)
		}
		rt.ReportOf("store", "counters", errAway)
		time.Sleep(time.Second)
		if got := rt.Degraded(); !slices.Equal(got, []string{"store"}) {
			t.Errorf("got %q, want the part once", got)
		}
		rt.ReportOf("store", "counters", nil)
		time.Sleep(time.Minute)
		if rt.Err() == nil {
			t.Error("a part is well though one source says that it is not")
		}
		synctest.Wait() // nobody writes to the log
		if got := strings.Count(log.String(), "msg=degraded"); got != 2 {
			t.Errorf("got %d lines of log, want one for each source:\n%s", got, log.String())
		}
	})
}

// Whatever it is that comes and goes.
func TestATabIsToldAtMostOnceInAFewSeconds(t *testing.T) {
	for _, period := range []time.Duration{100 * time.Millisecond, 1150 * time.Millisecond, 5 * time.Second, 7 * time.Second} {
		t.Run(period.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt, tab := healthy(t, nil)
				defer rt.Stop()
				began := time.Now()
				for time.Since(began) < 10*time.Minute {
					rt.Report("broker", errAway)
					time.Sleep(period / 2)
					rt.Report("broker", nil)
					time.Sleep(period / 2)
				}
				if got, limit := len(statuses(tab)), int(10*time.Minute/(3*time.Second))+1; got > limit {
					t.Errorf("a tab was told %d times in ten minutes, want at most %d", got, limit)
				}
				time.Sleep(10 * time.Second)
				if got := statuses(tab); got[len(got)-1] != "live" || rt.Err() != nil {
					t.Errorf("got %q and %v in the end, want live", got[len(got)-1], rt.Err())
				}
			})
		})
	}
}

func TestATabThatComesIsToldWhatTheOthersKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, _ := healthy(t, nil)
		defer rt.Stop()
		rt.Report("broker", errAway)
		time.Sleep(time.Second)
		late := livetest.Open(t, rt, viewFunc(func(*live.Session) error { return nil }))
		late.Until("its welcome", func() bool { return late.Status() == "degraded" })
	})
}

// A read that fails is tried again before anybody calls that a fault; and a
// replica that gets no tabs, because it is not ready, learns that it is.
func TestAFailedReadIsTriedAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		r := start(store, newHub(), nil)
		defer r.rt.Stop()
		time.Sleep(time.Minute)
		store.fail(errAway)
		if _, _, err := r.rooms.Read(t.Context(), "a"); err == nil {
			t.Error("got no error")
		}
		store.fail(nil)
		time.Sleep(10 * time.Second)
		if err := r.rt.Err(); err != nil {
			t.Errorf("got %v after one failed read", err)
		}
		store.fail(errAway)
		if _, _, err := r.rooms.Read(t.Context(), "a"); err == nil {
			t.Error("got no error")
		}
		time.Sleep(10 * time.Second)
		if r.rt.Err() == nil {
			t.Error("got nothing while every read fails")
		}
		before := store.count()
		time.Sleep(time.Minute)
		if got := store.count() - before; got > 60*8 {
			t.Errorf("got %d reads in a minute of a store that is away", got)
		}
		store.fail(nil)
		time.Sleep(3 * time.Second)
		if err := r.rt.Err(); err != nil {
			t.Errorf("got %v, 3 s after the store has come back and without any tab", err)
		}
	})
}
