package lockstep

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/state"
)

// A loaded is a state as rooms have it, with what the store's record says, whatever its type: each
// type of rooms is compiled by itself, and takes some 65 KB of the browser's program.
type loaded struct {
	state.Record
	state any
	err   error   // why the record can't be read, by this version of the program
	by    string  // the replica whose broadcast it was; "": it was none
	delta delta   // what has changed, if that is known
	log   []entry // the newest of its log, if it has one; at most roomEntries
}

// readable returns the state, or nil if it could not be read.
func (l loaded) readable() any {
	if l.err != nil {
		return nil
	}
	return l.state
}

// A Shown is a state as a tab is to show it.
type Shown[S any] struct {
	Topic, Key     string
	Epoch, Version uint64
	State          S
	// Known is false while the state is not known: State is the zero S then.
	Known bool
	// Waiting is how many ops of the tab itself are in it, which the store does not have yet: in a
	// tab that renders itself.
	Waiting int

	log []entry
}

// A shared is what states of one kind are, and how they look.
type shared[S any] struct {
	kind state.Kind[S]
	// look is how a state looks in a tab; see live.RoomsOptions.Render.
	look func(s Shown[S]) (target string, c live.Component)
}

func (sh *shared[S]) reducer() state.Reducer { return sh.kind }

func (sh *shared[S]) hasAction(name string) bool { return sh.kind.Actions[name] != nil }

func (sh *shared[S]) read(r state.Record) loaded {
	s, err := sh.kind.Read(r.Data)
	return loaded{Record: r, state: s, err: err}
}

// typed returns what read has returned, as it is shown. A state that was never
// loaded is zero.
func (sh *shared[S]) typed(key string, l loaded) Shown[S] {
	s, _ := l.state.(S)
	return Shown[S]{
		Topic: sh.kind.Topic(key), Key: key, Epoch: l.Epoch, Version: l.Version, State: s, Known: l.err == nil, log: l.log,
	}
}

func (sh *shared[S]) lookOf(key string, l loaded, waiting int) (string, live.Component) {
	s := sh.typed(key, l)
	s.Waiting = waiting
	return sh.look(s)
}

func (sh *shared[S]) preview(key string, l loaded, ops []state.Op) (loaded, int) {
	s, _ := l.state.(S)
	after, waiting := sh.kind.PreviewState(key, s, ops)
	l.state, l.Data = after, nil
	return l, waiting
}

// A family is all states of one kind: their rooms, their record in the store,
// and how they look.
type family struct {
	kind interface { // *shared, of any type
		reducer() state.Reducer
		hasAction(name string) bool
		read(r state.Record) loaded
		lookOf(key string, l loaded, waiting int) (target string, c live.Component)
		preview(key string, l loaded, ops []state.Op) (after loaded, waiting int)
		// hasItems says that itemsOf is how states look, and hasLog that entries is how many
		// entries their log has had, of which a page shows window.
		hasItems() bool
		itemsOf(key string, l loaded) (live.Items, bool)
		hasLog() bool
		entries(s any) uint64
		window() int
		apply(known any, change []byte) (after any, err error)
		change(before, after any) ([]byte, error)
		write(s any) ([]byte, error)
	}
	valid  func(key string) bool // nil: ValidKey
	guard  *guard                // set by addFamily
	rooms  *live.Rooms[loaded]   // set by start
	latest latest
}

func (f *family) validKey(key string) bool { return f.guard.validKey(f.valid, key) }

// name is that of the kind, and what one is called.
func (f *family) name() string { return state.NameOf(f.kind.reducer()) }

func (f *family) topic(key string) string { return f.name() + ":" + key }

// start makes the rooms; the runtime of a has been started.
func (f *family) start(a *App) {
	opts := live.RoomsOptions[loaded]{
		Name:   f.name(),
		Topic:  f.topic,
		Render: func(key string, l loaded) (string, live.Component) { return f.kind.lookOf(key, l, 0) },
		Order:  func(l loaded) (uint64, uint64) { return l.Epoch, l.Version },
		Load: func(ctx context.Context, keys ...string) ([]loaded, error) {
			return f.load(ctx, a, keys)
		},
		Encode: func(l loaded) ([]byte, error) { return encodeBroadcast(l.Record, l.delta, a.id) },
		Decode: f.decode,
		Heard: func(key string, l loaded) {
			if l.by != a.id {
				a.batcher.HeardState(f.topic(key), l.by, l.Record, l.readable())
			}
		},
		Data:    f.encode,
		Refresh: a.opts.Refresh,
		Fresh:   a.opts.Fresh,
		Digest:  a.opts.Digest,
	}
	if f.kind.hasItems() {
		opts.Change = f.encodeChange
		opts.Items, opts.Apply, opts.Equal, opts.Merge = f.kind.itemsOf, f.apply, f.equal, f.merge
	}
	f.rooms = live.NewRooms(a.rt, a.hub, opts)
}

// encode is RoomsOptions.Data.
func (f *family) encode(l loaded) (_ []byte, err error) {
	if c, ok := f.kind.(checker); ok && c.hides() {
		r, err := c.publicOf(l)
		if err != nil {
			return nil, err
		}
		return encodeRecord(r, delta{})
	}
	if l.Data, err = f.data(l); err != nil {
		return nil, err
	}
	d, err := windowOf(l.log[max(len(l.log)-f.kind.window(), 0):])
	if err != nil {
		return nil, err
	}
	return encodeRecord(l.Record, d)
}

// encodeChange is RoomsOptions.Change.
func (f *family) encodeChange(before, after loaded) ([]byte, bool) {
	if before.Epoch != after.Epoch {
		return nil, false
	}
	if f.kind.hasLog() {
		return f.encodeAppended(before, after)
	}
	change, err := f.kind.change(before.state, after.state)
	if err != nil || change == nil {
		return nil, false
	}
	payload, err := encodeChange(after.Record, delta{base: before.Version, change: change})
	return payload, err == nil && payload != nil
}

// decode reads a broadcast; see live.RoomsOptions.
func (f *family) decode(payload []byte) (loaded, error) {
	h, err := decodeMessage(payload)
	switch {
	case errors.Is(err, live.ErrReadIt):
		return loaded{Record: h.Record, by: h.by}, err
	case err != nil:
		return loaded{}, err
	case h.Data == nil && f.kind.hasItems():
		return loaded{Record: h.Record, by: h.by, delta: h.delta}, nil // see apply
	case h.Data == nil:
		return loaded{Record: h.Record, by: h.by}, live.ErrReadIt
	}
	l := f.kind.read(h.Record)
	l.by, l.delta = h.by, h.delta
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
		return nil, fmt.Errorf("lockstep: the store was asked for %d records and returned %d", len(keys), len(records))
	}
	states := make([]loaded, len(keys))
	for i, r := range records {
		if !f.kind.hasItems() {
			states[i] = f.kind.read(r)
		} else if states[i], err = f.loadItems(ctx, a.store, keys[i], r); err != nil {
			return nil, err
		}
		a.batcher.LearnState(topics[i], r, states[i].readable())
	}
	return states, nil
}

// errUnknown means that a state is not known, and nothing more.
var errUnknown = errors.New("lockstep: the state is not known")

// newest returns the state of a key as the store has it, or a newer one, and else what is known.
func (f *family) newest(ctx context.Context, key string) (loaded, error) {
	if f.rooms == nil {
		return loaded{err: ErrNotStarted}, ErrNotStarted
	}
	l, known, err := f.rooms.Read(ctx, key)
	switch {
	case l.err != nil:
		return l, l.err
	case !known:
		l.err = cmp.Or(err, errUnknown)
	}
	return l, err
}

func (f *family) join(ctx context.Context, s *live.Session, key string) error {
	return f.rooms.Join(ctx, s, key)
}

func (f *family) ack(s *live.Session, key string, is htmx.Applied) { f.rooms.AckIn(s, key, is) }

func (f *family) commit(key string, c state.Commit) {
	l := loaded{Record: c.Record, state: c.State}
	if l.state == nil {
		l = f.kind.read(c.Record) // which says why it can't be read
	}
	l.delta = deltaOf(c)
	f.rooms.Commit(key, l, c.From...)
}

// render is what a tab shows that renders itself: a state, and the effect of its
// own ops that wait for an answer.
func (f *family) render(key string, l loaded, ops []state.Op) (string, live.Component, error) {
	if l.err != nil {
		return "", nil, l.err
	}
	l, waiting := f.kind.preview(key, l, ops)
	target, c := f.kind.lookOf(key, l, waiting)
	return target, c, nil
}
