//go:build js

// Package jsmain is what programs for browsers have in common, whatever their
// application: the other end of static/wasm/page.js, which runs the whole
// application in a worker of each tab, so that every tab is a replica; and of
// static/replica.js, by which a tab that is served by a server renders itself. It
// knows no pages and chooses no store: its Example is such a program.
package jsmain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"syscall/js"
	"time"

	"lockstep/live"
	"lockstep/live/jslive"
)

// startTimeout bounds the start: what takes longer does not come.
const startTimeout = 15 * time.Second

// stopTimeout bounds the goodbye. The browser ends the worker in any case.
const stopTimeout = time.Second

// A Program is an application for Run. Nil leaves out what a page may ask for.
type Program struct {
	// Start starts the application in this browser. Its error ends the program.
	Start func(ctx context.Context) (App, error)
	// Render renders for a tab of a server.
	Render jslive.Render
}

// An App is an application that has been started. All fields are needed.
type App struct {
	// Runtime is what the sockets of the page are connected to.
	Runtime *live.Runtime
	// View returns the view of a socket of topics, or nil when there is none. It must
	// not block.
	View func(topics ...string) live.View
	// Page returns what the document shows. The address of its socket is "socket/"
	// and the topics, with commas between them.
	Page func(ctx context.Context, at Address) (Page, error)
	// Stop ends the application: the page has gone.
	Stop func(ctx context.Context) error
}

// An Address is where the page is.
type Address struct {
	Query map[string]string // of its URL: the last value of each key
	// Server is the address of the start page of the server that it comes from, which
	// has pages too; "": it comes from a server of files.
	Server string
}

// A Page is what the document shows.
type Page struct {
	Title string
	Body  live.Component
	// Scripts and Styles are names of those that this page needs beside the ones that each has, in
	// their order. The document that has loaded the program says where they are: data-more of the
	// element of static/wasm/page.js.
	Scripts, Styles []string
}

// A Failure is an error with what the person at the page is told of it.
type Failure struct {
	Said string
	Err  error // not nil
}

// Error implements error.
func (f Failure) Error() string { return f.Said + " (" + f.Err.Error() + ")" }

// Unwrap returns Err.
func (f Failure) Unwrap() error { return f.Err }

// TabName is a name for this tab's replica that the others don't have.
func TabName() string { return "tab " + strconv.FormatUint(uint64(rand.Uint32()), 36) }

// Run serves the page that has started the program in a worker with args: "app",
// Address.Server, and keys and values of Address.Query; or "render". It returns when the page
// has gone, or when it has been told why it can't be served.
func Run(args []string, p Program) {
	err := p.run(args)
	if err == nil {
		return
	}
	f := Failure{"The application could not be started.", err}
	errors.As(err, &f)
	post(map[string]any{"failure": f.Said, "detail": f.Err.Error()})
}

func (p *Program) run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "render" && p.Render != nil:
		jslive.ServeRender(p.Render)
		return nil
	case len(args) >= 2 && len(args)%2 == 0 && args[0] == "app" && p.Start != nil:
		at := Address{make(map[string]string), args[1]}
		for i := 2; i < len(args); i += 2 {
			at.Query[args[i]] = args[i+1]
		}
		return p.serve(at)
	}
	return fmt.Errorf("the program was started with %q", args)
}

// serve serves the page until it has gone.
func (p *Program) serve(at Address) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	app, err := p.Start(ctx)
	if err != nil {
		return err
	}
	t := newTab(app)
	defer t.stop()
	if err := t.show(ctx, at); err != nil {
		return err
	}
	<-t.left
	return nil
}

func post(message map[string]any) { js.Global().Call("postMessage", message) }

// A tab is the page that the application serves.
type tab struct {
	app     App
	sockets *jslive.Handler
	hear    js.Func
	left    chan struct{} // of size 1: the page goes away
}

func newTab(a App) *tab {
	t := &tab{app: a, sockets: jslive.NewHandler(a.Runtime, nil), left: make(chan struct{}, 1)}
	t.hear = js.FuncOf(t.heard)
	js.Global().Set("onmessage", t.hear)
	return t
}

// heard is called for each message of the page: {connect: topics} with a port,
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
	if topics := data.Get("connect"); topics.Type() == js.TypeString {
		view := live.Viewed(func() live.View { return t.app.View(strings.Split(topics.String(), ",")...) })
		t.sockets.Serve(args[0].Get("ports").Index(0), view)
	}
	return nil
}

// show has the page shown.
func (t *tab) show(ctx context.Context, at Address) error {
	p, err := t.app.Page(ctx, at)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := p.Body.Render(ctx, &b); err != nil {
		return fmt.Errorf("the page can't be shown: %w", err)
	}
	post(map[string]any{"page": b.String(), "title": p.Title, "scripts": list(p.Scripts), "styles": list(p.Styles)})
	return nil
}

// list is names as they are posted.
func list(names []string) []any {
	all := make([]any, len(names))
	for i, name := range names {
		all[i] = name
	}
	return all
}

// stop says goodbye to the other tabs.
func (t *tab) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	_ = t.app.Stop(ctx) // nobody is there to be told
	t.sockets.Close()
	js.Global().Set("onmessage", js.Null())
	t.hear.Release()
}
