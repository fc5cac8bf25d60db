package app_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/app"
	"lockstep/live/livetest"
	"lockstep/pubsub/mempubsub"
	"lockstep/state/memstate"
)

const board = "soft:studio"

// atBoard opens a tab of a user at a board.
func atBoard(t *testing.T, a *app.App, user string, topics ...string) *livetest.Tab {
	t.Helper()
	return livetest.Open(t, a.Runtime(), viewFor(t, a, app.Visitor{User: user}, append(topics, board)...))
}

func cast(tab *livetest.Tab, in string) {
	tab.Send(`{"cast":"here","t":"` + board + `","in":` + in + `}`)
}

// atBoards replays what a tab was sent: what it shows of the board.
func atBoards(t *testing.T, tab *livetest.Tab) map[string]app.Spot {
	t.Helper()
	all := make(map[string]app.Spot)
	begun := uint64(0)
	for _, m := range tab.Messages() {
		var message struct {
			T    string
			Soft *struct {
				N    uint64
				All  bool
				Is   map[string]app.Spot
				Gone []string
			}
		}
		if err := json.Unmarshal([]byte(m), &message); err != nil {
			t.Fatal(err)
		}
		s := message.Soft
		switch {
		case s == nil || message.T != board:
			continue
		case s.All:
			clear(all)
			begun = s.N
		case s.N <= begun:
			continue
		}
		for _, owner := range s.Gone {
			delete(all, owner)
		}
		maps.Copy(all, s.Is)
	}
	return all
}

func wantBoard(t *testing.T, want map[string]app.Spot, tabs ...*livetest.Tab) {
	t.Helper()
	for i, tab := range tabs {
		if got := atBoards(t, tab); !maps.Equal(got, want) {
			t.Errorf("tab %d shows %v, want %v", i, got, want)
		}
	}
}

// soon is longer than what a cast needs to be seen everywhere.
func soon() { time.Sleep(time.Second) }

func TestWhatIsCastAtABoardIsSeenOnAllReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, store := mempubsub.NewBus(), memstate.New(nil)
		one, two := start(t, bus, store, "one"), start(t, bus, store, "two")
		a, b := atBoard(t, one, "ann"), atBoard(t, two, "bob")
		cast(a, `{"tab":"t1","x":500,"y":250}`)
		cast(b, `{"tab":"t2","types":true}`)
		soon()
		wantBoard(t, map[string]app.Spot{"ann.t1": {X: 500, Y: 250}, "bob.t2": {Types: true}}, a, b)
		late := atBoard(t, one, "cat", "counter:lobby")
		soon()
		wantBoard(t, map[string]app.Spot{"ann.t1": {X: 500, Y: 250}, "bob.t2": {Types: true}}, late)
		cast(a, `{"tab":"t1"}`) // neither on the board nor typing
		b.Disconnect()
		soon()
		wantBoard(t, map[string]app.Spot{}, a, late)
		if got := recordOf(t, store, board); got.Version != 0 || got.Data != nil {
			t.Errorf("got %+v in the store, want nothing", got)
		}
	})
}

// TestATabHasOnePlaceAtABoard, in its own person's name.
func TestATabHasOnePlaceAtABoard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, mempubsub.NewBus(), memstate.New(nil), "one")
		tab := atBoard(t, a, "eve")
		for i := range 40 {
			cast(tab, fmt.Sprintf(`{"tab":"t%d","x":1,"y":1}`, i))
			time.Sleep(100 * time.Millisecond)
		}
		for _, in := range []string{
			`{"tab":"","x":2,"y":2}`, `{"x":2,"y":2}`, `{"tab":"UPPER","x":2,"y":2}`, `{"tab":"a.b","x":2,"y":2}`, `{"tab":"abcdefghijklm","x":2,"y":2}`,
			`{"tab":"t39","x":1.5,"y":2}`, `{"tab":"t39","x":"2","y":2}`, `[]`, `null`, `7`,
		} {
			cast(tab, in)
		}
		tab.Send(`{"cast":"there","t":"` + board + `","in":{"tab":"t39","x":2,"y":2}}`)
		tab.Send(`{"cast":"here","t":"soft:other","in":{"tab":"t39","x":2,"y":2}}`)
		tab.Send(`{"cast":"here","t":"counter:lobby","in":{"tab":"t39","x":2,"y":2}}`)
		soon()
		wantBoard(t, map[string]app.Spot{"eve.t39": {X: 1, Y: 1}}, tab)
		for _, in := range []string{`"x":1001,"y":1`, `"x":-1,"y":1`, `"x":1,"y":0`, `"x":0,"y":5,"types":true`} {
			cast(tab, `{"tab":"t39","x":1,"y":1}`)
			cast(tab, `{"tab":"t39",`+in+`}`)
			soon()
			wantBoard(t, map[string]app.Spot{}, tab)
		}
		if tab.Closed() != 0 {
			t.Errorf("the tab was closed: %v", tab.Reason())
		}
	})
}

// TestATabThatCastsTooOftenIsSlowedDown: an honest one at the same board is not.
func TestATabThatCastsTooOftenIsSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, mempubsub.NewBus(), memstate.New(nil), "one")
		eve, ann := atBoard(t, a, "eve"), atBoard(t, a, "ann")
		for i := range 10_000 { // for ten seconds
			cast(eve, fmt.Sprintf(`{"tab":"t","x":%d,"y":1}`, i%1000+1))
			if i%100 == 0 {
				cast(ann, fmt.Sprintf(`{"tab":"t","x":%d,"y":2}`, i/100+1))
			}
			time.Sleep(time.Millisecond)
		}
		soon()
		if got := a.Boards().Sets; got > 10*25+50+100 {
			t.Errorf("got %d values set, want 25 a second of one tab, and 10 of the other", got)
		}
		if got := atBoards(t, ann)["ann.t"]; got != (app.Spot{X: 100, Y: 2}) {
			t.Errorf("got %v of the honest tab, want what it has cast last", got)
		}
	})
}

func TestABoardTakesNoOps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstate.New(nil)
		a := start(t, mempubsub.NewBus(), store, "one")
		tab := atBoard(t, a, "ann")
		op := tab.Click(board, "increment")
		tab.Until("the refusal", func() bool { return tab.Refused(op) != "" })
		tab.Send(`{"fin":["` + tab.Client() + `",1],"t":"` + board + `"}`)
		soon()
		if _, err := a.Do(t.Context(), app.Visitor{}, board, form("increment")); err == nil {
			t.Error("an op of a board was taken")
		}
		p, content, err := a.Page(t.Context(), board, nil)
		if err != nil || p.Kind != "board" || p.Name != "studio" {
			t.Fatalf("got %+v, %v, want the page of a board", p, err)
		}
		var b strings.Builder
		if err := content.Document(p).Render(t.Context(), &b); err != nil || !strings.Contains(b.String(), `data-topic="`+board+`"`) {
			t.Errorf("got %v and %s", err, b.String())
		}
		if _, _, err := a.Page(t.Context(), "soft:NO", nil); err == nil {
			t.Error("there is a page of a name that can't be one")
		}
	})
}

// An address is a sender: all who come from one address.
type address string

func (c address) Share() any   { return c }
func (address) NewTopic() bool { return true }
func (address) TakeLane() bool { return true }
func (address) OweLanes(int)   {}
func (address) ReturnLane()    {}

// TestAnAddressFillsNoBoard: who opens very many tabs, each as somebody else, keeps nobody out.
func TestAnAddressFillsNoBoard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, mempubsub.NewBus(), memstate.New(nil), "one")
		open := func(user string, from address) *livetest.Tab {
			return livetest.Open(t, a.Runtime(), viewFor(t, a, app.Visitor{User: user, Sender: from}, board))
		}
		for i := range 1100 {
			cast(open(fmt.Sprintf("u%d", i), "evil"), `{"tab":"t","x":1,"y":1}`)
		}
		ann := open("ann", "elsewhere")
		cast(ann, `{"tab":"t","x":5,"y":5}`)
		soon()
		if got := atBoards(t, ann)["ann.t"]; got != (app.Spot{X: 5, Y: 5}) {
			t.Errorf("somebody else is not seen; the board shows %d", len(atBoards(t, ann)))
		}
	})
}
