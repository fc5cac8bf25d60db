package state

import (
	"maps"
	"slices"
	"strings"
)

// FieldErrors are what is wrong with the fields of a form, by their names: an action returns them
// as its error, and the person reads each beside its field. A name is made of letters, digits, "-"
// and "_", and begins with a letter; a text is one short line. Nil and empty mean that nothing is
// wrong: see Err.
type FieldErrors map[string]string

// Err returns e, or nil when nothing is wrong.
func (e FieldErrors) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// Error implements error: "name: text" for each field, a line each, in the order of the names. It
// is what a refusal is kept as, and of that there is not much: a field that finds no room any more
// is left out, and is told when the form is sent again.
func (e FieldErrors) Error() string {
	reason := ""
	for _, name := range slices.Sorted(maps.Keys(e)) {
		next := name + ": " + strings.ReplaceAll(e[name], "\n", " ")
		if reason != "" {
			next = reason + "\n" + next
		}
		if reason == "" || clip(next) == next {
			reason = next
		}
	}
	return reason
}

// ParseFieldErrors reads the reason of a refusal. False: it is none of fields.
func ParseFieldErrors(reason string) (FieldErrors, bool) {
	e := make(FieldErrors)
	for line := range strings.Lines(reason) {
		name, text, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !ok || !isFieldName(name) {
			return nil, false
		}
		e[name] = text
	}
	return e, len(e) > 0
}

func isFieldName(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return name != "" && strings.Contains(letters, name[:1]) && strings.Trim(name, letters+"0123456789-_") == ""
}
