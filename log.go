package lockstep

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/a-h/templ"

	"lockstep/live"
	"lockstep/state"
)

// DefaultWindow is how many entries of a log a page shows at first.
const DefaultWindow = 50

// A Log is a kind of state that is entries, each of which is numbered, and sent once.
type Log[M any] struct {
	app    *App
	family *family
	kind   *itemized[state.Log[M]]
	window int
}

// An Entry is one of a log, as it is shown.
type Entry[M any] struct {
	Room Room // that it is in
	state.Entry[M]
	// Pending says that this tab has appended it, and the store does not have it yet.
	Pending bool
	// Err is why M could not be read: a later version of the program has written it, say. Nil: it
	// could.
	Err error
}

// HTMLID is the id that the entry's element must have: nothing else in the page has it.
func (e Entry[M]) HTMLID() string { return e.Room.items + e.ID }

// LogOptions say what logs of a kind are, and how they look.
type LogOptions[M any] struct {
	Kind state.Kind[state.Log[M]]
	// Entry is how an entry looks: one element, which has the id that EntryID says, and its number as
	// data-n, or the class "pending" and data-waiting if it is Pending. It is a pure function, and the
	// same for everybody.
	Entry func(e Entry[M]) Component
	// EntryID is the id of an entry's element. Nil: Entry.HTMLID.
	EntryID func(e Entry[M]) string
	// Target is the CSS selector of the element whose children the entries are. Nil: that of the room.
	Target func(topic string) string
	// Window is how many entries a page shows at first. 0: DefaultWindow. At most MaxWindow.
	Window int
	// ValidKey reports whether there may be a topic of a key. Nil: ValidKey.
	ValidKey func(key string) bool
}

// Logging adds a kind of logs, of which a late joiner is shown the newest, as many as window; 0:
// DefaultWindow. entry is what is in an entry's element, an li: a pure function, and the same for
// everybody. OnLog adds what is appended.
func Logging[M any](a *App, name string, window int, entry func(e Entry[M]) templ.Component) *Log[M] {
	a.needs(entry != nil, name, "entries")
	return LoggingWith(a, LogOptions[M]{
		Kind: state.Kind[state.Log[M]]{Name: name}, Window: window,
		Entry: func(e Entry[M]) Component { return elementOf("li", e.attributes(), entry(e)) },
	})
}

// attributes are what the scripts of a page need to know of an entry.
func (e Entry[M]) attributes() templ.Attributes {
	if e.Pending {
		return templ.Attributes{"id": e.HTMLID(), "class": "pending", "data-waiting": "1"}
	}
	return templ.Attributes{"id": e.HTMLID(), "data-n": strconv.FormatUint(e.N, 10)}
}

// LoggingWith is Logging with options.
func LoggingWith[M any](a *App, o LogOptions[M]) *Log[M] {
	a.needs(o.Entry != nil, o.Kind.Name, "entries")
	if o.EntryID == nil {
		o.EntryID = Entry[M].HTMLID
	}
	if o.Target == nil {
		o.Target = func(topic string) string { return "#" + roomID(topic) }
	}
	if o.Window == 0 {
		o.Window = DefaultWindow
	}
	if o.Window < 0 || o.Window > roomEntries {
		a.fault(fmt.Errorf("lockstep: a page shows 1 to %d entries of %s at first, and not %d", roomEntries, o.Kind.Name, o.Window))
	}
	kind := &itemized[state.Log[M]]{
		shared: &shared[state.Log[M]]{kind: o.Kind, look: func(s Shown[state.Log[M]]) (string, live.Component) {
			return o.Target(s.Topic), o.all(a, s)
		}},
		items: func(s Shown[state.Log[M]]) (live.Items, bool) { return o.items(a, s) },
		count: func(s state.Log[M]) uint64 { return s.N },
		last:  o.Window,
	}
	f := &family{kind: kind, valid: o.ValidKey}
	a.addFamily(f)
	return &Log[M]{a, f, kind, o.Window}
}

// readEntry is an entry of a room's log with what is in it.
func readEntry[M any](r Room, e entry) Entry[M] {
	typed, err := entryOf[M](e)
	return Entry[M]{Room: r, Entry: typed, Err: err}
}

// A logRev is another one whenever the entry is: of a log that was restored one may have the name
// and the number of another, and so may what a broadcast has said and the store has not.
type logRev struct {
	n uint64
	m string
}

// items is a log as items: the newest entries that are known, one behind the other.
func (o *LogOptions[M]) items(a *App, s Shown[state.Log[M]]) (live.Items, bool) {
	if !s.Known {
		return live.Items{}, false
	}
	first := s.State.N + 1
	if len(s.log) > 0 {
		first = s.log[0].N
	}
	r := a.room(s.Topic)
	return live.Items{
		Target: o.Target(s.Topic),
		Len:    len(s.log),
		Item: func(i int) live.Item {
			e := s.log[i]
			id := o.EntryID(Entry[M]{Room: r, Entry: state.Entry[M]{N: e.N, ID: e.ID, At: e.At}})
			return live.Item{ID: id, Rev: logRev{e.N, string(e.M)}, Render: func() live.Component { return o.Entry(readEntry[M](r, e)) }}
		},
		Log: true, First: first, Window: o.Window,
	}, true
}

// all is how a log looks in a tab that renders itself: what the tab has appended, and the store
// does not have yet, stands behind all others.
func (o *LogOptions[M]) all(a *App, s Shown[state.Log[M]]) Component {
	r := a.room(s.Topic)
	all := make([]Entry[M], 0, len(s.log))
	for _, e := range s.log {
		all = append(all, readEntry[M](r, e))
	}
	for _, e := range s.State.Appended() {
		e.N, e.At = 0, time.Now()
		all = append(all, Entry[M]{Room: r, Entry: e, Pending: true})
	}
	return allItems(o.Target(s.Topic), len(all), func(i int) Component { return o.Entry(all[i]) })
}

// OnLog adds an action that appends an entry, which f returns; its error is the answer to the
// person. See On.
func OnLog[M, In any](l *Log[M], action string, f func(in In, c Call) (M, error)) {
	do := func(s state.Log[M], in In, c Call) (state.Log[M], error) {
		m, err := f(in, c)
		if err != nil {
			return s, err
		}
		return s.Append(c.Op, m), nil
	}
	addAction(l.app, &l.kind.kind, action, f != nil, func() state.Action[state.Log[M]] { return state.Do(do) })
}

// At returns the room of a key.
func (l *Log[M]) At(key string) Room { return l.app.room(l.Topic(key)) }

// Topic returns the topic of a key.
func (l *Log[M]) Topic(key string) string { return l.kind.kind.Topic(key) }

// Show returns a log as it is shown, and its newest entries, as many as a page shows; see
// Shared.Show.
func (l *Log[M]) Show(ctx context.Context, key string) (Shown[state.Log[M]], []Entry[M], error) {
	got, err := l.family.newest(ctx, key)
	s := l.kind.typed(key, got)
	return s, l.last(s), err
}

// last are the newest entries of a log.
func (l *Log[M]) last(s Shown[state.Log[M]]) (entries []Entry[M]) {
	r := l.app.room(s.Topic)
	for _, e := range s.log[max(len(s.log)-l.window, 0):] {
		entries = append(entries, readEntry[M](r, e))
	}
	return entries
}

// Before returns the last entries of a key's log before the one numbered end, as many as a page
// shows at first, and the number of the first if there may be older ones; 0: there are none.
func (l *Log[M]) Before(ctx context.Context, key string, end uint64) (entries []Entry[M], first uint64, err error) {
	all, err := l.app.entriesBefore(ctx, l.Topic(key), end, uint64(l.window))
	if err != nil {
		return nil, 0, err
	}
	r := l.app.room(l.Topic(key))
	for _, e := range all {
		entries = append(entries, readEntry[M](r, e))
	}
	if len(entries) == l.window && entries[0].N > 1 {
		first = entries[0].N
	}
	return entries, first, nil
}
