package lockstep

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"

	"github.com/a-h/templ"
)

// Form is a form that has an action done: what the person fills in, and the button, are its
// children. fields are names and values of what it sends beside. It works with JavaScript and
// without, and counts once, however often it is sent.
func (r Room) Form(action string, fields ...string) Form {
	return Form{room: r, action: action, fields: fields}
}

// A Form is a component; see Room.Form. The zero Form is none.
type Form struct {
	room   Room
	action string
	fields []string // names and values
	attrs  templ.Attributes
}

// With adds attributes to the form's element. These have a meaning, to the scripts of pages:
//
//	data-reset    its fields are empty again as soon as what was in them is kept
//	data-preview  a selector: what is sent is shown at once in the list there, as the form's template has it
//	data-cast     the cast that is sent while the person fills it in
//	data-drop     what is dragged in the room has its fields filled in, and sends it: docs/kinds.md
//	data-once     while it waits for its answer it is not sent again, and what is typed outlives the page
func (f Form) With(attrs templ.Attributes) Form {
	f.attrs = attrs
	return f
}

// Render implements templ.Component.
func (f Form) Render(ctx context.Context, w io.Writer) error {
	if f.room.app == nil {
		return errors.New("lockstep: the zero Room has no forms")
	}
	if !f.room.app.hasAction(f.room.topic, f.action) {
		return fmt.Errorf("lockstep: %s has no action %q", f.room.topic, f.action)
	}
	if len(f.fields)%2 != 0 {
		return fmt.Errorf("lockstep: the form of %q has a field without a value", f.action)
	}
	children := templ.GetChildren(ctx)
	ctx = templ.ClearChildren(ctx)
	attrs := templ.Attributes{"class": "act"}
	for name, value := range f.attrs {
		attrs[name] = value
	}
	attrs["method"], attrs["autocomplete"] = "post", "off"
	attrs["data-topic"], attrs["data-do"], attrs["hx-ws:send"] = f.room.topic, f.action, true
	page := pageOf(ctx)
	page.needs(scriptsOf(attrs)...)
	if page.To != nil {
		attrs["action"] = page.To(f.room.topic, f.action, f.fields...)
	}
	return writeElement(ctx, w, "form", attrs, templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		for i := 0; i < len(f.fields); i += 2 {
			_, err := fmt.Fprintf(w, `<input type="hidden" name="%s" value="%s">`, html.EscapeString(f.fields[i]), html.EscapeString(f.fields[i+1]))
			if err != nil {
				return err
			}
		}
		return children.Render(ctx, w)
	}))
}

// scriptsOf are those that see to a form with attributes.
func scriptsOf(attrs templ.Attributes) (scripts []string) {
	if _, once := attrs["data-once"]; once {
		scripts = append(scripts, formsScript)
	}
	if _, drop := attrs["data-drop"]; drop {
		scripts = append(scripts, dragScript)
	}
	_, preview := attrs["data-preview"]
	if _, reset := attrs["data-reset"]; reset || preview {
		scripts = append(scripts, listScript)
	}
	return scripts
}

// hasAction reports whether something can be done to a topic.
func (a *App) hasAction(topic, action string) bool {
	if f, _, ok := a.family(topic); ok {
		return f.kind.hasAction(action)
	}
	return false
}
