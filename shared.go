package lockstep

import (
	"context"
	"fmt"

	"github.com/a-h/templ"

	"lockstep/live"
	"lockstep/state"
)

// What actions are given and return: see package state.
type (
	// A Call is what an action may know beside the state and its input.
	Call = state.Call
	// Fields are the input of an action, as a form has it.
	Fields = state.Fields
	// FieldErrors are what is wrong with the fields of a form.
	FieldErrors = state.FieldErrors
)

// A Refused is the answer to a person whose action is not done, and why: an action returns it.
// Any other error is one, too.
type Refused string

// Error implements error.
func (r Refused) Error() string { return string(r) }

// A Shared is a kind of state that is shown, and sent, as a whole.
type Shared[S any] struct {
	app    *App
	family *family
	kind   *shared[S]
}

// SharedOptions say what states of a kind are, and how they look.
type SharedOptions[S any] struct {
	Kind state.Kind[S]
	// View is how a state looks in the element of its room; and Look, in place of View, in any
	// other: the CSS selector of the element whose content it is, and the content. They are pure
	// functions.
	View func(S) templ.Component
	Look func(s Shown[S]) (target string, c Component)
	// ValidKey reports whether there may be a topic of a key. Nil: ValidKey.
	ValidKey func(key string) bool

	// Check says what is wrong with a form so far, while a person fills it in. It is pure, and may
	// be called concurrently. Checked are the fields that have a place for that: an element with
	// the id "error-" and their name. Nil: nothing is said before the form is sent.
	Check   func(s S, in Fields) FieldErrors
	Checked []string
	// Public is a state without what tabs must not be told that render themselves. It does not
	// change what it is given. Nil, without Check: all may be told.
	Public func(s S) S
}

// Share adds a kind of state that view shows: for each topic one S, which begins as the zero S, and
// is kept as JSON. view is a pure function. On adds what can be done to it.
func Share[S any](a *App, name string, view func(S) templ.Component) *Shared[S] {
	return ShareWith(a, SharedOptions[S]{Kind: state.Kind[S]{Name: name}, View: view})
}

// inRoom is the look of what a view shows in the element of a room.
func inRoom[S any](view func(S) templ.Component) func(s Shown[S]) (string, Component) {
	return func(s Shown[S]) (string, Component) {
		if !s.Known {
			return "#" + roomID(s.Topic), unknown()
		}
		return "#" + roomID(s.Topic), view(s.State)
	}
}

// ShareWith is Share with options.
func ShareWith[S any](a *App, o SharedOptions[S]) *Shared[S] {
	if o.View != nil {
		o.Look = inRoom(o.View)
	}
	a.needs(o.Look != nil, o.Kind.Name, "view")
	sh := &shared[S]{kind: o.Kind, look: liveLook(o.Look)}
	f := &family{kind: sh, valid: o.ValidKey}
	if o.Check != nil || o.Public != nil {
		f.kind = &checked[S]{shared: sh, fields: o.Checked, check: o.Check, public: o.Public}
	}
	a.addFamily(f)
	return &Shared[S]{a, f, sh}
}

// liveLook is a look as rooms have it.
func liveLook[S any](look func(s Shown[S]) (string, Component)) func(s Shown[S]) (string, live.Component) {
	return func(s Shown[S]) (string, live.Component) { return look(s) }
}

// On adds an action. f is pure: it returns the state that comes of the action, or an error, which
// is the answer to the person; see state.Action. In is a struct whose fields are those of the form;
// see state.Do. It is called before the application starts.
func On[S, In any](sh *Shared[S], action string, f func(s S, in In, c Call) (S, error)) {
	addAction(sh.app, &sh.kind.kind, action, f != nil, func() state.Action[S] { return state.Do(f) })
}

// addAction adds an action to a kind, which makeAction returns. given is false if there is nothing
// to make it of.
func addAction[S any](a *App, k *state.Kind[S], name string, given bool, makeAction func() state.Action[S]) {
	if a.hub != nil {
		panic(errStarted)
	}
	a.needs(given, k.Name, fmt.Sprintf("action %q", name))
	do, err := made(makeAction)
	if err != nil {
		a.fault(fmt.Errorf("lockstep: the action %q of %s: %w", name, k.Name, err))
		return
	}
	if k.Actions[name] != nil {
		a.fault(fmt.Errorf("lockstep: %s has two actions of the name %q", k.Name, name))
		return
	}
	if k.Actions == nil {
		k.Actions = make(map[string]state.Action[S])
	}
	k.Actions[name] = do
}

// made returns what f makes. A panic of it is an error: the type of an input can't be one, say.
func made[T any](f func() T) (v T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	return f(), nil
}

// At returns the room of a key.
func (sh *Shared[S]) At(key string) Room { return sh.app.room(sh.kind.kind.Topic(key)) }

// Topic returns the topic of a key.
func (sh *Shared[S]) Topic(key string) string { return sh.kind.kind.Topic(key) }

// Show returns the state of a key as it is shown: as the store has it, or a newer one. While the
// store can't be read it is what this replica knows, beside the error.
func (sh *Shared[S]) Show(ctx context.Context, key string) (Shown[S], error) {
	l, err := sh.family.newest(ctx, key)
	return sh.kind.typed(key, l), err
}

// Read returns the state of a key as the store has it, or a newer one.
func (sh *Shared[S]) Read(ctx context.Context, key string) (S, error) {
	s, err := sh.Show(ctx, key)
	return s.State, err
}
