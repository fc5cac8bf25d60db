package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lockstep/components"
	"lockstep/counter"
	"lockstep/htmx"
	"lockstep/live"
)

// readTimeout is how long a page waits for the store before it is served with
// what this replica knows.
const readTimeout = 1500 * time.Millisecond

// degradedTimeout is readTimeout while it is known that something is wrong.
const degradedTimeout = 250 * time.Millisecond

// Reasons of refusals, as the person at the tab reads them.
const (
	reasonUnknown  = "unknown action"
	reasonBadOp    = "the op must be 16 to 64 of A-Z a-z 0-9 _ -"
	reasonTooOld   = "this click is too old to be counted without counting it twice"
	reasonLimit    = "the count is at its limit"
	reasonAway     = "the count can't be saved at the moment; your click waits"
	reasonNewName  = "your address has made as many new counters as it may for now; those that exist can be used"
	reasonOverload = "too many clicks at the moment; your click waits"
	reasonSpent    = "too many clicks from your network at the moment; your click waits"
)

// A Refusal is a click that was not counted. Its text is meant for the person
// who clicked.
type Refusal struct {
	Reason string
	// Retry means that the same op may be sent again later, and should be.
	Retry bool
	err   error
}

// Error implements error.
func (r *Refusal) Error() string { return r.Reason }

// Unwrap returns the cause, or nil.
func (r *Refusal) Unwrap() error { return r.err }

// CounterPage returns what the page of a counter shows: the state in the
// store or, while it is away, what this replica knows.
func (a *App) CounterPage(ctx context.Context, name string) components.Page {
	timeout := readTimeout
	if a.rt.Status() == htmx.Degraded {
		timeout = degradedTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	v, known, err := a.counters.Read(ctx, name)
	state := components.Connecting
	if a.rt.Status() == htmx.Degraded || err != nil { // also when this read is the first to notice
		state = string(htmx.Degraded)
	}
	return components.Page{
		Counter: counterProps(name, v, known),
		Replica: a.opts.Replica,
		State:   state,
		Tabs:    a.presence.Count(counterTopic(name)) + 1, // and the one that this page becomes
	}
}

// Click applies one op to a counter and waits for the store. from is who clicked; nil: nobody in
// particular. age is that of the op in seconds, 0 if it was made for this click. again is true when
// the op has been counted before, and was not counted twice. A click that is not counted is a
// *Refusal.
func (a *App) Click(ctx context.Context, from counter.Sender, name, action, op string, age int64) (again bool, err error) {
	kind, refusal := check(action, op, age)
	if refusal != nil {
		return false, refusal
	}
	_, applied, err := a.batcher.ApplyOnce(ctx, from, name, counter.Op{ID: op, Kind: kind})
	if err != nil {
		return false, refuse(err)
	}
	return !applied, nil
}

// Counter is the view of one counter, of a tab of nobody in particular. name
// must be valid.
func (a *App) Counter(name string) live.View { return a.CounterFor(nil, name) }

// CounterFor is Counter for a tab whose clicks are a sender's.
func (a *App) CounterFor(from counter.Sender, name string) live.View {
	return counterView{a, from, name}
}

type counterView struct {
	app  *App
	from counter.Sender
	name string
}

// Mount implements live.View.
func (v counterView) Mount(ctx context.Context, s *live.Session) error {
	if err := v.app.counters.Join(ctx, s, v.name); err != nil {
		return err
	}
	topic := counterTopic(v.name)
	if err := v.app.tabs.Join(ctx, s, topic); err != nil {
		return err
	}
	v.app.arrive(s, topic)
	return nil
}

// HandleEvent implements live.View: it counts a click, and acknowledges it
// when the store has it.
func (v counterView) HandleEvent(_ context.Context, s *live.Session, e htmx.Event) error {
	kind, refusal := check(e.Action, e.Op, e.Age)
	if refusal != nil {
		s.Refuse(e.Op, refusal.Reason, refusal.Retry)
		return nil
	}
	s.BeginOp()
	v.app.batcher.Submit(v.from, v.name, counter.Op{ID: e.Op, Kind: kind}, func(_ counter.Value, err error) {
		defer s.EndOp()
		if err != nil {
			r := refuse(err)
			s.Refuse(e.Op, r.Reason, r.Retry)
			return
		}
		v.app.counters.Ack(s, v.name, e.Op)
	})
	return nil
}

// check reads an action. age is that of the op in seconds, 0 if not known.
func check(action, op string, age int64) (counter.Kind, *Refusal) {
	kind, ok := map[string]counter.Kind{
		"increment": counter.Increment,
		"decrement": counter.Decrement,
		"reset":     counter.Reset,
	}[action]
	switch {
	case !ok:
		return 0, &Refusal{Reason: reasonUnknown}
	case !counter.ValidOpID(op):
		return 0, &Refusal{Reason: reasonBadOp}
	case age > int64(counter.OpLifetime/time.Second):
		// The store may have forgotten that it applied it.
		return 0, &Refusal{Reason: reasonTooOld}
	}
	return kind, nil
}

// refuse says what an error of the batcher means for the person who clicked.
func refuse(err error) *Refusal {
	switch {
	case errors.Is(err, counter.ErrOverflow):
		return &Refusal{Reason: reasonLimit, err: err}
	case errors.Is(err, counter.ErrSpent):
		return &Refusal{Reason: reasonSpent, Retry: true, err: err}
	case errors.Is(err, counter.ErrOverloaded):
		return &Refusal{Reason: reasonOverload, Retry: true, err: err}
	case errors.Is(err, counter.ErrNewName):
		return &Refusal{Reason: reasonNewName, err: err}
	case errors.Is(err, counter.ErrBadOp), errors.Is(err, counter.ErrBadName):
		return &Refusal{Reason: reasonBadOp, err: err}
	}
	return &Refusal{Reason: reasonAway, Retry: true, err: fmt.Errorf("app: apply: %w", err)}
}

func counterProps(name string, v counter.Value, known bool) components.Counter {
	return components.Counter{
		Name: name, Topic: counterTopic(name), N: v.N, Epoch: v.Epoch, Version: v.Version, Known: known,
	}
}

// counterTarget is where a page has its counter.
const counterTarget = "#live"

// renderCounter is how a counter's room looks in a tab.
func renderCounter(name string, v counter.Value) (string, live.Component) {
	return counterTarget, components.CounterView(counterProps(name, v, true))
}
