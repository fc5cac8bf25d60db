package pgpubsub

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"lockstep/pubsub/driver"
)

// maxText is the longest payload of a NOTIFY, in bytes (PostgreSQL: "must be
// shorter than 8000 bytes").
const maxText = 7999

// The kinds of payload.
const (
	plain  = 't' // topic and payload as they are: printable ASCII
	base   = 'b' // both together in base64: anything else
	reload = 'g' // a topic in base64: the payload was too large, reload
)

var errForeign = errors.New("pgpubsub: not one of our notifications")

// encode makes the text of a notification:
//
//	<seq in base 36> <kind><length of the topic> <topic><payload>
//
// seq keeps equal messages apart: PostgreSQL delivers equal payloads of one
// transaction once. Only ASCII goes over the wire, so the encoding of the
// database does not matter. A payload that is too large becomes a reload.
func encode(seq uint64, topic string, payload []byte) string {
	head := strconv.FormatUint(seq, 36) + " "
	size := strconv.Itoa(len(topic)) + " "
	if ascii(topic) && ascii(string(payload)) {
		if text := head + string(plain) + size + topic + string(payload); len(text) <= maxText {
			return text
		}
	} else if len(payload) < maxText {
		both := append([]byte(topic), payload...)
		if text := head + string(base) + size + base64.RawStdEncoding.EncodeToString(both); len(text) <= maxText {
			return text
		}
	}
	return head + string(reload) + size + base64.RawStdEncoding.EncodeToString([]byte(topic))
}

// decode reads the text of a notification, which may come from anybody.
func decode(text string) (driver.Message, error) {
	_, rest, ok := strings.Cut(text, " ")
	if !ok || rest == "" {
		return driver.Message{}, errForeign
	}
	kind := rest[0]
	size, body, ok := strings.Cut(rest[1:], " ")
	n, err := strconv.ParseUint(size, 10, 16)
	if !ok || err != nil {
		return driver.Message{}, errForeign
	}
	raw := []byte(body)
	switch kind {
	case plain:
	case base, reload:
		if raw, err = base64.RawStdEncoding.DecodeString(body); err != nil {
			return driver.Message{}, errForeign
		}
	default:
		return driver.Message{}, errForeign
	}
	if int(n) > len(raw) || kind == reload && int(n) != len(raw) {
		return driver.Message{}, errForeign
	}
	m := driver.Message{Topic: string(raw[:n])}
	if kind == reload {
		m.Gap = true
	} else {
		m.Payload = raw[n:]
	}
	return m, nil
}

// ascii reports whether s is printable ASCII.
func ascii(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
