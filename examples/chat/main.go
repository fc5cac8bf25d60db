// Command chat is a chat: history, who types, nothing lost offline, nothing twice.
package main

import (
	"net/http"
	"strings"
	"time"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/run"
	"lockstep/serve"
)

type Message struct{ Who, Text string }

type say struct{ Text string }

func main() { run.Main("localhost:8101", site) }

func site(app *lockstep.App, opts *serve.Options) (*serve.Server, http.Handler) {
	chat := lockstep.Logging(app, "chat", 100, line) // a late joiner gets the newest 100
	lockstep.OnLog(chat, "say", func(in say, c lockstep.Call) (Message, error) {
		if strings.TrimSpace(in.Text) == "" {
			return Message{}, lockstep.Refused("say something")
		}
		return Message{c.UserName, in.Text}, nil
	})
	typing := lockstep.Present(app, "typing", 3*time.Second, whoTypes) // merged over all replicas
	lockstep.OnSoft(typing, "typing", func(_ struct{}, c lockstep.Call) (string, bool) { return c.UserName, true })

	s := serve.New(app, nil, opts)
	mux := http.NewServeMux()
	mux.Handle("/{$}", http.RedirectHandler("/lobby", http.StatusSeeOther))
	mux.Handle("/{room}", s.Page(func(r *http.Request) templ.Component {
		return page(chat.At(r.PathValue("room")), typing.At(r.PathValue("room")))
	}))
	return s, mux
}
