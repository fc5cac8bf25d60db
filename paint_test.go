//go:build !js

package lockstep_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep"
	"lockstep/live"
	"lockstep/live/livetest"
	"lockstep/pubsub/mempubsub"
	"lockstep/state/memstate"
)

// painting has f use a replica with two tabs of three that are asked when they have painted.
func painting(t *testing.T, f func(t *testing.T, a *lockstep.App, tabs []*livetest.Tab)) {
	synctest.Test(t, func(t *testing.T) {
		a := lockstep.New(mempubsub.NewBus(), memstate.New(nil), &lockstep.Options{
			Logger: slog.New(slog.DiscardHandler), Fresh: 10 * time.Second, Live: live.Options{Painters: 2},
		})
		good(a)
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = a.Stop(context.Background(), 0) }()
		var tabs []*livetest.Tab
		for range 3 {
			view, err := a.View(lockstep.Visitor{User: "somebody"}, "good:a")
			if err != nil {
				t.Fatal(err)
			}
			tab := livetest.Open(t, a.Runtime(), view)
			tab.Send(`{"hello":2,"client":"` + tab.Client() + `"}`)
			tabs = append(tabs, tab)
		}
		time.Sleep(time.Second)
		f(t, a, tabs)
	})
}

// say has a tab say that it has painted what it shows, some time ago.
func say(tab *livetest.Tab, ago any) {
	at := tab.Shown("good:a")
	tab.Send(fmt.Sprintf(`{"cast":"_painted","t":"good:a","in":{"e":%d,"v":%d,"ago":%v}}`, at.Epoch, at.Version, ago))
}

func asked(tab *livetest.Tab) bool {
	return strings.Contains(strings.Join(tab.Messages(), "\n"), `{"paint":1}`)
}

// change has a state change, and waits until tabs show it.
func change(tab *livetest.Tab) {
	op := tab.Click("good:a", "act")
	tab.Until("the answer", func() bool { return tab.Acked(op) == 1 })
}

func TestARoomKnowsWhenItsTabsPaint(t *testing.T) {
	painting(t, func(t *testing.T, a *lockstep.App, tabs []*livetest.Tab) {
		if !asked(tabs[0]) || !asked(tabs[1]) || asked(tabs[2]) {
			t.Fatal("want that two tabs are asked, and the third is not")
		}
		change(tabs[0])
		time.Sleep(40 * time.Millisecond)
		say(tabs[0], 20)
		time.Sleep(100 * time.Millisecond)
		say(tabs[1], 0)
		say(tabs[2], 0)
		got := a.Runtime().Paints()
		want := live.Paint{Kind: "good", Topic: "good:a", Tabs: 2, Reports: 2, Worst: 140 * time.Millisecond, P99: 140 * time.Millisecond}
		if len(got) != 1 || got[0] != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		time.Sleep(2 * time.Minute)
		if got := a.Runtime().Paints(); len(got) != 0 {
			t.Errorf("got %+v, want that it is forgotten", got)
		}
		tabs[0].Disconnect()
		view, err := a.View(lockstep.Visitor{}, "good:a")
		if err != nil {
			t.Fatal(err)
		}
		next := livetest.Open(t, a.Runtime(), view)
		next.Send(`{"hello":2,"client":"` + next.Client() + `"}`)
		next.Until("the first frame", func() bool { return next.Shown("good:a").Content != "" })
		time.Sleep(30 * time.Millisecond)
		say(next, 0) // of a state that is older than the tab
		if got := a.Runtime().Paints(); !asked(next) || len(got) != 1 || got[0].Worst != 30*time.Millisecond {
			t.Errorf("got %+v, want that the next tab is asked, and its time counts from then", got)
		}
	})
}

func TestATabCanNotSayWhatItLikes(t *testing.T) {
	painting(t, func(t *testing.T, a *lockstep.App, tabs []*livetest.Tab) {
		change(tabs[0])
		time.Sleep(10 * time.Millisecond)
		for _, ago := range []any{-1, 30_001, 1e300, `"1"`, "null,\"v\":7"} {
			say(tabs[0], ago)
		}
		tabs[0].Send(`{"cast":"_painted","t":"good:b","in":{"e":0,"v":0,"ago":0}}`)
		tabs[0].Send(`{"cast":"_painted","t":"good:a","in":{"e":1,"v":9007199254740993,"ago":0}}`)
		tabs[0].Send(`{"cast":"_painted","t":"good:a"}`)
		time.Sleep(time.Second)
		if got := a.Runtime().Paints(); len(got) != 0 {
			t.Fatalf("got %+v, want nothing", got)
		}
		for range 1000 { // faster than a tab may
			say(tabs[0], 0)
		}
		if got := a.Runtime().Paints(); len(got) != 1 || got[0].Reports != 1 {
			t.Errorf("got %+v, want one report", got)
		}
		// The worst that a tab can say, for a long time: what comes of it is a number.
		for range 60 {
			change(tabs[1])
			time.Sleep(29 * time.Second)
			say(tabs[0], 0)
			if err := a.Ready(context.Background()); err != nil || len(a.Runtime().Degraded()) > 0 {
				t.Fatalf("a tab has made the replica say %v", err)
			}
		}
		if got := a.Runtime().Paints(); len(got) != 1 || got[0].Worst > 30*time.Second || got[0].Worst < 28*time.Second {
			t.Errorf("got %+v", got)
		}
		if tabs[0].Reason() != 0 {
			t.Error("the tab was closed")
		}
	})
}
