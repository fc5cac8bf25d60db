package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/pubsub/driver"
	"lockstep/state"
)

// A shown is a state with what the store's record says.
type shown[S any] struct {
	state.Record
	topic string // what looks is told; rooms have none
	state S
	err   error  // why the record can't be read, by this version of the program
	by    string // the replica whose broadcast it was; "": it was none
}

// A loaded is a shown as rooms have it, whatever the type of its state: each type
// of rooms is compiled by itself, and takes some 65 KB of the browser's program.
type loaded shown[any]

// A shared is what states of one kind are, and how they look.
type shared[S any] struct {
	kind state.Kind[S]
	// look is how a state looks in a tab; see live.RoomsOptions.Render. waiting is
	// how many ops of the tab itself are in it.
	look func(key string, s shown[S], waiting int) (target string, c live.Component)
	// page is what a page of it shows, and what the title begins with. known is false
	// while the store could not be read.
	page func(key string, s shown[S], known bool) (content Content, sum string)
}

func (sh *shared[S]) reducer() state.Reducer { return sh.kind }

func (sh *shared[S]) read(r state.Record) loaded {
	s, err := sh.kind.Read(r.Data)
	return loaded{Record: r, state: s, err: err}
}

// typed returns what read has returned, as it is shown. A state that was never
// loaded is zero.
func (sh *shared[S]) typed(key string, l loaded) shown[S] {
	s, _ := l.state.(S)
	return shown[S]{Record: l.Record, topic: sh.kind.Topic(key), state: s, err: l.err}
}

func (sh *shared[S]) lookOf(key string, l loaded, waiting int) (string, live.Component) {
	return sh.look(key, sh.typed(key, l), waiting)
}

func (sh *shared[S]) pageOf(key string, l loaded, known bool) (Content, string) {
	return sh.page(key, sh.typed(key, l), known)
}

func (sh *shared[S]) preview(key string, data []byte, ops []state.Op) ([]byte, int) {
	return sh.kind.Preview(key, data, ops)
}

// A family is all states of one kind: their rooms, their record in the store,
// and how they look.
type family struct {
	kind interface { // *shared, of any type
		reducer() state.Reducer
		read(r state.Record) loaded
		lookOf(key string, l loaded, waiting int) (target string, c live.Component)
		pageOf(key string, l loaded, known bool) (content Content, sum string)
		preview(key string, data []byte, ops []state.Op) (after []byte, waiting int)
	}
	// does are the actions that the page has forms for, components.MaxForms at most.
	does  []string
	rooms *live.Rooms[loaded] // set by start
}

// name is that of the kind, and what one is called.
func (f *family) name() string { return state.NameOf(f.kind.reducer()) }

func (f *family) topic(key string) string { return f.name() + ":" + key }

// start makes the rooms; the runtime of a has been started.
func (f *family) start(a *App) {
	f.rooms = live.NewRooms(a.rt, a.hub, live.RoomsOptions[loaded]{
		Name:   f.name(),
		Topic:  f.topic,
		Render: func(key string, l loaded) (string, live.Component) { return f.kind.lookOf(key, l, 0) },
		Order:  func(l loaded) (uint64, uint64) { return l.Epoch, l.Version },
		Load: func(ctx context.Context, keys ...string) ([]loaded, error) {
			return f.load(ctx, a, keys)
		},
		Encode: func(l loaded) ([]byte, error) { return encodeBroadcast(l.Record, a.id) },
		Decode: f.decode,
		Heard: func(key string, l loaded) {
			if l.by != a.id {
				a.batcher.Heard(f.topic(key), l.by, l.Record)
			}
		},
		Data:    f.data,
		Refresh: a.opts.Refresh,
		Digest:  a.opts.Digest,
	})
}

// data is a state as a tab has it that renders itself.
func (f *family) data(l loaded) ([]byte, error) {
	if c, ok := f.kind.(checker); ok {
		r, err := c.publicOf(l)
		if err != nil {
			return nil, err
		}
		return encodeRecord(r)
	}
	return encodeRecord(l.Record)
}

// decode reads a broadcast; see live.RoomsOptions.
func (f *family) decode(payload []byte) (loaded, error) {
	r, by, err := decodeRecord(payload)
	switch {
	case errors.Is(err, live.ErrReadIt):
		return loaded{Record: r, by: by}, err
	case err != nil:
		return loaded{}, err
	}
	l := f.kind.read(r)
	l.by = by
	return l, nil
}

// load reads states from the store.
func (f *family) load(ctx context.Context, a *App, keys []string) ([]loaded, error) {
	topics := make([]string, len(keys))
	for i, key := range keys {
		topics[i] = f.topic(key)
	}
	records, err := a.store.Read(ctx, topics...)
	if err != nil {
		return nil, err
	}
	if len(records) != len(keys) {
		return nil, fmt.Errorf("app: the store was asked for %d records and returned %d", len(keys), len(records))
	}
	states := make([]loaded, len(keys))
	for i, r := range records {
		a.batcher.Learn(topics[i], r)
		states[i] = f.kind.read(r)
	}
	return states, nil
}

// content is what the page of one shows, and what its title begins with.
func (f *family) content(ctx context.Context, key string) (Content, string, error) {
	l, known, err := f.rooms.Read(ctx, key)
	if l.err != nil {
		err = l.err
	}
	content, sum := f.kind.pageOf(key, l, known && l.err == nil)
	return content, sum, err
}

func (f *family) join(ctx context.Context, s *live.Session, key string) error {
	return f.rooms.Join(ctx, s, key)
}

func (f *family) ack(s *live.Session, key string, op htmx.Op) { f.rooms.Ack(s, key, op) }

func (f *family) commit(key string, r state.Record, from []any) {
	f.rooms.Commit(key, f.kind.read(r), from...)
}

// render is what a tab shows that renders itself: a state, and the effect of its
// own ops that wait for an answer.
func (f *family) render(key string, r state.Record, ops []state.Op) (string, live.Component, error) {
	var waiting int
	r.Data, waiting = f.kind.preview(key, r.Data, ops)
	l := f.kind.read(r)
	if l.err != nil {
		return "", nil, l.err
	}
	target, c := f.kind.lookOf(key, l, waiting)
	return target, c, nil
}

// maxBroadcast is how long a state may be, in bytes as it goes through the broker:
// what is longer is read from the store by each replica that shows it. A signature
// comes on top.
const maxBroadcast = driver.MaxPayload - 64

// A message is a record as it goes through the broker, and to tabs that render
// themselves. Data that are no text are Bytes.
type message struct {
	Epoch   uint64  `json:"e"`
	Version uint64  `json:"v"`
	Data    *string `json:"s,omitempty"`
	Bytes   []byte  `json:"b,omitempty"`
	Absent  bool    `json:"absent,omitempty"` // too long; to be read
	By      string  `json:"r,omitempty"`      // the replica that sends it
}

func messageOf(r state.Record) message {
	m := message{Epoch: r.Epoch, Version: r.Version}
	if data := string(r.Data); utf8.ValidString(data) {
		m.Data = &data
	} else {
		m.Bytes = r.Data
	}
	return m
}

func encodeRecord(r state.Record) ([]byte, error) { return json.Marshal(messageOf(r)) }

// encodeBroadcast leaves the data out when the message would be too long.
func encodeBroadcast(r state.Record, by string) ([]byte, error) {
	if len(r.Data) < maxBroadcast {
		m := messageOf(r)
		m.By = by
		if payload, err := json.Marshal(m); err != nil || len(payload) <= maxBroadcast {
			return payload, err
		}
	}
	return json.Marshal(message{Epoch: r.Epoch, Version: r.Version, Absent: true, By: by})
}

// decodeRecord reads what encodeRecord or encodeBroadcast has made, or anything.
// by is the replica that a broadcast is of, as it says. The error wraps
// live.ErrReadIt when the record has no data with it.
func decodeRecord(payload []byte) (r state.Record, by string, err error) {
	var m message
	if err := json.Unmarshal(payload, &m); err != nil {
		return state.Record{}, "", errors.New("app: not a state")
	}
	r = state.Record{Epoch: m.Epoch, Version: m.Version}
	switch {
	case m.Absent:
		return r, m.By, live.ErrReadIt
	case m.Data != nil:
		r.Data = []byte(*m.Data)
	case m.Bytes != nil:
		r.Data = m.Bytes
	default:
		return state.Record{}, "", errors.New("app: a state without data")
	}
	return r, m.By, nil
}
