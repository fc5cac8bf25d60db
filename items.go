package lockstep

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"lockstep/live"
	"lockstep/state"
)

// An itemized is a shared whose states are shown as items: tabs are sent what has changed of them.
type itemized[S any] struct {
	*shared[S]
	// items is how a state is shown; see live.RoomsOptions.Items.
	items func(s Shown[S]) (live.Items, bool)
	// count is how many entries the log of a state has had. Nil: it has no log. last is how many of
	// them a page shows.
	count func(s S) uint64
	last  int
}

func (it *itemized[S]) hasItems() bool { return true }

func (it *itemized[S]) itemsOf(key string, l loaded) (live.Items, bool) {
	return it.items(it.typed(key, l))
}

func (it *itemized[S]) hasLog() bool { return it.count != nil }

func (it *itemized[S]) window() int { return it.last }

func (it *itemized[S]) entries(s any) uint64 {
	typed, ok := s.(S)
	if !ok || it.count == nil {
		return 0
	}
	return it.count(typed)
}

// What a shared is that is shown as a whole.

func (sh *shared[S]) hasItems() bool { return false }

func (sh *shared[S]) itemsOf(string, loaded) (live.Items, bool) { return live.Items{}, false }

func (sh *shared[S]) hasLog() bool { return false }

func (sh *shared[S]) window() int { return 0 }

func (sh *shared[S]) entries(any) uint64 { return 0 }

func (sh *shared[S]) apply(known any, change []byte) (any, error) {
	typed, ok := known.(S)
	if !ok {
		return nil, fmt.Errorf("lockstep: a change of %s that is not known", sh.kind.Name)
	}
	return sh.kind.Apply(typed, change)
}

func (sh *shared[S]) change(before, after any) ([]byte, error) {
	b, known := before.(S)
	a, ok := after.(S)
	if !known || !ok {
		return nil, nil
	}
	return sh.kind.Change(b, a)
}

func (sh *shared[S]) write(s any) ([]byte, error) {
	typed, _ := s.(S)
	return sh.kind.Write(typed)
}

// An entry is one of a log, whatever is in it.
type entry = state.Entry[json.RawMessage]

// roomEntries is how many of the newest entries of a log a room knows: what a tab has missed beyond
// that it has to ask for.
const roomEntries = 200

// entryOf returns an entry with what is in it.
func entryOf[M any](e entry) (typed state.Entry[M], err error) {
	typed = state.Entry[M]{N: e.N, ID: e.ID, At: e.At}
	if err := json.Unmarshal(e.M, &typed.M); err != nil {
		return typed, fmt.Errorf("lockstep: the entry %d can't be read: %w", e.N, err)
	}
	return typed, nil
}

// newest returns the last of entries, as many as a room knows.
func newest(entries []entry) []entry {
	return slices.Clip(entries[max(len(entries)-roomEntries, 0):])
}

// apply is RoomsOptions.Apply.
func (f *family) apply(known, l loaded) (loaded, bool) {
	if l.err != nil {
		return l, true // which is what there is to show
	}
	if l.state == nil {
		if known.readable() == nil || known.Epoch != l.Epoch || known.Version != l.delta.base {
			return l, false
		}
		s, err := f.kind.apply(known.state, l.delta.change)
		if err != nil {
			return l, false
		}
		l.state = s
	}
	if !f.kind.hasLog() {
		return l, true
	}
	log, ok := f.appended(known, l)
	l.log = log
	return l, ok
}

// appended returns the newest entries of a state, if they are known.
func (f *family) appended(known, l loaded) (log []entry, ok bool) {
	n, before := f.kind.entries(l.state), f.kind.entries(known.state)
	fresh, err := state.ReadEntries[json.RawMessage](l.delta.first, l.delta.entries)
	goesOn := known.readable() != nil && known.Epoch == l.Epoch
	switch {
	case err != nil:
		return nil, false
	case n == 0:
		return nil, true
	case goesOn && before == n:
		return known.log, true
	case len(fresh) == 0 || fresh[len(fresh)-1].N != n:
		return nil, false
	case fresh[0].N == 1 || len(fresh) >= roomEntries:
		return newest(fresh), true
	case goesOn && before == fresh[0].N-1:
		return newest(append(slices.Clip(known.log), fresh...)), true
	}
	return nil, false
}

// windowOf is what a tab that renders itself is told of entries of a log, one behind the other.
func windowOf(entries []entry) (d delta, err error) {
	for _, e := range entries {
		data, err := json.Marshal(e)
		if err != nil {
			return delta{}, fmt.Errorf("lockstep: the entry %d can't be sent: %w", e.N, err)
		}
		d.entries = append(d.entries, data)
	}
	if len(entries) > 0 {
		d.first = entries[0].N
	}
	return d, nil
}

// encodeAppended is RoomsOptions.Change of logs: the state, which is short, and the entries
// that are behind those of before.
func (f *family) encodeAppended(before, after loaded) ([]byte, bool) {
	n := f.kind.entries(before.state)
	fresh := after.log
	for len(fresh) > 0 && fresh[0].N <= n {
		fresh = fresh[1:]
	}
	if len(fresh) > 0 && fresh[0].N != n+1 {
		return nil, false // more are between them than a room knows
	}
	data, err := f.data(after)
	if err != nil {
		return nil, false
	}
	d, err := windowOf(fresh)
	if err != nil {
		return nil, false
	}
	r := after.Record
	r.Data = data
	m := wholeOf(r, "").with(d)
	m.Base = before.Version
	payload, err := m.encode()
	return payload, err == nil && (len(fresh) == 0 || len(m.Entries) > 0)
}

// equal is RoomsOptions.Equal.
func (f *family) equal(a, b loaded) bool {
	if a.err != nil || b.err != nil {
		return (a.err != nil) == (b.err != nil)
	}
	written, err := f.data(a)
	if err != nil {
		return true // nothing can be said
	}
	other, err := f.data(b)
	if err != nil || !bytes.Equal(written, other) {
		return err != nil
	}
	n := min(len(a.log), len(b.log))
	return slices.EqualFunc(a.log[len(a.log)-n:], b.log[len(b.log)-n:], func(a, b entry) bool {
		return a.N == b.N && a.ID == b.ID && bytes.Equal(a.M, b.M)
	})
}

// data returns the data of a state's record.
func (f *family) data(l loaded) ([]byte, error) {
	if l.Data != nil || l.state == nil || l.Version == 0 { // nothing was written yet, and it says so
		return l.Data, nil
	}
	return f.kind.write(l.state)
}

// merge is RoomsOptions.Merge.
func (f *family) merge(older, newer loaded) loaded {
	a, b := older.delta, &newer.delta
	if older.Epoch != newer.Epoch {
		return newer
	}
	if len(a.entries) > 0 && len(a.entries)+len(b.entries) <= state.MaxLog && a.first+uint64(len(a.entries)) == b.first {
		b.first, b.entries = a.first, slices.Concat(a.entries, b.entries)
	}
	if a.change == nil || b.change == nil || b.base != older.Version || a.before == nil {
		return newer
	}
	if change, err := f.kind.change(a.before, newer.state); err == nil && change != nil {
		b.base, b.change, b.before = a.base, change, a.before
	}
	return newer
}

// maxLatest is how many states of a family are kept as the store has said them.
const maxLatest = 256

// latest is what the store has said last of the states of a family, so that a read that says the
// same again costs nothing more. Its methods may be called concurrently.
type latest struct {
	mu  sync.Mutex // guards all
	all map[string]loaded
}

func (c *latest) get(key string) loaded {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[key]
}

func (c *latest) put(key string, l loaded) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.Version == 0 { // there is nothing to read again, and anybody can ask for any name
		delete(c.all, key)
		return
	}
	if c.all == nil {
		c.all = make(map[string]loaded)
	}
	for other := range c.all { // begins anywhere
		if len(c.all) < maxLatest {
			break
		}
		delete(c.all, other)
	}
	c.all[key] = l
}

// loadItems reads what the room of items of a record shows.
func (f *family) loadItems(ctx context.Context, store state.Store, key string, r state.Record) (loaded, error) {
	was := f.latest.get(key)
	if was.state != nil && was.Same(r) && bytes.Equal(was.Data, r.Data) {
		return was, nil
	}
	l := f.kind.read(r)
	if l.err == nil && f.kind.hasLog() {
		if err := f.loadLog(ctx, store, key, was, &l); err != nil {
			return loaded{}, err
		}
	}
	f.latest.put(key, l)
	return l, nil
}

// loadLog reads the newest entries of a log, but for those that are known.
func (f *family) loadLog(ctx context.Context, store state.Store, key string, was loaded, l *loaded) error {
	n, after := f.kind.entries(l.state), uint64(0)
	if n > roomEntries {
		after = n - roomEntries
	}
	known := f.kind.entries(was.state)
	if goesOn := was.readable() != nil && was.Epoch == l.Epoch && known <= n && known >= after; goesOn {
		l.log, after = was.log, known
	}
	if after >= n {
		return nil
	}
	first, data, err := store.Entries(ctx, f.topic(key), after, int(n-after))
	if err != nil {
		return err
	}
	entries, err := state.ReadEntries[json.RawMessage](first, data)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(entries, func(e entry) bool { return e.N > n }); i >= 0 {
		entries = entries[:i] // those before have gone meanwhile, and others came
	}
	if first != after+1 {
		l.log = nil
	}
	l.log = newest(append(slices.Clip(l.log), entries...))
	if len(l.log) == 0 || l.log[len(l.log)-1].N != n {
		return fmt.Errorf("lockstep: the log of %s has no entry %d, which its record tells of: read again", key, n)
	}
	return nil
}
