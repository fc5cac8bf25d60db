package serve_test

import (
	"log"
	"net/http"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/pubsub/mempubsub"
	"lockstep/serve"
	"lockstep/state/memstate"
)

// Three replicas in one process, behind a balancer on port 8000.
func ExampleReplicas() {
	broker, store := mempubsub.NewBus(), memstate.New(nil)
	err := serve.Replicas("localhost:8000", 3, func(name string, o *serve.Options) (*serve.Server, http.Handler) {
		app := lockstep.New(broker, store, &lockstep.Options{Replica: name})
		s := serve.New(app, nil, o)
		mux := http.NewServeMux()
		mux.Handle("/{$}", s.Page(func(*http.Request) templ.Component { return templ.Raw("<p>Hello</p>") }))
		return s, mux
	})
	if err != nil {
		log.Print(err)
	}
}

// A server with an address for metrics that only this machine reaches.
func ExampleServer_ListenAndServe() {
	app := lockstep.New(mempubsub.NewBus(), memstate.New(nil), nil)
	s := serve.New(app, nil, nil)
	if err := s.ListenAndServe(":8000", http.NotFoundHandler(), serve.ListenOptions{Admin: "localhost:9100"}); err != nil {
		log.Print(err)
	}
}
