package live

import (
	"math"
	"slices"
	"sync"

	"lockstep/htmx"
)

// How a room sends changes.
//
// A room numbers the states that it accepts: seq. A member's sent is the seq of what its tab shows.
// A book holds the items of the newest of these states, each rendered once, and with each item two
// numbers: the seq at which its HTML last changed (touched) and the one at which it last came or
// moved (moved). Beside them it keeps the ids of items that have gone, with the seq at which they
// went (graves), and which seq was which (epoch, version): its passed states. So what a tab lacks
// that shows the state numbered a is
//
//   - the HTML of the items that were touched after a,
//   - the places of those that moved after a, each as "behind that one", in the newest order,
//   - the ids of those that went after a, and have not come back.
//
// A tab that puts these in, front to back, shows the newest state. That holds for a tab at any
// state x that the book has passed with a ≤ x: it is told some things again, which changes nothing.
// Items that stay are those of a longest increasing subsequence of the old places in the new order,
// so as few as possible move; what never moved since a is in the same order in both.
//
// It does not hold for a state that the book has not passed, though its version lies between: an
// item that changed and changed back says nothing of itself. Such a tab, one of another epoch, one
// that shows what the room has taken back, and one about which too much was forgotten get a frame
// that is right for everyone: all items (whole). Nobody's word is taken for another: what a hello
// says of its tab's version moves that member's sent, and a version that was not passed is unknown.
//
// Of a log, entries only come at the end and have numbers, so touched is enough: nothing moves or
// goes. What a tab lacks is what is behind the last entry of the state that it shows, and that is
// right for every state not older than it, passed or not. If the book does not reach back so far,
// the tab gets the newest entries and how many are missing before them (gap).
//
// The room's flush turns the page, alone: it renders what is new with no lock held, and then makes
// the frame that nearly all tabs need, from what was shown before. It is the room's frame as that
// of any other room, and the writers compare one number more. Members for whom its base is wrong
// are dealt with after the walk, by since, which makes frames of HTML that is there: they are
// shared by base, and bounded in number and bytes. Past the bound a tab gets a frame with an older
// base, or the whole. Book.mu is the last lock in their order, and nothing is called under it.

const (
	// maxPassed is how many states a book tells apart: 48 bytes each.
	maxPassed = 1024
	// maxGraves is how many items that have gone it knows.
	maxGraves = 1024
	// maxBases is how many frames it makes for one state, beside the first one and the whole.
	maxBases = 8
	// maxBasesBytes is how long these may be together, in lengths of the whole.
	maxBasesBytes = 4
)

// A book is what a room knows of its items.
type book struct {
	topic string // set once

	mu     sync.Mutex // guards the rest; flush alone changes pages, and reads them without
	now    turn       // the newest; its pages are empty
	at     revision   // of it
	seq    uint64     // of it; 0: there is none
	floor  uint64     // nothing is known of what changed before it
	passed []passage  // oldest first; the last is seq's
	order  []*entry
	byID   map[string]*entry
	graves []grave           // oldest first
	taken  map[string]*entry // out of the order since the last turn: draw has seen them
	size   int               // bytes of the HTML of all entries
	first  uint64            // the number of order[0], of a log
	frames map[uint64]*frame
	spent  int // bytes of frames, but for the whole and the first
}

// An entry is an item in a book.
type entry struct {
	id      string
	rev     any
	drawn   any    // the rev of html
	html    []byte // nil: not yet rendered
	touched uint64
	moved   uint64
	at      int    // in a part of the former order; -1: not there
	kept    uint64 // the seq of the last order that it was found in, if that has changed
}

// A passage says which state a seq was. End is the number of its last entry, of a log.
type passage struct {
	seq uint64
	at  revision
	end uint64
}

// A grave says when an item went.
type grave struct {
	id  string
	seq uint64
}

// A page is one state as items.
type page struct {
	seq   uint64
	at    revision
	items []Item
	first uint64
	again bool // the state is the one before
}

func (p *page) end() uint64 { return p.first + uint64(len(p.items)) - 1 }

// A turn leads a book to a newer state.
type turn struct {
	pages  []page // oldest first; the last is to be shown
	html   []drawn
	head   []htmx.Partial
	back   bool // the room takes back what it has shown
	target string
	log    bool
	window int

	data   *string // the state for tabs that render themselves; nil: they can't be served
	change *string // the same from what was shown before; nil: there is none
}

// A drawn is the HTML of the item at i.
type drawn struct {
	i    int
	html []byte
}

// draw renders those items of the next page that are new. Only flush calls it, with no lock held.
func (b *book) draw(items []Item) (all []drawn, err error) {
	for i, item := range items {
		var e *entry
		if i < len(b.order) && b.order[i].id == item.ID {
			e = b.order[i]
		} else {
			e = b.byID[item.ID]
		}
		if e != nil && e.html != nil && equal(e.drawn, item.Rev) {
			continue
		}
		html, err := htmlOf(item.Render())
		if err != nil {
			return nil, err
		}
		all = append(all, drawn{i, html})
	}
	return all, nil
}

// turn leads the book to the last page, and returns the frame that shows it from what was shown
// before, or to everyone; nil: two items have one id. Only flush calls it.
func (b *book) turn(t turn) *frame {
	b.mu.Lock()
	defer b.mu.Unlock()
	shown := b.seq
	if t.back || b.now.log != t.log || b.now.target != t.target {
		b.forget(t.pages[0].seq)
	}
	b.taken = make(map[string]*entry)
	for _, p := range t.pages {
		b.apply(p, t.log)
	}
	if len(b.order) != len(b.byID) {
		b.clear()
		return nil
	}
	last := t.pages[len(t.pages)-1]
	for _, d := range t.html {
		e := b.order[d.i]
		e.html, e.drawn = d.html, last.items[d.i].Rev
	}
	b.taken = nil
	b.size = 0
	for _, e := range b.order {
		b.size += len(e.html)
	}
	t.pages, t.html = nil, nil
	b.now, b.frames, b.spent = t, make(map[uint64]*frame, 1), 0
	if shown < b.floor || shown == 0 { // nothing before it is known
		return b.whole()
	}
	f := b.write(shown)
	b.frames[shown] = f
	return f
}

// forget makes seq the first state that is known. What is rendered stays. The caller holds mu.
func (b *book) forget(seq uint64) { b.floor, b.passed, b.graves = seq, nil, nil }

// reset forgets everything.
func (b *book) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clear()
}

// clear is reset. The caller holds mu.
func (b *book) clear() {
	b.forget(b.seq + 1)
	b.order, b.byID, b.frames, b.taken, b.seq = nil, nil, nil, nil, 0
}

// apply takes in the next state. The caller holds mu.
func (b *book) apply(p page, log bool) {
	switch {
	case p.again && b.seq > 0:
	case b.seq == 0 || !p.at.newer(b.at) || p.at[0] != b.at[0]:
		b.forget(p.seq)
	}
	if b.byID == nil {
		b.byID = make(map[string]*entry, len(p.items))
	}
	b.reorder(p, log)
	for i, e := range b.order {
		if e.touched == 0 || !equal(e.rev, p.items[i].Rev) {
			e.rev, e.touched = p.items[i].Rev, p.seq
		}
	}
	b.seq, b.at, b.first = p.seq, p.at, p.first
	b.passed = append(b.passed, passage{p.seq, p.at, p.end()})
	if len(b.passed) > maxPassed {
		b.passed = slices.Clone(b.passed[maxPassed/2:])
	}
	b.bury()
}

// reorder makes the order that of p. What both begin and end with is not looked at, so that a
// change costs little. The caller holds mu.
func (b *book) reorder(p page, log bool) {
	from, to := b.part(p.items)
	old, fresh := b.order[from:len(b.order)-to], p.items[from:len(p.items)-to]
	for i, e := range old {
		e.at = i
	}
	mid, was := make([]*entry, len(fresh)), make([]int, len(fresh))
	for i, item := range fresh {
		e := b.byID[item.ID]
		if e == nil {
			e = &entry{id: item.ID, at: -1}
			b.byID[item.ID] = e
			if was := b.taken[e.id]; was != nil {
				e.html, e.drawn = was.html, was.drawn
			}
		}
		mid[i], was[i], e.kept = e, e.at, p.seq
	}
	for i, stays := range longest(was) {
		if !stays {
			mid[i].moved = p.seq
		}
	}
	for _, e := range old {
		if e.kept == p.seq {
			continue
		}
		delete(b.byID, e.id)
		b.taken[e.id] = e
		if !log { // what goes from the front of a log stays in the tabs
			b.graves = append(b.graves, grave{e.id, p.seq})
		}
	}
	b.order = slices.Replace(b.order, from, len(b.order)-to, mid...)
}

// part returns how many items the order has in common with others at its begin and its end.
func (b *book) part(items []Item) (from, to int) {
	n := min(len(b.order), len(items))
	for from < n && b.order[from].id == items[from].ID {
		from++
	}
	for to < n-from && b.order[len(b.order)-1-to].id == items[len(items)-1-to].ID {
		to++
	}
	return from, to
}

// bury bounds the graves: whoever has not seen the oldest starts afresh. The caller holds mu.
func (b *book) bury() {
	if n := len(b.graves) - maxGraves; n > 0 {
		b.floor = max(b.floor, b.graves[n-1].seq)
		b.graves = slices.Delete(b.graves, 0, n)
	}
}

// lookup returns the seq of the state of a revision. Of a log it may be that of an older one, of
// the same epoch.
func (b *book) lookup(at revision) (seq uint64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, found := slices.BinarySearchFunc(b.passed, at, func(p passage, at revision) int {
		switch {
		case p.at == at:
			return 0
		case at.newer(p.at):
			return -1
		}
		return 1
	})
	if !found && b.now.log {
		i--
		found = i >= 0 && b.passed[i].at[0] == at[0]
	}
	if !found || b.passed[i].seq < b.floor {
		return 0, false
	}
	return b.passed[i].seq, true
}

// since returns what a tab is sent that shows the state numbered base; 0: nobody knows what it
// shows. Nil: a newer frame is on its way.
func (b *book) since(base uint64) *frame {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seq == 0 {
		return nil
	}
	if base == 0 {
		return b.whole()
	}
	if base < b.floor || b.passage(base) == nil {
		return b.far()
	}
	if f := b.frames[base]; f != nil {
		return f
	}
	if len(b.frames) > maxBases || b.spent > maxBasesBytes*b.size {
		return b.older(base)
	}
	f := b.write(base)
	b.frames[base] = f
	b.spent += len(f.message)
	return f
}

// older returns a frame with an older base than one that the book has passed, or the whole. The
// caller holds mu.
func (b *book) older(base uint64) *frame {
	var best *frame
	for _, f := range b.frames {
		if f.base > 0 && f.base <= base && (best == nil || f.base > best.base) {
			best = f
		}
	}
	switch {
	case best != nil:
		return best
	case b.passage(base).end+1 >= b.first+uint64(b.begin()): // it shows all that the whole has not
		return b.whole()
	}
	return b.far()
}

// passage returns what is known of a seq, or nil. The caller holds mu.
func (b *book) passage(seq uint64) *passage {
	i, ok := slices.BinarySearchFunc(b.passed, seq, func(p passage, seq uint64) int {
		switch {
		case p.seq < seq:
			return -1
		case p.seq > seq:
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return &b.passed[i]
}

// whole returns the frame that is right for everyone. The caller holds mu.
func (b *book) whole() *frame {
	f := b.frames[0]
	if f == nil {
		f = b.afresh(0)
		b.frames[0] = f
	}
	return f
}

// stray returns what a tab is sent that says that it shows what this replica has not passed. Nil: a
// newer frame is on its way.
func (b *book) stray() *frame {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.seq == 0 {
		return nil
	}
	return b.far()
}

// far returns what a tab is sent that shows something, from which no change leads: the whole. Of a
// log there may be entries between what it shows and the first of that: it is told that so many may
// be missing. The caller holds mu.
func (b *book) far() *frame {
	before := b.first + uint64(b.begin())
	if !b.now.log || before <= 1 {
		return b.whole()
	}
	const key = math.MaxUint64 // no base is
	f := b.frames[key]
	if f == nil {
		f = b.afresh(before - 1)
		b.frames[key] = f
	}
	return f
}

// afresh writes a frame that is right for everyone, but for what it says of a gap. The caller holds
// mu.
func (b *book) afresh(gap uint64) *frame {
	var html []byte
	for _, e := range b.order[b.begin():] {
		html = append(html, e.html...)
	}
	message, states := htmx.State, htmx.Data
	if b.now.back {
		message, states = htmx.Correction, htmx.DataCorrection
	}
	part := htmx.Partial{Target: b.now.target, HTML: string(html), List: &htmx.List{All: true, Gap: gap}}
	f := &frame{seq: b.seq, book: b, message: message(b.topic, b.at[0], b.at[1], append([]htmx.Partial{part}, b.now.head...)...)}
	if b.now.data != nil {
		f.data = states(b.topic, b.at[0], b.at[1], *b.now.data)
	}
	return f
}

// begin returns the place of the first item that the whole has.
func (b *book) begin() int {
	if !b.now.log || b.now.window <= 0 {
		return 0
	}
	return max(len(b.order)-b.now.window, 0)
}

// write writes the frame for tabs that show the state numbered base, which the book has passed. The
// caller holds mu.
func (b *book) write(base uint64) *frame {
	from := b.passage(base)
	if from == nil {
		return b.far()
	}
	if b.now.log && from.end+1 < b.first {
		return b.afresh(b.first + uint64(b.begin()) - from.end - 1)
	}
	list, html, n := b.changes(base)
	if !b.now.log && n > b.size {
		return b.whole()
	}
	part := htmx.Partial{Target: b.now.target, HTML: string(html), List: &list}
	f := &frame{
		seq: b.seq, base: base, book: b,
		message: htmx.Change(b.topic, b.at[0], from.at[1], b.at[1], append([]htmx.Partial{part}, b.now.head...)...),
	}
	switch {
	case len(b.frames) > 0: // it is not the room's own, and tabs that render themselves get no other
	case b.now.change != nil: // it is from what was shown before
		f.data = htmx.DataChange(b.topic, b.at[0], from.at[1], b.at[1], *b.now.change)
	case b.now.data != nil:
		f.data = htmx.Data(b.topic, b.at[0], b.at[1], *b.now.data)
	}
	return f
}

// changes returns what has changed after base, and how long it is, in bytes or so. The caller holds
// mu.
func (b *book) changes(base uint64) (list htmx.List, html []byte, n int) {
	before := ""
	for _, e := range b.order {
		if e.moved > base && !b.now.log {
			list.Put = append(list.Put, htmx.Place{ID: e.id, Behind: before})
			n += len(e.id) + len(before) + 2
		}
		if e.touched > base {
			html = append(html, e.html...)
		}
		before = e.id
	}
	for _, g := range b.graves {
		if g.seq > base && b.byID[g.id] == nil {
			list.Gone = append(list.Gone, g.id)
			n += len(g.id) + 1
		}
	}
	return list, html, n + len(html)
}

// longest marks those of a longest increasing subsequence of the numbers that are not negative.
func longest(was []int) []bool {
	var ends []int // ends[k] is where the run of k+1 numbers with the smallest end ends
	before := make([]int, len(was))
	for i, w := range was {
		if w < 0 {
			continue
		}
		k, _ := slices.BinarySearchFunc(ends, w, func(end, w int) int { return was[end] - w })
		before[i] = -1
		if k > 0 {
			before[i] = ends[k-1]
		}
		if k == len(ends) {
			ends = append(ends, i)
		} else {
			ends[k] = i
		}
	}
	stays := make([]bool, len(was))
	if len(ends) == 0 {
		return stays
	}
	for i := ends[len(ends)-1]; i >= 0; i = before[i] {
		stays[i] = true
	}
	return stays
}
