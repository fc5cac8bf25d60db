package htmx

import "encoding/json"

// Soft builds the message that has soft values of a topic: what is shown for a moment, and
// may be lost. values is JSON, which the page's own script reads; nil is an empty object. A
// message whose values are no JSON says nothing.
func Soft(topic string, values []byte) []byte {
	if values == nil || !json.Valid(values) {
		values = []byte("{}")
	}
	return encode(message{Topic: topic, Soft: values})
}
