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

// A shown is a state as rooms have it: what the store's record says.
type shown[S any] struct {
	state.Record
	state S
	err   error // why the record can't be read, by this version of the program
}

// A shared is all states of one kind: their rooms, their record in the store,
// and how they look.
type shared[S any] struct {
	kind  state.Kind[S]
	rooms *live.Rooms[shown[S]] // set by start
	// look is how a state looks in a tab; see live.RoomsOptions.Render. waiting is
	// how many ops of the tab itself are in it.
	look func(key string, s shown[S], waiting int) (target string, c live.Component)
	// page is what a page of it shows, and what the title begins with. known is false
	// while the store could not be read.
	page func(key string, s shown[S], known bool) (content Content, sum string)
	// does are the actions that the page has forms for, components.MaxForms at most.
	does []string
}

// A family is a shared, whatever its states.
type family interface {
	reducer() state.Reducer
	start(a *App)
	join(ctx context.Context, s *live.Session, key string) error
	ack(s *live.Session, key string, op htmx.Op)
	commit(key string, r state.Record, from []any)
	forms() []string
	// word is what one is called.
	word() string
	content(ctx context.Context, key string) (content Content, sum string, err error)
	render(key string, r state.Record, ops []state.Op) (target string, c live.Component, err error)
}

func (sh *shared[S]) reducer() state.Reducer { return sh.kind }

// start makes the rooms; the runtime of a has been started.
func (sh *shared[S]) start(a *App) {
	sh.rooms = live.NewRooms(a.rt, a.hub, live.RoomsOptions[shown[S]]{
		Name:   sh.kind.Name,
		Topic:  sh.kind.Topic,
		Render: func(key string, s shown[S]) (string, live.Component) { return sh.look(key, s, 0) },
		Order:  func(s shown[S]) (uint64, uint64) { return s.Epoch, s.Version },
		Load: func(ctx context.Context, keys ...string) ([]shown[S], error) {
			return sh.load(ctx, a, keys)
		},
		Encode: func(s shown[S]) ([]byte, error) { return encodeRecord(s.Record, maxBroadcast) },
		Decode: func(payload []byte) (shown[S], error) {
			r, err := decodeRecord(payload)
			if err != nil && !errors.Is(err, live.ErrReadIt) {
				return shown[S]{}, err
			}
			return sh.read(r), err
		},
		Data:    func(s shown[S]) ([]byte, error) { return encodeRecord(s.Record, state.MaxData) },
		Refresh: a.opts.Refresh,
		Digest:  a.opts.Digest,
	})
}

// load reads states from the store.
func (sh *shared[S]) load(ctx context.Context, a *App, keys []string) ([]shown[S], error) {
	topics := make([]string, len(keys))
	for i, key := range keys {
		topics[i] = sh.kind.Topic(key)
	}
	records, err := a.store.Read(ctx, topics...)
	if err != nil {
		return nil, err
	}
	if len(records) != len(keys) {
		return nil, fmt.Errorf("app: the store was asked for %d records and returned %d", len(keys), len(records))
	}
	states := make([]shown[S], len(keys))
	for i, r := range records {
		a.batcher.Learn(topics[i], r)
		states[i] = sh.read(r)
	}
	return states, nil
}

func (sh *shared[S]) read(r state.Record) shown[S] {
	s, err := sh.kind.Read(r.Data)
	return shown[S]{r, s, err}
}

func (sh *shared[S]) forms() []string { return sh.does }

func (sh *shared[S]) word() string { return sh.kind.Name }

func (sh *shared[S]) content(ctx context.Context, key string) (Content, string, error) {
	s, known, err := sh.rooms.Read(ctx, key)
	if s.err != nil {
		err = s.err
	}
	content, sum := sh.page(key, s, known && s.err == nil)
	return content, sum, err
}

func (sh *shared[S]) join(ctx context.Context, s *live.Session, key string) error {
	return sh.rooms.Join(ctx, s, key)
}

func (sh *shared[S]) ack(s *live.Session, key string, op htmx.Op) { sh.rooms.Ack(s, key, op) }

func (sh *shared[S]) commit(key string, r state.Record, from []any) {
	sh.rooms.Commit(key, sh.read(r), from...)
}

// render is what a tab shows that renders itself: a state, and the effect of its
// own ops that wait for an answer.
func (sh *shared[S]) render(key string, r state.Record, ops []state.Op) (string, live.Component, error) {
	var waiting int
	r.Data, waiting = sh.kind.Preview(key, r.Data, ops)
	s := sh.read(r)
	if s.err != nil {
		return "", nil, s.err
	}
	target, c := sh.look(key, s, waiting)
	return target, c, nil
}

// maxBroadcast is how long a state may be to go through the broker with its
// version: what is longer is read from the store by each replica that shows it.
const maxBroadcast = driver.MaxPayload - 512

// A message is a record as it goes through the broker, and to tabs that render
// themselves. Data that are no text are Bytes.
type message struct {
	Epoch   uint64  `json:"e"`
	Version uint64  `json:"v"`
	Data    *string `json:"s,omitempty"`
	Bytes   []byte  `json:"b,omitempty"`
	Absent  bool    `json:"absent,omitempty"` // too long; to be read
}

// encodeRecord leaves the data out when they are longer than most.
func encodeRecord(r state.Record, most int) ([]byte, error) {
	m := message{Epoch: r.Epoch, Version: r.Version}
	switch data := string(r.Data); {
	case len(data) > most:
		m.Absent = true
	case utf8.ValidString(data):
		m.Data = &data
	default:
		m.Bytes = r.Data
	}
	return json.Marshal(m)
}

// decodeRecord reads what encodeRecord has made, or anything. The error wraps
// live.ErrReadIt when the record has no data with it.
func decodeRecord(payload []byte) (state.Record, error) {
	var m message
	if err := json.Unmarshal(payload, &m); err != nil {
		return state.Record{}, errors.New("app: not a state")
	}
	r := state.Record{Epoch: m.Epoch, Version: m.Version, Data: m.Bytes}
	switch {
	case m.Absent:
		return r, live.ErrReadIt
	case m.Data != nil:
		r.Data = []byte(*m.Data)
	case m.Bytes == nil:
		return state.Record{}, errors.New("app: a state without data")
	}
	return r, nil
}
