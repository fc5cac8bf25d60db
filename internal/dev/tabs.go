package dev

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// A state is what open tabs are told.
type state struct {
	// Generation changes when there is something new to show, and Styles when that is only how it
	// looks.
	Generation int64 `json:"generation"`
	Styles     int64 `json:"styles"`
	// Problem says why the sources are not what is shown; "" when they are.
	Problem string `json:"problem"`

	server string // host:port of the server that takes requests; "": there is none
}

// tabs tells the open tabs the state. Its methods may be called concurrently.
type tabs struct {
	mu      sync.Mutex // guards the rest
	state   state
	changed chan struct{} // closed and replaced when the state changes
}

// newTabs returns a state without a server. Generations grow from now, so that
// tabs which another process has served reload.
func newTabs(now time.Time) *tabs {
	return &tabs{state: state{Generation: now.UnixMilli()}, changed: make(chan struct{})}
}

// get returns the state, and what is closed when it is no longer that.
func (t *tabs) get() (state, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state, t.changed
}

func (t *tabs) set(change func(*state)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.state)
	close(t.changed)
	t.changed = make(chan struct{})
}

// wait has requests wait for the next server.
func (t *tabs) wait() { t.set(func(s *state) { s.Problem, s.server = "", "" }) }

// serve has a server take requests. What tabs show is not looked at again.
func (t *tabs) serve(server string) { t.set(func(s *state) { s.Problem, s.server = "", server }) }

// reload says that there is something new to show, and restyle that it has another look.
func (t *tabs) reload() {
	t.set(func(s *state) { *s = state{Generation: s.Generation + 1, Styles: s.Styles, server: s.server} })
}

func (t *tabs) restyle() { t.set(func(s *state) { s.Problem, s.Styles = "", s.Styles+1 }) }

// fine says that the server shows what the sources are.
func (t *tabs) fine() { t.set(func(s *state) { s.Problem = "" }) }

// fail says what is wrong. A server that there is goes on.
func (t *tabs) fail(err error) { t.set(func(s *state) { s.Problem = err.Error() }) }

// down says why a server has ended.
func (t *tabs) down(err error) { t.set(func(s *state) { s.Problem, s.server = err.Error(), "" }) }

// serveEvents sends the state, and each that follows, until the tab goes.
func (t *tabs) serveEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	for {
		s, changed := t.get()
		text, err := json.Marshal(s)
		if err != nil {
			return // there is nothing in it that can't be marshalled
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", text); err != nil {
			return
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}
