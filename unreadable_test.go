package lockstep_test

import (
	"strings"
	"testing"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
)

// TestARoomWhoseStateCannotBeReadSaysSo: what is in the store is damaged, or a later version of the
// program has written it. The page is there, says so, and knows that it is not the newest.
func TestARoomWhoseStateCannotBeReadSaysSo(t *testing.T) {
	for name, c := range map[string]struct {
		data string
		add  func(a *lockstep.App) lockstep.Room
	}{
		"shared": {"{damaged", func(a *lockstep.App) lockstep.Room { return lockstep.Share(a, "x", showNumber).At("a") }},
		"list": {"{damaged", func(a *lockstep.App) lockstep.Room {
			return lockstep.Listing(a, "x", func(lockstep.Item[int]) templ.Component { return html("") }).At("a")
		}},
		"log": {"{damaged", func(a *lockstep.App) lockstep.Room {
			return lockstep.Logging(a, "x", 0, func(lockstep.Entry[int]) templ.Component { return html("") }).At("a")
		}},
		"a later schema": {"\x00\x63{}", func(a *lockstep.App) lockstep.Room { return lockstep.Share(a, "x", showNumber).At("a") }},
	} {
		t.Run(name, func(t *testing.T) {
			store := memstate.New(nil)
			damage(t, store, "x:a", c.data)
			a := lockstep.New(mempubsub.NewBus(), store, nil)
			var room lockstep.Room
			if err := start(t, a, func(a *lockstep.App) { room = c.add(a) }); err != nil {
				t.Fatal(err)
			}
			page := new(lockstep.Page)
			var b strings.Builder
			if err := room.Render(lockstep.WithPage(t.Context(), page), &b); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(b.String(), "This is not known yet.") || page.Err() == nil {
				t.Errorf("got %s, %v", b.String(), page.Err())
			}
		})
	}
}

// damage puts data into a store that no state has.
func damage(t *testing.T, store state.Store, topic, data string) {
	t.Helper()
	base, err := store.Read(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	move := state.Move{Client: state.Client{1}, To: state.Lane{Last: 1, From: 1}}
	outcomes := store.Commit(t.Context(), state.Step{Topic: topic, Base: base[0], Data: []byte(data), Moves: []state.Move{move}})
	if outcomes[0].Err != nil {
		t.Fatal(outcomes[0].Err)
	}
}
