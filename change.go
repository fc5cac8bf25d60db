package lockstep

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"lockstep/live"
	"lockstep/pubsub/driver"
	"lockstep/state"
)

// A delta is what a commit has changed, for those who have what was there before. The zero
// delta says nothing of that.
type delta struct {
	// change leads from the state of version base, of the same epoch; see state.Kind.Apply. Nil:
	// there is none.
	base   uint64
	change []byte
	// entries are what the log got, and first is the number of the first one. Nil: it got none, or
	// they are to be read.
	first   uint64
	entries [][]byte
	before  any // the state that change leads from; nil: it is not known
}

// deltaOf returns what a commit has changed.
func deltaOf(c state.Commit) (d delta) {
	if c.Change != nil && c.Base.Epoch == c.Epoch {
		d.base, d.change, d.before = c.Base.Version, c.Change, c.Before
	}
	d.first, d.entries = c.First, c.Entries
	return d
}

// maxBroadcast is how long a state may be, in bytes as it goes through the broker:
// what is longer is read from the store by each replica that shows it. A signature
// comes on top.
const maxBroadcast = driver.MaxPayload - 64

// A message is a record as it goes through the broker, and to tabs that render
// themselves, or what has changed. Data that are no text are Bytes.
type message struct {
	Epoch   uint64   `json:"e"`
	Version uint64   `json:"v"`
	Data    *string  `json:"s,omitempty"`
	Bytes   []byte   `json:"b,omitempty"`
	Absent  bool     `json:"absent,omitempty"` // too long; to be read
	Base    uint64   `json:"a,omitempty"`
	Change  *string  `json:"d,omitempty"`
	First   uint64   `json:"n,omitempty"`
	Entries []string `json:"l,omitempty"`
	By      string   `json:"r,omitempty"` // the replica that sends it
}

// text is bytes as a message has them; nil: they are no text.
func text(b []byte) *string {
	if s := string(b); utf8.ValidString(s) {
		return &s
	}
	return nil
}

// wholeOf is a message with the whole state of a record, and without entries.
func wholeOf(r state.Record, by string) message {
	m := message{Epoch: r.Epoch, Version: r.Version, By: by}
	if m.Data = text(r.Data); m.Data == nil {
		m.Bytes = r.Data
	}
	return m
}

// changeOf is a message with a change in place of the state. ok is false when there is none that
// can go into one.
func changeOf(r state.Record, by string, d delta) (m message, ok bool) {
	m = message{Epoch: r.Epoch, Version: r.Version, Base: d.base, By: by}
	if d.change != nil {
		m.Change = text(d.change)
	}
	return m, m.Change != nil && d.base > 0 && d.base < r.Version
}

// with is the message with entries. They are left out when one is no text.
func (m message) with(d delta) message {
	for _, e := range d.entries {
		entry := text(e)
		if entry == nil {
			m.Entries = nil
			return m
		}
		m.Entries = append(m.Entries, *entry)
	}
	if len(d.entries) > 0 {
		m.First = d.first
	}
	return m
}

func (m message) encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // it does not go into a page as it is
	if err := e.Encode(m); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// encodeRecord returns a whole state for tabs that render themselves, with entries of its log
// if there are any.
func encodeRecord(r state.Record, d delta) ([]byte, error) { return wholeOf(r, "").with(d).encode() }

// encodeChange returns what has changed, for tabs that render themselves and have the state
// of d's base. Nil: there is no change.
func encodeChange(r state.Record, d delta) ([]byte, error) {
	m, ok := changeOf(r, "", d)
	if !ok {
		return nil, nil
	}
	return m.with(d).encode()
}

// encodeBroadcast returns what has changed, or else the whole state, or else, when the
// message would be too long, that it is to be read. Entries of a log go with it if there is
// room.
func encodeBroadcast(r state.Record, d delta, by string) ([]byte, error) {
	tries := make([]message, 0, 4)
	if m, ok := changeOf(r, by, d); ok && len(d.change) < maxBroadcast {
		tries = append(tries, m)
	}
	if len(r.Data) < maxBroadcast {
		tries = append(tries, wholeOf(r, by))
	}
	for _, m := range tries {
		for _, m := range []message{m.with(d), m} {
			if payload, err := m.encode(); err != nil || len(payload) <= maxBroadcast {
				return payload, err
			}
		}
	}
	return message{Epoch: r.Epoch, Version: r.Version, Absent: true, By: by}.encode()
}

// A heard is what a message says.
type heard struct {
	state.Record        // without Data when only the change is known, and there is one
	delta        delta  // what has changed
	by           string // the replica that says it
}

// errNotAState means that a message can't be one.
var errNotAState = errors.New("lockstep: not a state")

// decodeMessage reads what encodeRecord, encodeChange or encodeBroadcast has made, or anything. The
// error wraps live.ErrReadIt when there is neither the state nor a change of it.
func decodeMessage(payload []byte) (heard, error) {
	var m message
	if json.Unmarshal(payload, &m) != nil || len(m.Entries) > state.MaxLog || m.Base > 0 && m.Base >= m.Version {
		return heard{}, errNotAState
	}
	h := heard{Record: state.Record{Epoch: m.Epoch, Version: m.Version}, by: m.By}
	if h.delta.first = m.First; m.First > 0 {
		for _, e := range m.Entries {
			h.delta.entries = append(h.delta.entries, []byte(e))
		}
	}
	switch {
	case m.Absent:
		return h, live.ErrReadIt
	case m.Data != nil:
		h.Data = []byte(*m.Data)
		h.delta.base = m.Base
	case m.Bytes != nil:
		h.Data = m.Bytes
	case m.Change != nil && m.Base > 0:
		h.delta.base, h.delta.change = m.Base, []byte(*m.Change)
	default:
		return heard{}, errNotAState
	}
	return h, nil
}
