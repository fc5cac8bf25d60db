//go:build !js

package live

import (
	"encoding/json"
	"time"

	"lockstep/htmx"
)

// hooked reports whether the hooks want to know of a topic.
func (r *Runtime) hooked(topic string) (yes bool) {
	if r.opts.Hooks == nil {
		return false
	}
	_ = r.guard.Call("Hooks.Watches", func() { yes = r.opts.Hooks.Watches(topic) }) // it has been logged: nobody watches
	return yes
}

// reached tells the hooks of a mark, which ends now unless it says when.
func (r *Runtime) reached(m Mark) {
	if m.Ended.IsZero() {
		m.Ended = time.Now()
	}
	_ = r.guard.Call("Hooks.Reached", func() { r.opts.Hooks.Reached(m) }) // it has been logged
}

// follow returns what is to be called when a state of a topic has come to a point, on a way that
// begins now; it does nothing while nobody watches.
func (r *Runtime) follow(topic string, p Point) (reached func(revision)) {
	if !r.hooked(topic) {
		return func(revision) {}
	}
	began := time.Now()
	return func(at revision) {
		r.reached(Mark{Point: p, Topic: topic, Epoch: at[0], Version: at[1], Began: began})
	}
}

// Writer returns which of the runtime's writers serves the session: see Mark.Who.
func (s *Session) Writer() uint64 { return uint64(s.writer.index) }

// XRay tells this tab how far an op of it has come, as JSON.
func (s *Session) XRay(how json.RawMessage) { s.push(&frame{message: htmx.XRay(how)}) }

// begin returns the mark of a pass that begins.
func (w *writer) begin(r *room, f *frame) Mark {
	sh := &r.shards[w.index]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return Mark{
		Point: Written, Topic: r.topic, Epoch: f.at[0], Version: f.at[1], Began: time.Now(),
		Who: uint64(w.index), Of: len(w.rt.writers), Tabs: len(sh.members),
	}
}
