//go:build js

// Command wasm is the whole application inside a browser: it runs in a worker
// of each tab, keeps the counters in IndexedDB and hears the other tabs over a
// BroadcastChannel, so that every tab is a replica. Its page, static/wasm/page.js,
// hands it a port for each socket that htmx opens.
//
// With the arguments "app" and the name of a counter it posts {page, title} with
// the body of the counter's page, or {failure, detail}: a sentence for the person
// at it, and the cause for the console.
//
// With the argument "render" it is less: what a tab needs that renders itself, but
// is served by a server. See static/replica.js.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall/js"
	"time"

	"lockstep/app"
	"lockstep/components"
	"lockstep/counter"
	"lockstep/counter/idbcounter"
	"lockstep/live/jslive"
	"lockstep/pubsub"
	"lockstep/pubsub/jspubsub"
)

// place names the database and the channel, so that they are apart from those
// of other programs of the same origin.
const place = "lockstep"

// startTimeout bounds the start: what takes longer does not come.
const startTimeout = 15 * time.Second

func main() {
	var err error
	switch args := os.Args[1:]; {
	case len(args) == 2 && args[0] == "app":
		err = run(args[1])
	case len(args) == 1 && args[0] == "render":
		jslive.ServeRender(app.Render)
	default:
		err = fmt.Errorf("the program was started with %q", args)
	}
	if err == nil {
		return
	}
	f := failure{said: "The application could not be started.", err: err}
	errors.As(err, &f)
	js.Global().Call("postMessage", map[string]any{"failure": f.said, "detail": f.err.Error()})
}

// A failure is an error with what the person at the page is told of it.
type failure struct {
	said string
	err  error
}

func (f failure) Error() string { return f.said }
func (f failure) Unwrap() error { return f.err }

// run serves the tab until it is closed.
func run(name string) error {
	if !counter.ValidName(name) {
		return failure{"There is no counter of that name: a name is 1 to 64 letters, digits and dashes.", counter.ErrBadName}
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	store := idbcounter.New(place, nil)
	defer func() { _ = store.Close() }() // it never fails
	opened := make(chan error, 1)
	go func() { // while the application starts: the browser takes a while for its first transaction
		_, err := store.Get(ctx, name)
		opened <- err
	}()
	a := app.New(jspubsub.New(place), store, &app.Options{Replica: replica(), Hub: pubsub.Options{ProbeInterval: -1}})
	if err := a.Start(ctx); err != nil {
		return failure{"The tabs of this browser can not hear each other here: it has no BroadcastChannel, or forbids it.", err}
	}
	if err := <-opened; err != nil {
		return failure{"The count can not be kept here: this browser has no IndexedDB, or does not let this page use it.", err}
	}
	t := newTab(a, jslive.NewHandler(a.Runtime(), nil))
	defer t.stop()
	if err := t.show(ctx, name); err != nil {
		return err
	}
	<-t.left
	return nil
}

// replica is a name for this tab that the others don't have.
func replica() string { return "tab " + strconv.FormatUint(uint64(rand.Uint32()), 36) }

// A tab is the page that the application serves.
type tab struct {
	app     *app.App
	sockets *jslive.Handler
	hear    js.Func
	left    chan struct{} // of size 1: the page goes away
}

func newTab(a *app.App, sockets *jslive.Handler) *tab {
	t := &tab{app: a, sockets: sockets, left: make(chan struct{}, 1)}
	t.hear = js.FuncOf(t.heard)
	js.Global().Set("onmessage", t.hear)
	return t
}

// heard is called for each message of the page: {connect: name} with a port,
// or {leave: true}. What is neither is ignored. It must not panic.
func (t *tab) heard(_ js.Value, args []js.Value) any {
	data := args[0].Get("data")
	if data.Type() != js.TypeObject {
		return nil
	}
	if data.Get("leave").Truthy() {
		select {
		case t.left <- struct{}{}:
		default: // it has said so before
		}
		return nil
	}
	if name := data.Get("connect"); name.Type() == js.TypeString && counter.ValidName(name.String()) {
		t.sockets.Serve(args[0].Get("ports").Index(0), t.app.Counter(name.String()))
	}
	return nil
}

// show has the page of a counter shown.
func (t *tab) show(ctx context.Context, name string) error {
	p := t.app.CounterPage(ctx, name)
	p.Socket = "socket/" + name
	p.Links = components.Links{Home: "./", Open: "./", Click: "./"}
	var b bytes.Buffer
	if err := components.CounterBody(p).Render(ctx, &b); err != nil {
		return fmt.Errorf("the page can't be shown: %w", err)
	}
	js.Global().Call("postMessage", map[string]any{"page": b.String(), "title": p.Title()})
	return nil
}

// stop says goodbye to the other tabs.
func (t *tab) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = t.app.Stop(ctx, 0) // the browser ends the worker in any case
	t.sockets.Close()
	js.Global().Set("onmessage", js.Null())
	t.hear.Release()
}
