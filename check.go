package lockstep

import (
	"encoding/json"
	"html"
	"time"

	"github.com/a-h/templ"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/state"
)

// A checked kind says what is wrong with a form while a person fills it in, and has its errors
// shown beside its fields.
type checked[S any] struct {
	*shared[S]
	// fields are those that have a place for what is wrong: an element with the id "error-" and
	// their name.
	fields []string
	// check says what is wrong so far. It is pure, and may be called concurrently.
	check func(s S, in state.Fields) state.FieldErrors
	// public is a state without what tabs must not be told. It does not change what it is given.
	public func(s S) S
}

// formFields implements checker.
func (c *checked[S]) formFields() []string { return c.fields }

// checkOf implements checker.
func (c *checked[S]) checkOf(l loaded, in state.Fields) state.FieldErrors {
	s, _ := l.state.(S)
	if c.check == nil {
		return nil
	}
	return c.check(s, in)
}

// hides implements checker.
func (c *checked[S]) hides() bool { return c.public != nil }

// publicOf implements checker.
func (c *checked[S]) publicOf(l loaded) (state.Record, error) {
	s, _ := l.state.(S)
	if l.err != nil || len(l.Data) == 0 {
		return state.Record{Epoch: l.Epoch, Version: l.Version}, l.err
	}
	data, err := c.kind.Write(c.public(s))
	return state.Record{Epoch: l.Epoch, Version: l.Version, Data: data}, err
}

// A checker is a checked, of any type.
type checker interface {
	formFields() []string
	checkOf(l loaded, in state.Fields) state.FieldErrors
	// hides says that publicOf is what tabs are told.
	hides() bool
	publicOf(l loaded) (state.Record, error)
}

// checkCast is the name of the cast of a form that is being filled in.
const checkCast = "check"

// What a tab may have checked: more than an honest one asks for, which sends one in each pause of
// htmx.CastPause. What comes faster is left out, as a cast may be.
const (
	checkPause = 40 * time.Millisecond
	checkBurst = 25
)

// A checkPace bounds how often a tab has a form checked. The zero value is one that has not begun.
type checkPace struct{ due time.Time }

func (p *checkPace) allow(now time.Time) bool {
	if earliest := now.Add(-checkBurst * checkPause); p.due.Before(earliest) {
		p.due = earliest
	}
	if p.due.After(now) {
		return false
	}
	p.due = p.due.Add(checkPause)
	return true
}

// check tells this tab alone what is wrong with what is typed into a form. It rests on the newest
// state that this replica knows: what counts is decided when the form is sent.
func (v *view) check(s *live.Session, e htmx.Event) {
	f, key, ok := v.app.family(e.Op.Topic)
	if !ok || e.Do != checkCast || !v.mayUse(e) || !v.checks.allow(v.app.rt.Clock()) {
		return
	}
	c, ok := f.kind.(checker)
	if !ok {
		return
	}
	var in state.Fields
	if len(e.In) > 0 && json.Unmarshal(e.In, &in) != nil {
		return // a cast may be lost
	}
	l, known := f.rooms.Known(key)
	if !known || l.err != nil {
		return
	}
	wrong, err := v.app.checkOf(c, l, in)
	if err != nil {
		return
	}
	var parts []live.Part
	for _, name := range c.formFields() {
		parts = append(parts, live.Part{Target: "#error-" + name, Component: templ.Raw(html.EscapeString(wrong[name]))})
	}
	_ = s.Show(parts...) // text can be shown
}

// checkOf calls the check of a kind.
func (a *App) checkOf(c checker, l loaded, in state.Fields) (wrong state.FieldErrors, err error) {
	defer a.guard.Caught("Check", &err)
	return c.checkOf(l, in), nil
}

// HasFields reports whether there is a form of a topic with places for what is wrong.
func (a *App) HasFields(topic string) bool {
	f, _, ok := a.family(topic)
	if !ok {
		return false
	}
	_, ok = f.kind.(checker)
	return ok
}

// FieldErrors reads the reason of a refusal of a topic's op. Nil: it is none of the fields that its
// page has places for.
func (a *App) FieldErrors(topic, reason string) state.FieldErrors {
	f, _, ok := a.family(topic)
	if !ok {
		return nil
	}
	c, ok := f.kind.(checker)
	if !ok {
		return nil
	}
	wrong, ok := state.ParseFieldErrors(reason)
	if !ok {
		return nil
	}
	places := make(map[string]bool)
	for _, name := range c.formFields() {
		places[name] = true
	}
	for name := range wrong {
		if !places[name] {
			return nil
		}
	}
	return wrong
}
