// Command poll is a poll: one vote for each person, however often it is sent.
package main

import (
	"maps"
	"net/http"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/run"
	"lockstep/serve"
)

type Poll struct {
	By map[string]int // user → option
}

func (p Poll) count() (n [4]int) {
	for _, option := range p.By {
		n[option]++
	}
	return n
}

type vote struct{ Option int }

func main() { run.Main("localhost:8103", site) }

func site(app *lockstep.App, opts *serve.Options) (*serve.Server, http.Handler) {
	poll := lockstep.Share(app, "poll", bars)
	lockstep.On(poll, "vote", func(p Poll, v vote, c lockstep.Call) (Poll, error) {
		if v.Option < 0 || v.Option >= len(p.count()) {
			return p, lockstep.Refused("there is no such season")
		}
		next := Poll{By: map[string]int{}}
		maps.Copy(next.By, p.By)
		next.By[c.User] = v.Option
		return next, nil
	})
	s := serve.New(app, nil, opts)
	mux := http.NewServeMux()
	mux.Handle("/{$}", s.Page(func(*http.Request) templ.Component { return page(poll.At("seasons")) }))
	return s, mux
}
