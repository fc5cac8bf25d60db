package app_test

import (
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/app"
	"lockstep/live/livetest"
	"lockstep/pubsub/mempubsub"
	"lockstep/state/memstate"
)

// wantShown wants texts in what a tab shows of a room beside the page's own.
func wantShown(t *testing.T, tab *livetest.Tab, topic string, want ...string) {
	t.Helper()
	got := strings.Join(strings.Fields(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(tab.Shown(topic).Content, " ")), " ")
	for _, text := range want {
		if !strings.Contains(got, text) {
			t.Errorf("%s shows %q, want %q in it", topic, got, text)
		}
	}
}

// TestATabShowsWhatIsAroundIt: the replicas, who is here and what they do, on all replicas.
func TestATabShowsWhatIsAroundIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one, two := start(t, bus, store, "one"), start(t, bus, store, "two")
		ann := livetest.Open(t, one.Runtime(), viewFor(t, one, app.Visitor{User: "ann"}, app.Lobby))
		livetest.Open(t, one.Runtime(), viewFor(t, one, app.Visitor{User: "ann"}, app.Lobby)) // a second tab
		bob := livetest.Open(t, two.Runtime(), viewFor(t, two, app.Visitor{User: "bob", UserName: "Bob B"}, app.Lobby))
		bob.Click(app.Lobby, "increment")
		time.Sleep(2 * time.Second)
		for _, tab := range []*livetest.Tab{ann, bob} {
			wantShown(t, tab, "people:"+app.Lobby, "2 people")
			wantShown(t, tab, "acts:"+app.Lobby, "Bob B added 1 via two")
			wantShown(t, tab, "replicas", "one", "2 tabs", "two", "1 tab")
		}
		wantShown(t, ann, "replicas", "one this tab")
		p, _, err := one.Page(t.Context(), app.Lobby, nil)
		if err != nil || len(p.Around.Replicas) != 2 || len(p.Around.People.First) != 2 || len(p.Around.Acts) != 1 {
			t.Errorf("a page begins with %+v, %v", p.Around, err)
		}

		if err := two.Stop(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		wantShown(t, ann, "replicas", "two gone")
		wantShown(t, ann, "people:"+app.Lobby, "1 person")
		wantShown(t, ann, "acts:"+app.Lobby, "Bob B added 1 via two")
	})
}

// TestAQuietTabIsSentNothing: nobody moves, so nobody is told anything of that.
func TestAQuietTabIsSentNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one, two := start(t, bus, store, "one"), start(t, bus, store, "two")
		ann := livetest.Open(t, one.Runtime(), viewFor(t, one, app.Visitor{User: "ann"}, app.Lobby))
		livetest.Open(t, two.Runtime(), viewFor(t, two, app.Visitor{User: "bob"}, app.Lobby))
		time.Sleep(5 * time.Second)
		before := len(ann.Messages())
		time.Sleep(time.Minute)
		for _, m := range ann.Messages()[before:] {
			if !strings.Contains(m, `"status"`) {
				t.Errorf("a quiet tab was sent %s", m)
			}
		}
	})
}
