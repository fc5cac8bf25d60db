// Command checklist is a list that several people edit: what somebody types stays.
package main

import (
	"net/http"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/run"
	"lockstep/serve"
	"lockstep/state"
)

type Item struct {
	Text string
	Done bool
}

type List = state.List[Item]

type edit struct {
	ID   string `form:"id"`
	Text string
	Done bool
}

func main() { run.Main("localhost:8102", site) }

func site(app *lockstep.App, opts *serve.Options) (*serve.Server, http.Handler) {
	list := lockstep.Listing(app, "list", row) // rendered and sent item by item; moved, not made anew
	lockstep.OnList(list, "add", func(l List, in edit, c lockstep.Call) (List, error) {
		return l.Append(c.Op, Item{Text: in.Text})
	})
	lockstep.OnList(list, "rename", func(l List, in edit, _ lockstep.Call) (List, error) {
		it, _ := l.Get(in.ID)
		it.Text = in.Text
		return l.Set(in.ID, it)
	})
	lockstep.OnList(list, "tick", func(l List, in edit, _ lockstep.Call) (List, error) {
		it, _ := l.Get(in.ID)
		it.Done = in.Done
		return l.Set(in.ID, it)
	})
	lockstep.OnList(list, "up", func(l List, in edit, _ lockstep.Call) (List, error) {
		if i := l.Index(in.ID); i > 1 {
			behind, _ := l.At(i - 2)
			return l.Move(in.ID, behind)
		}
		return l.Move(in.ID, "")
	})
	lockstep.OnList(list, "remove", func(l List, in edit, _ lockstep.Call) (List, error) { return l.Remove(in.ID) })

	s := serve.New(app, nil, opts)
	mux := http.NewServeMux()
	mux.Handle("/{$}", s.Page(func(*http.Request) templ.Component { return page(list.At("home")) }))
	return s, mux
}
