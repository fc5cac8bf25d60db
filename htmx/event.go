package htmx

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// MaxEvent is the longest message a tab may send, in bytes.
const MaxEvent = 4096

// MaxDepth is how deep the values in a message of a tab may be nested: the
// message itself is the first.
const MaxDepth = 8

// AsData in a hello is what a tab says that renders itself: it is sent states.
const AsData = "data"

// ErrMalformed is wrapped by every error of ParseEvent.
var ErrMalformed = errors.New("htmx: malformed message")

// An Event is one message of a tab: a hello, or an action.
type Event struct {
	// Hello is set on the first message of each connection, and when a tab
	// changes As. Tab names the page load; Epoch and Version are
	// the newest state it has shown.
	Hello          bool
	Tab            string
	Epoch, Version uint64
	// As is how the tab wants to be sent states from now on: AsData, or as HTML.
	As string
	// Prove in a hello asks for an answer: the tab wants to know whether its connection is alive.
	Prove bool

	// Action is what the person did and Op the id that the tab gave it.
	// Neither is checked beyond being a string: a View decides.
	Action, Op string
	// Age is how many seconds ago the op was made, by the tab's clocks: those
	// of replicas may differ, and jump. 0 when the tab did not say.
	Age int64

	fields map[string]json.RawMessage
}

// Decode stores the field called name, e.g. a form value, in v, as
// json.Unmarshal does. A missing field is an error.
func (e Event) Decode(name string, v any) error {
	raw, ok := e.fields[name]
	if !ok {
		return fmt.Errorf("%w: no field %q", ErrMalformed, name)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%w: field %q has the wrong type", ErrMalformed, name)
	}
	return nil
}

// ParseEvent reads a message of a tab. What it returns does not alias p. The
// error wraps ErrMalformed and names nothing of the message's content, so it
// can be shown and logged. Names of fields are matched exactly, case included,
// and of fields with the same name the last one counts.
func ParseEvent(p []byte) (Event, error) {
	e, err := parseFields(p)
	if err != nil {
		return Event{}, err
	}
	hello := 0
	for name, v := range map[string]any{
		"hello": &hello, "tab": &e.Tab, "e": &e.Epoch, "v": &e.Version, "as": &e.As, "prove": &e.Prove,
		"action": &e.Action, "op": &e.Op, "age": &e.Age,
	} {
		if _, ok := e.fields[name]; !ok {
			continue
		}
		if err := e.Decode(name, v); err != nil {
			return Event{}, err
		}
	}
	e.Hello = hello != 0
	if !e.Hello && e.Action == "" {
		return Event{}, fmt.Errorf("%w: neither hello nor action", ErrMalformed)
	}
	return e, nil
}

// OpOf returns the op of a message that will not be parsed further, or "" if it
// is malformed or has none.
func OpOf(p []byte) (op string) {
	e, err := parseFields(p)
	if err != nil || e.Decode("op", &op) != nil {
		return ""
	}
	return op
}

// parseFields returns an event of which only the fields are known, as copies.
func parseFields(p []byte) (e Event, err error) {
	switch {
	case len(p) > MaxEvent:
		return Event{}, fmt.Errorf("%w: longer than %d bytes", ErrMalformed, MaxEvent)
	case !utf8.Valid(p):
		return Event{}, fmt.Errorf("%w: not UTF-8", ErrMalformed)
	case tooDeep(p):
		return Event{}, fmt.Errorf("%w: nested deeper than %d", ErrMalformed, MaxDepth)
	}
	if err := json.Unmarshal(p, &e.fields); err != nil || e.fields == nil {
		return Event{}, fmt.Errorf("%w: not a JSON object", ErrMalformed)
	}
	return e, nil
}

// tooDeep reports whether p, if it is JSON, is nested deeper than MaxDepth.
func tooDeep(p []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == '"':
			inString = !inString
		case inString && c == '\\':
			i++ // what follows is not the end of the string
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
