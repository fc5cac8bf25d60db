package lockstep_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/live"
	"lockstep/live/livetest"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
)

type hits struct{ N int64 }

type by struct{ By int64 }

func number(h hits) templ.Component {
	return templ.ComponentFunc(func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, "<b>"+strconv.FormatInt(h.N, 10)+"</b>")
		return err
	})
}

// A site is a replica with one kind.
type site struct {
	*lockstep.App
	hits *lockstep.Shared[hits]
}

// open starts a replica; change changes its options.
func open(t *testing.T, d driver.Driver, store state.Store, change func(o *lockstep.Options)) site {
	t.Helper()
	o := &lockstep.Options{Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(o)
	}
	a := lockstep.New(d, store, o)
	s := site{a, lockstep.Share(a, "hits", number)}
	lockstep.On(s.hits, "hit", func(h hits, in by, c lockstep.Call) (hits, error) {
		if in.By < 0 {
			return h, lockstep.Refused("forwards only")
		}
		c.Tell(lockstep.Flash("thank you, " + c.UserName))
		h.N += max(in.By, 1)
		return h, nil
	})
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.Background(), 0); err != nil {
			t.Error(err)
		}
	})
	return s
}

// soon lets what was begun come to its end.
func soon() { time.Sleep(time.Second) }

func TestWhatIsDoneFromOutsideCountsOnceForItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one, two := open(t, bus, store, nil), open(t, bus, store, nil)
		for i, c := range []struct {
			at   site
			in   any
			how  lockstep.Doing
			want int64
			err  error
		}{
			{one, nil, lockstep.Doing{}, 1, nil},
			{one, nil, lockstep.Doing{}, 2, nil},
			{one, by{By: 5}, lockstep.Doing{Key: "event 7"}, 7, nil},
			{two, &by{By: 5}, lockstep.Doing{Key: "event 7"}, 7, nil}, // another replica is told the same
			{two, state.Fields{"by": {"3"}}, lockstep.Doing{Key: "event 8"}, 10, nil},
			{two, by{By: -1}, lockstep.Doing{Key: "event 9"}, 10, lockstep.Refused("forwards only")},
			{one, by{By: 1}, lockstep.Doing{Key: "event 9"}, 10, lockstep.Refused("forwards only")}, // the answer that it had
		} {
			if err := c.at.hits.Do(t.Context(), "x", "hit", c.in, c.how); !errors.Is(err, c.err) {
				t.Errorf("%d: got %v, want %v", i, err, c.err)
			}
			if got, err := one.hits.Read(t.Context(), "x"); err != nil || got.N != c.want {
				t.Errorf("%d: got %+v, %v, want %d", i, got, err, c.want)
			}
		}
		if err := one.hits.Do(t.Context(), "a key with blanks", "hit", nil, lockstep.Doing{}); !errors.Is(err, lockstep.ErrNoTopic) {
			t.Errorf("got %v for a key that can't be", err)
		}
		if err := one.hits.Do(t.Context(), "x", "hit", 7, lockstep.Doing{}); err == nil {
			t.Error("a number is taken for the input of an action")
		}
	})
}

// TestAWatchSeesTheNewest, wherever it was made, and ends with its context or the application.
func TestAWatchSeesTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one, two := open(t, bus, store, nil), open(t, bus, store, nil)
		ctx, cancel := context.WithCancel(t.Context())
		seen, ended := make(chan int64, 100), make(chan struct{})
		go func() {
			defer close(ended)
			for h := range one.hits.Watch(ctx, "x") {
				seen <- h.N
			}
		}()
		soon()
		for range 3 {
			if err := two.hits.Do(t.Context(), "x", "hit", nil, lockstep.Doing{}); err != nil {
				t.Fatal(err)
			}
			soon()
		}
		cancel()
		<-ended
		close(seen)
		last := int64(-1)
		for n := range seen {
			if n <= last {
				t.Errorf("it saw %d after %d", n, last)
			}
			last = n
		}
		if last != 3 {
			t.Errorf("it saw %d last, want 3", last)
		}
		if rt := one.Runtime(); rt.Stats().Accepted != rt.Closed(live.ReasonAnswered) {
			t.Errorf("of %d sessions %d have ended", rt.Stats().Accepted, rt.Closed(live.ReasonAnswered))
		}
	})
}

func tabOf(t *testing.T, s site, u lockstep.User, topics ...string) *livetest.Tab {
	t.Helper()
	v, err := s.View(lockstep.Visitor{User: u.ID, UserName: u.Name}, topics...)
	if err != nil {
		t.Fatal(err)
	}
	return livetest.Open(t, s.Runtime(), v)
}

// has reports whether one of a tab's messages has a text.
func has(tab *livetest.Tab, text string) bool {
	for _, m := range tab.Messages() {
		if strings.Contains(m, text) {
			return true
		}
	}
	return false
}

// TestTheTabThatActedIsTold, and no other; and a program tells all of a user, on all replicas.
func TestTheTabThatActedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one, two := open(t, bus, store, nil), open(t, bus, store, nil)
		ann, other := tabOf(t, one, lockstep.User{ID: "ann", Name: "Ann"}, "hits:x"), tabOf(t, two, lockstep.User{ID: "ann"}, "hits:x")
		bob := tabOf(t, two, lockstep.User{ID: "bob"}, "hits:x")
		soon()
		op := ann.Click("hits:x", "hit")
		soon()
		ann.Again(op)
		soon()
		if ann.Acked(op) != 2 || !has(ann, `"tell":[["flash","thank you, Ann"]]`) {
			t.Errorf("got %v", ann.Messages())
		}
		told := 0
		for _, m := range ann.Messages() {
			if strings.Contains(m, "flash") {
				told++
			}
		}
		if told != 1 || has(other, "flash") || has(bob, "flash") {
			t.Errorf("it was told %d times, and others were: %v", told, has(other, "flash") || has(bob, "flash"))
		}
		if err := one.Tell(t.Context(), "ann", lockstep.Navigate("/done"), lockstep.Event("seen", map[string]int{"n": 7})); err != nil {
			t.Fatal(err)
		}
		soon()
		const want = `"tell":[["navigate","/done"],["event","seen",{"n":7}]]`
		if !has(ann, want) || !has(other, want) || has(bob, "navigate") {
			t.Errorf("got %v and %v", other.Messages(), bob.Messages())
		}
	})
}

// TestWhoMayNotSeesNothing, does nothing, and is told why; and what was allowed can be taken back.
func TestWhoMayNotSeesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		banned := make(chan string, 1) // the user, if somebody is
		allow := func(o *lockstep.Options) {
			o.See = func(_ context.Context, u lockstep.User, topic string) error {
				select {
				case user := <-banned:
					banned <- user
					if user == u.ID {
						return lockstep.Refused("you were sent away")
					}
				default:
				}
				if topic == "hits:secret" && u.ID != "ann" {
					return lockstep.ErrNotAllowed
				}
				return nil
			}
			o.Act = func(_ context.Context, u lockstep.User, _, action string) error {
				if action == "panic" {
					panic("no idea")
				}
				if u.ID == "" {
					return lockstep.Refused("log in first")
				}
				return nil
			}
		}
		one, two := open(t, bus, store, allow), open(t, bus, store, allow)
		ann := tabOf(t, one, lockstep.User{ID: "ann"}, "hits:secret")
		bob := tabOf(t, two, lockstep.User{ID: "bob"}, "hits:secret", "hits:open")
		nobody := tabOf(t, two, lockstep.User{}, "hits:open")
		soon()
		if !strings.Contains(ann.Shown("hits:secret").Content, "<b>0</b>") || strings.Contains(bob.Shown("hits:secret").Content, "<b>") || !has(bob, "you may not do that") {
			t.Errorf("got %+v and %+v", ann.Shown("hits:secret"), bob.Shown("hits:secret"))
		}
		if op := bob.Click("hits:secret", "hit"); true {
			soon()
			if bob.Refused(op) != "you may not do that" {
				t.Errorf("got %q", bob.Refused(op))
			}
		}
		if op := nobody.Click("hits:open", "hit"); true {
			soon()
			if nobody.Refused(op) != "log in first" {
				t.Errorf("got %q", nobody.Refused(op))
			}
		}
		if op := bob.Click("hits:open", "panic"); true {
			soon()
			if bob.Retried(op) == "" || bob.Closed() != 0 {
				t.Errorf("got %q, and the tab is closed: %v", bob.Retried(op), bob.Reason())
			}
		}
		banned <- "bob"
		if err := one.Recheck(t.Context(), "bob"); err != nil {
			t.Fatal(err)
		}
		soon()
		if err := one.hits.Do(t.Context(), "open", "hit", nil, lockstep.Doing{}); err != nil {
			t.Fatal(err)
		}
		soon()
		if strings.Contains(bob.Shown("hits:open").Content, "<b>1</b>") || !has(bob, "you were sent away") || !strings.Contains(nobody.Shown("hits:open").Content, "<b>1</b>") {
			t.Errorf("got %+v for who was sent away, and %+v for others", bob.Shown("hits:open"), nobody.Shown("hits:open"))
		}
	})
}

// TestAProgramThatLooksOnIsNoTab: nobody counts it, and who sends tabs away leaves it alone.
func TestAProgramThatLooksOnIsNoTab(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := open(t, mempubsub.NewBus(), memstate.New(nil), nil)
		ctx, cancel := context.WithCancel(t.Context())
		var got []int64
		var watching sync.WaitGroup
		watching.Go(func() { // ends with ctx
			for h := range one.hits.Watch(ctx, "x") {
				got = append(got, h.N)
			}
		})
		soon()
		rt := one.Runtime()
		if n := rt.Stats().Sessions; n != 0 {
			t.Errorf("%d tabs are connected, want none", n)
		}
		if n, err := rt.CloseTopic(t.Context(), one.hits.At("x").Topic(), 0); n != 0 || err != nil {
			t.Errorf("%d tabs were sent away, and %v", n, err)
		}
		if err := one.hits.Do(t.Context(), "x", "hit", by{}, lockstep.Doing{}); err != nil {
			t.Fatal(err)
		}
		soon()
		cancel()
		watching.Wait()
		if !slices.Equal(got, []int64{0, 1}) {
			t.Errorf("it saw %v, want 0 and 1", got)
		}
		if n := rt.Stats().Sessions; n != 0 {
			t.Errorf("%d tabs are connected after it has gone, want none", n)
		}
	})
}
