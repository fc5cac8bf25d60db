package live

import "lockstep/htmx"

// In a browser nobody is told of anything: see Hooks, and Options.Painters.

func (r *Runtime) hooked(string) bool { return false }

func (r *Runtime) reached(Mark) {}

func (r *Runtime) follow(string, Point) func(revision) { return func(revision) {} }

func (w *writer) begin(*room, *frame) Mark { return Mark{} }

func (r *Runtime) askPaint(*Session) {}

func (s *Session) painted(htmx.Event) {}

func (rs *Rooms[S]) watchPaints() {}

type painters struct{}

func (p *painters) leave(*Session) {}

type paints struct{}

func (p *paints) shown(*frame) {}
