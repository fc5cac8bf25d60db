package htmx

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// MaxDepth is how deep the values in a message of a tab may be nested: the
// message itself is the first.
const MaxDepth = 8

// MaxSeq is the greatest number of an op: numbers of JavaScript are exact up to it.
const MaxSeq = 1<<53 - 1

// Protocol is the number in a hello.
const Protocol = 2

// AsData in a hello is what a tab says that renders itself: it is sent states.
const AsData = "data"

// Casts that are no application's: names of these do not begin with a line.
const (
	// PaintedCast says what a tab has painted.
	PaintedCast = "_painted"
	// XRayCast says that a person looks how far their ops on a topic have come.
	XRayCast = "_xray"
)

var (
	// ErrMalformed is wrapped by every error of ParseEvent.
	ErrMalformed = errors.New("htmx: malformed message")
	// ErrProtocol means that a tab speaks another version of the protocol.
	ErrProtocol = fmt.Errorf("%w: this page is of another version; reload it", ErrMalformed)
)

// An EventKind is what a message of a tab is.
type EventKind uint8

// The kinds of message.
const (
	HelloEvent EventKind = iota + 1 // the first of each connection
	OpEvent                         // something a person did, which counts once
	FinEvent                        // a client needs no more answers
	CastEvent                       // something that may be lost; the newest wins
	RoomsEvent                      // the page shows other rooms now
)

// An Op is the identity of an op: Client is a page load, which counts its ops
// on each topic.
type Op struct {
	Topic, Client string
	Seq           uint64
}

// An Event is one message of a tab. Nothing of it is checked beyond its form: a
// View decides.
type Event struct {
	Kind EventKind

	// Of a hello. Client names the page load; At are the newest (epoch, version) of
	// each topic that it has shown.
	Client string
	At     map[string][2]uint64
	// As is how the tab wants to be sent states from now on: AsData, or as HTML.
	As string
	// Prove asks for an answer: the tab wants to know whether its connection is alive.
	Prove bool

	// Op is the identity of an op; of a fin, that of the last which is done with; of a
	// cast its topic.
	Op Op
	// From is the lowest seq of the client on the topic whose answer it may need.
	From uint64
	// Seen is the clock of a replica, in ms since 1970, as the tab heard it last
	// before the op was made, or read from its outbox.
	Seen int64
	// Age is how long ago the op was made, by the tab's clocks: those of replicas
	// may differ, and jump. 0 when the tab did not say.
	Age time.Duration
	// Grant shows that a page of the tab's person was given the topic. "": the page
	// of this connection was.
	Grant string
	// Do is the name of an op's action, or of a cast, and In its input, JSON.
	Do string
	In json.RawMessage
	// Rooms is the address of the socket of the page that the tab shows now.
	Rooms string
}

// ParseEvent reads a message of a tab. What it returns does not alias p. The
// error wraps ErrMalformed and names nothing of the message's content, so it
// can be shown and logged. Names of fields are matched exactly, case included,
// and of fields with the same name the last one counts; those that are not known
// mean nothing.
func ParseEvent(p []byte) (e Event, err error) {
	f, err := parseFields(p)
	if err != nil {
		return Event{}, err
	}
	kinds := 0
	for name, parse := range map[string]func(fields) (Event, error){
		"hello": parseHello, "op": parseOp, "fin": parseFin, "cast": parseCast, "rooms": parseRooms,
	} {
		if _, ok := f[name]; ok {
			kinds++
			if e, err = parse(f); err != nil {
				return Event{}, err
			}
		}
	}
	if kinds != 1 {
		return Event{}, fmt.Errorf("%w: not one of hello, op, fin, cast and rooms", ErrMalformed)
	}
	return e, nil
}

func parseHello(f fields) (Event, error) {
	protocol, e := 0, Event{Kind: HelloEvent}
	if err := f.into("hello", &protocol); err != nil {
		return Event{}, err
	}
	if protocol != Protocol {
		return Event{}, ErrProtocol
	}
	err := f.all(map[string]any{"client": &e.Client, "at": &e.At, "as": &e.As, "prove": &e.Prove})
	return e, err
}

func parseOp(f fields) (Event, error) {
	e := Event{Kind: OpEvent}
	age := 0.0
	if err := f.into("op", &opFields{&e.Op.Client, &e.Op.Seq, &e.From}); err != nil {
		return Event{}, err
	}
	if err := f.all(map[string]any{
		"t": &e.Op.Topic, "grant": &e.Grant, "seen": &e.Seen, "age": &age, "do": &e.Do, "in": &e.In,
	}); err != nil {
		return Event{}, err
	}
	if age < 0 || age > maxAge {
		return Event{}, fmt.Errorf("%w: an age of less than nothing, or of a century", ErrMalformed)
	}
	e.Age = time.Duration(age * float64(time.Second))
	return e, nil
}

// maxAge is how many seconds an op may say that it waited.
const maxAge = 100 * 366 * 24 * 3600

func parseFin(f fields) (Event, error) {
	e := Event{Kind: FinEvent}
	if err := f.into("fin", &opFields{&e.Op.Client, &e.Op.Seq, nil}); err != nil {
		return Event{}, err
	}
	return e, f.all(map[string]any{"t": &e.Op.Topic, "grant": &e.Grant})
}

func parseCast(f fields) (Event, error) {
	e := Event{Kind: CastEvent}
	return e, f.all(map[string]any{"cast": &e.Do, "t": &e.Op.Topic, "in": &e.In})
}

func parseRooms(f fields) (Event, error) {
	e := Event{Kind: RoomsEvent}
	return e, f.all(map[string]any{"rooms": &e.Rooms})
}

// opFields are the parts of an array that names an op.
type opFields struct {
	client *string
	seq    *uint64
	from   *uint64 // nil: there is none
}

// UnmarshalJSON implements json.Unmarshaler.
func (o *opFields) UnmarshalJSON(raw []byte) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil {
		return err
	}
	to := []any{o.client, o.seq}
	if o.from != nil {
		to = append(to, o.from)
	}
	if len(parts) != len(to) {
		return errors.New("an op has other parts")
	}
	for i, part := range parts {
		if err := json.Unmarshal(part, to[i]); err != nil {
			return err
		}
	}
	if *o.seq > MaxSeq || o.from != nil && *o.from > MaxSeq {
		return errors.New("a seq is too large")
	}
	return nil
}

// OpOf returns the identity of an op whose message will not be parsed further;
// ok is false if it is malformed or no op.
func OpOf(p []byte) (op Op, ok bool) {
	f, err := parseFields(p)
	if err != nil || f.all(map[string]any{"t": &op.Topic}) != nil {
		return Op{}, false
	}
	var from uint64
	if f.into("op", &opFields{&op.Client, &op.Seq, &from}) != nil {
		return Op{}, false
	}
	return op, true
}

// fields are those of a message, as copies.
type fields map[string]json.RawMessage

// into stores a field in v. A missing one is an error.
func (f fields) into(name string, v any) error {
	raw, ok := f[name]
	if !ok {
		return fmt.Errorf("%w: no field %q", ErrMalformed, name)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%w: field %q has the wrong type", ErrMalformed, name)
	}
	return nil
}

// all stores those fields that are there.
func (f fields) all(to map[string]any) error {
	for name, v := range to {
		if _, ok := f[name]; !ok {
			continue
		}
		if err := f.into(name, v); err != nil {
			return err
		}
	}
	return nil
}

func parseFields(p []byte) (f fields, err error) {
	switch {
	case len(p) > MaxEvent:
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrMalformed, MaxEvent)
	case !utf8.Valid(p):
		return nil, fmt.Errorf("%w: not UTF-8", ErrMalformed)
	case tooDeep(p):
		return nil, fmt.Errorf("%w: nested deeper than %d", ErrMalformed, MaxDepth)
	}
	if err := json.Unmarshal(p, &f); err != nil || f == nil {
		return nil, fmt.Errorf("%w: not a JSON object", ErrMalformed)
	}
	return f, nil
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
