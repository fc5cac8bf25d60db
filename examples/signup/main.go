// Command signup is a form that says what is wrong while it is filled in, and is sent once.
package main

import (
	"net/http"
	"slices"
	"strings"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/run"
	"lockstep/serve"
	"lockstep/state"
)

type Guest struct{ Name, Email string }

// Guests are who comes. Everybody sees their names; addresses stay on the server.
type Guests struct{ All []Guest }

func (g Guests) problems(name, email string) lockstep.FieldErrors {
	wrong := lockstep.FieldErrors{}
	switch {
	case strings.TrimSpace(name) == "" || len(name) > 40:
		wrong["name"] = "a name of at most 40 letters is needed"
	case slices.ContainsFunc(g.All, func(other Guest) bool { return strings.EqualFold(other.Name, name) }):
		wrong["name"] = "somebody of this name comes already"
	}
	if before, after, ok := strings.Cut(email, "@"); !ok || before == "" || !strings.Contains(after, ".") {
		wrong["email"] = "this is no address"
	}
	return wrong
}

func main() { run.Main("localhost:8107", site) }

func site(app *lockstep.App, opts *serve.Options) (*serve.Server, http.Handler) {
	guests := lockstep.ShareWith(app, lockstep.SharedOptions[Guests]{
		Kind: state.Kind[Guests]{Name: "guests"}, View: names,
		Check: func(g Guests, in lockstep.Fields) lockstep.FieldErrors {
			return g.problems(in.Get("name"), in.Get("email"))
		},
		Checked: []string{"name", "email"},
		Public: func(g Guests) Guests {
			g.All = slices.Clone(g.All)
			for i := range g.All {
				g.All[i].Email = ""
			}
			return g
		},
	})
	lockstep.On(guests, "join", func(g Guests, in Guest, _ lockstep.Call) (Guests, error) {
		if err := g.problems(in.Name, in.Email).Err(); err != nil {
			return g, err
		}
		return Guests{append(slices.Clone(g.All), in)}, nil
	})
	s := serve.New(app, nil, opts)
	mux := http.NewServeMux()
	mux.Handle("/{$}", s.Page(func(*http.Request) templ.Component { return page(guests.At("party")) },
		serve.PageOptions{Title: "Party"}))
	return s, mux
}
