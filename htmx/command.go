package htmx

import "encoding/json"

// A Command has a script of the page do something: the first element is what, and the others are
// what it needs. They must have a form as JSON. See docs/protocol.md.
type Command []any

// Tell builds the message that has a tab do things, in that order. Each tab is told once, or not at
// all. The error is that of a command that has no form as JSON.
func Tell(commands ...Command) ([]byte, error) {
	told := make([]json.RawMessage, len(commands))
	for i, c := range commands {
		raw, err := json.Marshal([]any(c))
		if err != nil {
			return nil, err
		}
		told[i] = raw
	}
	return encode(message{Swap: "none", Tell: told}), nil
}
