package live_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/livetest"
)

// A greeting is a component: anything with templ's Render will do.
type greeting string

func (g greeting) Render(_ context.Context, w io.Writer) error {
	_, err := fmt.Fprintf(w, "<p>%s</p>", string(g))
	return err
}

// A board is a view of one room: a text that every tab shows and anybody sets.
type board struct{ rooms *live.Rooms[string] }

func (b board) Mount(ctx context.Context, s *live.Session) error {
	return b.rooms.Join(ctx, s, "board")
}

func (b board) HandleEvent(_ context.Context, s *live.Session, e htmx.Event) error {
	if e.Kind != htmx.OpEvent || e.Do != "shout" {
		s.Refuse(e.Op, "unknown action", false)
		return nil
	}
	var in struct{ Text string }
	if err := json.Unmarshal(e.In, &in); err != nil {
		s.Refuse(e.Op, "that is not a text", false)
		return nil
	}
	b.rooms.Commit("board", strings.ToUpper(in.Text)) // shown in every tab
	b.rooms.Ack(s, "board", e.Op)                     // in or after that frame
	return nil
}

// The states of this room live in one replica only: there is no store to load
// from and nothing to broadcast. app/shared.go has rooms with both.
func ExampleRooms() {
	rt := live.NewRuntime(nil)
	rt.Start()
	defer rt.Stop()
	rooms := live.NewRooms(rt, nil, live.RoomsOptions[string]{
		Topic:  func(key string) string { return key },
		Render: func(_ string, s string) (string, live.Component) { return "#board", greeting(s) },
	})

	t := &testing.T{} // a test has its own
	one, other := livetest.Open(t, rt, board{rooms}), livetest.Open(t, rt, board{rooms})
	op := one.Do("board", "shout", `{"text":"hello"}`)
	other.Until("the text", func() bool { return other.Shown("board").Content != "" })
	one.Until("the answer", func() bool { return one.Acked(op) == 1 })
	fmt.Println(other.Shown("board").Content)
	// Output: <hx-partial hx-target="#board" hx-swap="innerMorph"><p>HELLO</p></hx-partial>
}
