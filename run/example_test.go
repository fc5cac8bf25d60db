package run_test

import (
	"net/http"
	"strconv"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/run"
	"lockstep/serve"
)

// All of a program: one counter that everybody shares, on one replica or on many.
func ExampleMain() {
	run.Main("localhost:8000", func(app *lockstep.App, opts *serve.Options) (*serve.Server, http.Handler) {
		hits := lockstep.Share(app, "hits", func(n int) templ.Component {
			return templ.Raw("<output>" + strconv.Itoa(n) + "</output>")
		})
		lockstep.On(hits, "hit", func(n int, _ struct{}, _ lockstep.Call) (int, error) { return n + 1, nil })
		s := serve.New(app, nil, opts)
		return s, s.Page(func(*http.Request) templ.Component { return hits.At("lobby") })
	})
}
