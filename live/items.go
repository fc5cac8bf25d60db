package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"lockstep/htmx"
)

// Items are a state as a room of items shows it: an element whose children have ids. Each item is
// rendered once for each of its revisions, and tabs are sent what has changed since the version
// that they show; see book.go.
type Items struct {
	// Target is the CSS selector of the element whose children the items are: a constant of the
	// program, never user input.
	Target string
	// Len is how many items there are, and Item returns one of them, from 0 on. It should cost
	// little: it is called for all items, each time one has changed.
	Len  int
	Item func(i int) Item
	// Head is shown whole with each version, in the element that HeadTarget selects: how many items
	// there are, say. Nil: there is none.
	HeadTarget string
	Head       Component

	// Log says that the items are entries, which come at the end and never change; those that go at
	// the front stay where a tab has them. First is the number of item 0, from 1. Window is how many
	// of the newest a tab is shown that begins afresh; 0: all.
	Log    bool
	First  uint64
	Window int
}

// An Item is one of Items.
type Item struct {
	// ID is that of the item's element: 1 to 64 of [A-Za-z0-9_-], and no other item's. Of a log it
	// should be, but two entries of one ID are both shown.
	ID string
	// Rev can be compared, and is another one whenever the item's HTML is.
	Rev any
	// Render returns the item's element. Nothing in it may be one person's: all tabs get it.
	Render func() Component
}

// maxItemID is how long the id of an item may be, in bytes.
const maxItemID = 64

var errItems = errors.New("the callback returned items that can't be shown")

// all returns the items, or what is wrong with them. Whether two have one id the book finds.
func (it *Items) all() ([]Item, error) {
	if it.Len < 0 || it.Len > 0 && it.Item == nil || it.Log && it.First == 0 {
		return nil, fmt.Errorf("%w: Len, Item or First is missing", errItems)
	}
	all := make([]Item, it.Len)
	for i := range all {
		item := it.Item(i)
		if !validItemID(item.ID) || item.Render == nil || !equal(item.Rev, item.Rev) {
			return nil, fmt.Errorf("%w: item %d", errItems, i)
		}
		if it.Log {
			item.Rev = named{item.ID, item.Rev}
			item.ID = strconv.FormatUint(it.First+uint64(i), 10)
		}
		all[i] = item
	}
	return all, nil
}

// A named is the revision of an entry. A book knows entries by their numbers: what names them may
// come twice in a log, where nobody compares it with those that are there already, and then all
// are to be shown.
type named struct {
	id  string
	rev any
}

func validItemID(id string) bool {
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return len(id) >= 1 && len(id) <= maxItemID
}

// htmlOf renders a component.
func htmlOf(c Component) ([]byte, error) {
	if c == nil {
		return nil, errors.New("the callback returned no component")
	}
	var html bytes.Buffer
	if err := c.Render(context.Background(), &html); err != nil {
		return nil, err
	}
	return html.Bytes(), nil
}

// head returns what is shown whole with each version.
func (it *Items) head() ([]htmx.Partial, error) {
	if it.Head == nil {
		return nil, nil
	}
	html, err := htmlOf(it.Head)
	return []htmx.Partial{{Target: it.HeadTarget, HTML: string(html)}}, err
}

// renderItems is render for a state that Items has made items of.
func (rs *Rooms[S]) renderItems(r *stateRoom[S], k known[S], n page, back bool, before []accepted[S], it Items) (*frame, error) {
	defer r.seen(n.seq)
	items, err := it.all()
	if err != nil {
		return nil, err
	}
	head, err := it.head()
	if err != nil {
		return nil, err
	}
	html, err := r.book.draw(items)
	if err != nil {
		return nil, err
	}
	n.items, n.first = items, it.First
	t := turn{
		pages: append(rs.pages(r, before, n.seq), n), html: html, head: head, back: back,
		target: it.Target, log: it.Log, window: it.Window,
	}
	if r.wantsData.Load() {
		t.data, t.change = rs.dataOf(r, k)
	}
	f := r.book.turn(t)
	if f == nil {
		return nil, fmt.Errorf("%w: two have one id", errItems)
	}
	return f, nil
}

// seen forgets the states that wait to be shown, up to seq.
func (r *stateRoom[S]) seen(seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = slices.DeleteFunc(r.before, func(a accepted[S]) bool { return a.seq <= seq })
}

// pages returns the states that were accepted before the one numbered seq, as items. One that can't
// be shown is left out: a tab that shows it is sent everything.
func (rs *Rooms[S]) pages(r *stateRoom[S], before []accepted[S], seq uint64) (all []page) {
	for _, a := range before {
		if a.seq >= seq {
			break
		}
		var items []Item
		var first uint64
		failed := rs.rt.guard.Call("Items", func() {
			if it, ok := rs.items(r.key, a.state); ok {
				items, _ = it.all()
				first = it.First
			}
		})
		if failed == nil && items != nil {
			all = append(all, page{seq: a.seq, at: a.at, items: items, first: first})
		}
	}
	return all
}

// items calls Items.
func (rs *Rooms[S]) items(key string, s S) (it Items, ok bool) {
	if rs.opts.Items == nil {
		return Items{}, false
	}
	return rs.opts.Items(key, s)
}

// dataOf returns the newest state for tabs that render themselves, and what has changed since the
// last that was rendered; nil: nothing can be said. Only flush calls it.
func (rs *Rooms[S]) dataOf(r *stateRoom[S], k known[S]) (data, change *string) {
	was := r.drawn
	r.drawn = &k
	b, ok := rs.data(k.state)
	if !ok {
		r.drawn = nil
		return nil, nil
	}
	whole := string(b)
	if was == nil || rs.opts.Change == nil {
		return &whole, nil
	}
	var made bool
	err := rs.rt.guard.Call("Change", func() { b, made = rs.opts.Change(was.state, k.state) })
	if err != nil || !made {
		return &whole, nil
	}
	text := string(b)
	return &whole, &text
}

// wholeItems is a message with all items of a state that is no page of a book.
func (rs *Rooms[S]) wholeItems(it Items) ([]htmx.Partial, error) {
	items, err := it.all()
	if err != nil {
		return nil, err
	}
	if it.Log && it.Window > 0 {
		items = items[max(len(items)-it.Window, 0):]
	}
	var all bytes.Buffer
	for _, item := range items {
		html, err := htmlOf(item.Render())
		if err != nil {
			return nil, err
		}
		all.Write(html)
	}
	head, err := it.head()
	part := htmx.Partial{Target: it.Target, HTML: all.String(), List: &htmx.List{All: true}}
	return append([]htmx.Partial{part}, head...), err
}
