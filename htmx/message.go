// Package htmx is the wire format between a page that runs htmx with its
// hx-ws extension and live.js, and the server: messages out, events in. It is
// the only package that knows htmx; it knows nothing of sockets, sessions or
// what the fragments show. Its functions keep nothing, and may be called
// concurrently.
//
// Source: the hx-ws extension of htmx 4.0.1 and the contract in
// docs/protocol.md.
package htmx

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// Status is what the server says of itself in a status message.
type Status string

// The states a server can be in. A tab whose socket is closed is "offline",
// which only the tab can know.
const (
	Live     Status = "live"
	Degraded Status = "degraded"
)

// A Partial is a piece of page and where it goes.
type Partial struct {
	// Target is the CSS selector of the element whose content is morphed.
	// It must be a constant of the program, never user input.
	Target string
	// HTML is the new content, already escaped. Of a list it is the items that have changed.
	HTML string
	// List makes it a change of what Target has as its children: items with ids. Nil: the whole
	// content is replaced.
	List *List
}

// State builds the message that shows a versioned state: the tab drops it
// when it has shown a newer one of the same topic.
func State(topic string, epoch, version uint64, parts ...Partial) []byte {
	return encode(message{Topic: topic, Epoch: &epoch, Version: &version}.with(parts))
}

// Data builds the message that has a versioned state, for a tab that renders
// itself. The state is any text: the tab hands it on as it is, because numbers
// of JavaScript end at 2^53.
func Data(topic string, epoch, version uint64, state string) []byte {
	return encode(message{Topic: topic, Epoch: &epoch, Version: &version, State: &state})
}

// Correction is State for tabs that may have been shown a newer version that
// never was: they show it whatever they have shown.
func Correction(topic string, epoch, version uint64, parts ...Partial) []byte {
	return encode(message{Topic: topic, Epoch: &epoch, Version: &version, Back: true}.with(parts))
}

// DataCorrection is to Correction what Data is to State.
func DataCorrection(topic string, epoch, version uint64, state string) []byte {
	return encode(message{Topic: topic, Epoch: &epoch, Version: &version, State: &state, Back: true})
}

// Change builds the message that leads tabs which show the base, or a version between, to a newer
// version of the same epoch: one with another epoch or an older version drops it, and says hello
// again.
func Change(topic string, epoch, base, version uint64, parts ...Partial) []byte {
	return encode(message{Topic: topic, Epoch: &epoch, Base: &base, Version: &version}.with(parts))
}

// DataChange is to Change what Data is to State. Only a tab that has exactly the base takes it.
func DataChange(topic string, epoch, base, version uint64, change string) []byte {
	return encode(message{Topic: topic, Epoch: &epoch, Base: &base, Version: &version, State: &change})
}

// Fragment builds a message that shows something without a version.
func Fragment(topic string, parts ...Partial) []byte {
	return encode(message{Topic: topic}.with(parts))
}

// Welcome builds the status message: state of this server, the time by its clock,
// and optionally something to show. It is also sent at each beat, by which a tab
// knows that its connection is alive; it says how far the beats are apart, so that
// the tab knows when one is late. A beat of 0 is not said: the tab goes by
// SilenceTimeout.
func Welcome(s Status, beat time.Duration, clock time.Time, parts ...Partial) []byte {
	return encode(message{Status: s, Beat: beat.Seconds(), Clock: clock.UnixMilli()}.with(parts))
}

// Proof builds the status message that answers a hello which asks for one.
func Proof(s Status, beat time.Duration, clock time.Time) []byte {
	return encode(message{Status: s, Beat: beat.Seconds(), Clock: clock.UnixMilli(), Proof: true})
}

// SilenceLimit returns how long a tab bears the silence of a replica that has told it this beat;
// 0: none.
func SilenceLimit(beat time.Duration) time.Duration {
	if beat <= 0 {
		return SilenceTimeout
	}
	return max(time.Duration(beat.Seconds()/StatusInterval.Seconds()*float64(SilenceTimeout)), SilenceTimeoutMin)
}

// An Applied is an op that is applied, and the state that has it first: no other of a lower
// (epoch, version) has it. Epoch 0: that is not said.
type Applied struct {
	Op
	Epoch, Version uint64
}

// Acks builds the acknowledgement of ops, a message for each of their topics, in
// the order of the ops.
func Acks(clock time.Time, ops ...Applied) (messages [][]byte) {
	for len(ops) > 0 {
		m, rest := message{Topic: ops[0].Topic, Clock: clock.UnixMilli()}, ops[:0:0]
		for _, op := range ops {
			if op.Topic == m.Topic {
				m.add(op)
			} else {
				rest = append(rest, op)
			}
		}
		messages, ops = append(messages, encode(m)), rest
	}
	return messages
}

// Refuse builds the answer to an op that is not applied, and never will be.
func Refuse(clock time.Time, op Op, reason string) []byte {
	return encode(message{Topic: op.Topic, Op: op.name(), Refused: &reason, Clock: clock.UnixMilli()})
}

// Retry builds the answer to an op that was not dealt with: the tab keeps it, and
// sends it again later. The reason may be empty.
func Retry(clock time.Time, op Op, reason string) []byte {
	return encode(message{Topic: op.Topic, Op: op.name(), Retry: true, Error: reason, Clock: clock.UnixMilli()})
}

// Settled builds the answer to an op whose answer the client has had.
func Settled(clock time.Time, op Op) []byte {
	return encode(message{Topic: op.Topic, Op: op.name(), Settled: true, Clock: clock.UnixMilli()})
}

// Old builds the answer to an op of which nobody knows any more whether it was
// applied.
func Old(clock time.Time, op Op) []byte {
	return encode(message{Topic: op.Topic, Op: op.name(), Old: true, Clock: clock.UnixMilli()})
}

// XRay builds the message that tells a tab how far an op of it has come, which is JSON.
func XRay(how json.RawMessage) []byte { return encode(message{XRay: how}) }

// AskPaint builds the message that asks a tab to say when what it is sent is on the screen, each
// topic once in a time at most.
func AskPaint(every time.Duration) []byte { return encode(message{Paint: every.Seconds()}) }

// Complain builds the answer to a message that is no op.
func Complain(reason string) []byte { return encode(message{Error: reason}) }

// name is how an op is named on the wire, beside its topic.
func (op Op) name() []any { return []any{op.Client, op.Seq} }

// add acknowledges one more op. Those before the first of which a state is known have none.
func (m *message) add(is Applied) {
	m.Ack = append(m.Ack, is.name())
	switch {
	case is.Epoch > 0:
		m.First = append(m.First, make([][]uint64, len(m.Ack)-1-len(m.First))...)
		m.First = append(m.First, []uint64{is.Epoch, is.Version})
	case m.First != nil:
		m.First = append(m.First, nil)
	}
}

// message is the JSON form of every message to a tab. hx-ws swaps Content and
// ignores the rest, which is for live.js.
type message struct {
	Topic   string     `json:"t,omitempty"`
	Epoch   *uint64    `json:"e,omitempty"`
	Base    *uint64    `json:"a,omitempty"`
	Version *uint64    `json:"v,omitempty"`
	Ack     [][]any    `json:"ack,omitempty"`   // [client, seq] each
	First   [][]uint64 `json:"first,omitempty"` // [epoch, version] of each of these; nil: not known
	Op      []any      `json:"op,omitempty"`    // [client, seq]
	Refused *string    `json:"refused,omitempty"`
	Settled bool       `json:"settled,omitempty"`
	Old     bool       `json:"old,omitempty"`
	Retry   bool       `json:"retry,omitempty"`
	Error   string     `json:"error,omitempty"`
	Clock   int64      `json:"clock,omitempty"` // ms since 1970
	Status  Status     `json:"status,omitempty"`
	Beat    float64    `json:"beat,omitempty"` // seconds
	Proof   bool       `json:"proof,omitempty"`
	Swap    string     `json:"swap,omitempty"`
	Content string     `json:"content,omitempty"`
	State   *string    `json:"state,omitempty"`
	Back    bool       `json:"back,omitempty"`

	Paint float64         `json:"paint,omitempty"` // seconds
	XRay  json.RawMessage `json:"xray,omitempty"`

	Soft json.RawMessage   `json:"soft,omitempty"`
	Tell []json.RawMessage `json:"tell,omitempty"`
}

func (m message) with(parts []Partial) message {
	if len(parts) == 0 {
		return m
	}
	var b strings.Builder
	for _, p := range parts {
		if p.List != nil {
			p.List.write(&b, p)
			continue
		}
		// Always a morph: other swaps lose focus and typed text, and cost the
		// browser a timer for each message.
		b.WriteString(`<hx-partial hx-target="`)
		b.WriteString(p.Target)
		b.WriteString(`" hx-swap="innerMorph">`)
		b.WriteString(p.HTML)
		b.WriteString(`</hx-partial>`)
	}
	m.Swap, m.Content = "none", b.String()
	return m
}

func encode(m message) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	// The text goes through JSON.parse, never into a page as it is; escaping
	// each "<" would cost six bytes.
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		panic("htmx: a message of strings and numbers does not encode: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
