//go:build js

package jsmain_test

import (
	"context"
	"os"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/jsmain"
)

// application stands for one's own, which runs on a server, too: it would be
// made with a driver of package jspubsub and a store of package idbstate.
type application struct {
	rt *live.Runtime
	greeting
}

func newApplication() *application { return &application{rt: live.NewRuntime(nil), greeting: "hello"} }

func (a *application) start(context.Context) error { a.rt.Start(); return nil }

func (a *application) view(...string) live.View { return view{} }

func (a *application) stop(context.Context) error { a.rt.Stop(); return nil }

func render(_ string, state []byte, _ []htmx.Event, _ string) (string, live.Component, error) {
	return "#greeting", greeting(state), nil
}

// The main function of a program for browsers: the whole application in a worker
// of each tab, and what a tab of a server needs that renders itself.
func ExampleRun() {
	jsmain.Run(os.Args[1:], jsmain.Program{Render: render, Start: func(ctx context.Context) (jsmain.App, error) {
		a := newApplication()
		return jsmain.App{
			Runtime: a.rt,
			View:    a.view,
			Page: func(context.Context, jsmain.Address) (jsmain.Page, error) {
				return jsmain.Page{Title: "Greetings", Body: a.greeting}, nil
			},
			Stop: a.stop,
		}, a.start(ctx)
	}})
}
