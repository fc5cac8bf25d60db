//go:build !js

package lockstep

import (
	"lockstep/htmx"
	"lockstep/live"
	"lockstep/state"
)

// look takes a cast that says that a person looks.
func (v *view) look(s *live.Session, e htmx.Event) {
	if h := v.app.opts.Hooks; h != nil && v.mayUse(e) && v.app.HasState(e.Op.Topic) {
		_ = v.app.guard.Call("Hooks.Look", func() { h.Look(s, e.Op.Topic) }) // it has been logged
	}
}

// follow has the hooks follow an op if they want to. What it returns is called with the answer.
func (v *view) follow(s *live.Session, e htmx.Event, op *state.Op) (ended func(state.Answer)) {
	h := v.app.opts.Hooks
	if h == nil {
		return func(state.Answer) {}
	}
	var tell func(state.Answer, state.Trace)
	_ = v.app.guard.Call("Hooks.Op", func() { tell = h.Op(s, e.Op, e.Do) }) // it has been logged: nobody follows it
	if tell == nil {
		return func(state.Answer) {}
	}
	t := new(state.Trace)
	op.Trace = t
	return func(a state.Answer) {
		_ = v.app.guard.Call("what Hooks.Op returned", func() { tell(a, *t) }) // it has been logged
	}
}
