//go:build js

package jslive_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"syscall/js"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/jslive"
	"lockstep/pubsub"
	"lockstep/pubsub/jspubsub"
)

// A note is the state of a room: a text that all tabs of this browser share.
type note struct {
	Text    string
	Version uint64
}

// Render makes a note a component; with templ, the generated code does.
func (n note) Render(_ context.Context, w io.Writer) error {
	_, err := fmt.Fprintf(w, `<p data-topic="note" data-epoch="1" data-version="%d">%q</p>`, n.Version, n.Text)
	return err
}

// notes is a view of the one note. It is what would run on a server, too.
type notes struct{ rooms *live.Rooms[note] }

func (v notes) Mount(ctx context.Context, s *live.Session) error { return v.rooms.Join(ctx, s, "note") }

func (v notes) HandleEvent(_ context.Context, s *live.Session, e htmx.Event) error {
	s.Refuse(e.Op, "a note is only read here", false)
	return nil
}

// The main function of a program that serves a view to the page that has
// started it in a worker, and that is in step with those in other tabs. The page
// posts {connect} with a MessagePort for each socket: see static/wasm/page.js.
func ExampleHandler_Serve() {
	rt := live.NewRuntime(nil)
	rt.Start()
	hub := pubsub.NewHub(jspubsub.New("notes"), nil)
	if err := hub.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	rooms := live.NewRooms(rt, hub, live.RoomsOptions[note]{
		Name:   "notes",
		Topic:  func(key string) string { return key },
		Render: func(_ string, n note) (string, live.Component) { return "#note", n },
		Order:  func(n note) (epoch, version uint64) { return 1, n.Version },
		Load:   func(context.Context, ...string) ([]note, error) { return []note{{Text: "hello"}}, nil }, // of a store
		Encode: func(n note) ([]byte, error) { return json.Marshal(n) },
		Decode: func(p []byte) (n note, err error) { return n, json.Unmarshal(p, &n) },
	})
	sockets := jslive.NewHandler(rt, nil)
	js.Global().Set("onmessage", js.FuncOf(func(_ js.Value, args []js.Value) any {
		sockets.Serve(args[0].Get("ports").Index(0), notes{rooms})
		return nil
	}))
	select {} // the browser ends the worker with its page
}

// The main function of a program that renders a page of a server: the server's
// rooms have Data, the page has static/replica.js and its switch.
func ExampleServeRender() {
	jslive.ServeRender(func(topic string, state []byte, waiting []htmx.Event, _ string) (string, live.Component, error) {
		var n note
		if err := json.Unmarshal(state, &n); err != nil {
			return "", nil, fmt.Errorf("%s: %w", topic, err)
		}
		for _, e := range waiting { // what the person has done, and the server not yet
			var in note
			if json.Unmarshal(e.In, &in) == nil { // what can't be read the server will refuse
				n.Text = in.Text
			}
		}
		return "#note", n, nil
	})
}
