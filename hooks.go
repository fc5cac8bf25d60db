package lockstep

import (
	"lockstep/htmx"
	"lockstep/live"
	"lockstep/state"
)

// Hooks are told how far ops have come, and the changes that they make: see package xray. The
// methods are called concurrently, on the paths of all tabs: they must be quick and must not block.
type Hooks interface {
	live.Hooks
	// Look is called when the person at a tab looks how far their ops on a topic of it come: every
	// few seconds while they do.
	Look(s *live.Session, topic string)
	// Op is called with an op of a tab that is about to be given to the store. It returns what is
	// called with its answer, before the tab has that; nil: nobody follows it.
	Op(s *live.Session, op htmx.Op, do string) func(a state.Answer, t state.Trace)
}

// Followed reports whether there are hooks: a page may then offer a person to look.
func (a *App) Followed() bool { return a.opts.Hooks != nil }
