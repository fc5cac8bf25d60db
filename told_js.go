package lockstep

import (
	"lockstep/htmx"
	"lockstep/live"
	"lockstep/state"
)

// In a browser nobody is told of anything: see live.Hooks.

func (v *view) look(*live.Session, htmx.Event) {}

func (v *view) follow(*live.Session, htmx.Event, *state.Op) func(state.Answer) {
	return func(state.Answer) {}
}
