// Command job shows how far jobs are that a webhook starts. Any replica works on them, one on each;
// when it dies another goes on, and no step is done twice.
//
//	curl -d id=7 -d steps=20 http://localhost:8105/webhook
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"github.com/a-h/templ"

	"lockstep"
	"lockstep/run"
	"lockstep/serve"
	"lockstep/state"
)

type Job struct {
	Done, Steps int
	By          string    // who works on it
	Until       time.Time // then others may
}

type Jobs = state.List[Job]

type step struct {
	ID    string `form:"id"`
	N     int
	By    string
	Steps int
}

const (
	lease = 3 * time.Second
	pace  = 200 * time.Millisecond // of a step
)

func main() { run.Main("localhost:8105", site) }

func site(app *lockstep.App, opts *serve.Options) (*serve.Server, http.Handler) {
	jobs := lockstep.Listing(app, "jobs", bar)
	lockstep.OnList(jobs, "start", func(l Jobs, in step, _ lockstep.Call) (Jobs, error) {
		if _, ok := l.Get(in.ID); ok || in.Steps < 1 || in.Steps > 1000 {
			return l, lockstep.Refused("a new id, please, and 1 to 1000 steps")
		}
		return l.Append(in.ID, Job{Steps: in.Steps})
	})
	lockstep.OnList(jobs, "step", func(l Jobs, in step, c lockstep.Call) (Jobs, error) {
		j, ok := l.Get(in.ID)
		if !ok || j.Done != in.N || j.By != in.By && c.At.Before(j.Until) {
			return l, lockstep.Refused("another replica works on it")
		}
		if j.By == in.By {
			j.Done++ // else it only begins
		}
		j.By, j.Until = in.By, c.At.Add(lease)
		return l.Set(in.ID, j)
	})
	me := rand.Text()
	app.Background(func(ctx context.Context) {
		for tick := time.NewTicker(pace); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				work(ctx, jobs, me)
			}
		}
	})
	s := serve.New(app, nil, opts)
	mux := http.NewServeMux()
	mux.Handle("/{$}", s.Page(func(*http.Request) templ.Component { return page(jobs.At("all")) }))
	mux.HandleFunc("POST /webhook", func(w http.ResponseWriter, r *http.Request) {
		in := lockstep.Fields{"id": {r.FormValue("id")}, "steps": {r.FormValue("steps")}}
		err := jobs.Do(r.Context(), "all", "start", in, lockstep.Doing{Key: "start " + r.FormValue("id")})
		var refused lockstep.Refused
		switch {
		case errors.As(err, &refused):
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		case err != nil:
			http.Error(w, "try again", http.StatusServiceUnavailable)
		}
	})
	return s, mux
}

// work goes a step on with each job that is this replica's, or nobody's.
func work(ctx context.Context, jobs *lockstep.List[Job], me string) {
	all, err := jobs.Read(ctx, "all")
	if err != nil {
		return // the store is away
	}
	for id, j := range all.All() {
		if j.Done < j.Steps && (j.By == me || time.Now().After(j.Until)) {
			// Here the work of a step is done. What it says of that counts once.
			_ = jobs.Do(ctx, "all", "step", step{ID: id, N: j.Done, By: me}, lockstep.Doing{}) // refused: another works on it
		}
	}
}
