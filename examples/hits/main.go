// Command hits is a counter: exactly once, offline, in every tab, on any number of replicas.
package main

import (
	"net/http"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/run"
	"lockstep/serve"
)

type Hits struct{ N int64 }

func main() { run.Main("localhost:8100", site) }

func site(app *lockstep.App, opts *serve.Options) (*serve.Server, http.Handler) {
	hits := lockstep.Share(app, "hits", number)
	lockstep.On(hits, "hit", func(h Hits, _ struct{}, _ lockstep.Call) (Hits, error) {
		h.N++
		return h, nil
	})
	s := serve.New(app, nil, opts)
	mux := http.NewServeMux()
	mux.Handle("/{$}", s.Page(func(*http.Request) templ.Component { return page(hits.At("lobby")) }))
	return s, mux
}
