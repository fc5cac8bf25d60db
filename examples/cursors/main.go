// Command cursors shows where everybody points: for a moment, in no store, on all replicas.
package main

import (
	_ "embed"
	"net/http"
	"strings"
	"time"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/run"
	"lockstep/serve"
)

// A Spot is where somebody points, in hundredths of the ground.
type Spot struct {
	X, Y int
	Name string
}

type move struct{ X, Y int }

//go:embed point.js
var point string // moves the sliders with the mouse

func main() { run.Main("localhost:8106", site) }

func site(app *lockstep.App, opts *serve.Options) (*serve.Server, http.Handler) {
	cursors := lockstep.Present(app, "cursors", 10*time.Second, ground)
	lockstep.OnSoft(cursors, "move", func(in move, c lockstep.Call) (Spot, bool) {
		return Spot{min(max(in.X, 0), 100), min(max(in.Y, 0), 100), c.UserName}, true
	})
	s := serve.New(app, nil, opts)
	mux := http.NewServeMux()
	mux.Handle("/{$}", s.Page(func(*http.Request) templ.Component { return page(cursors.At("ground")) },
		serve.PageOptions{Title: "Cursors", Scripts: []string{"/point.js"}}))
	mux.HandleFunc("GET /point.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "point.js", time.Time{}, strings.NewReader(point))
	})
	return s, mux
}
