// Package items is what a page shows of a list or a log, item by item: it reads the elements of
// pages and of messages, and takes changes in as the page's scripts do. It is for what stands
// in for browsers in loads and tests; it knows nothing of the product but the wire
// (docs/protocol.md).
package items

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"lockstep/internal/history"
)

// A Kind is what items are of.
type Kind bool

// The kinds.
const (
	List Kind = false // things in an order
	Log  Kind = true  // entries, which stay as they are
)

// String is its name for people.
func (k Kind) String() string {
	if k == Log {
		return "log"
	}
	return "list"
}

// An Item is one thing in a list, or an entry of a log.
type Item struct {
	ID   string // without the prefix that it has as the id of an element
	N    uint64 // its number in a log, from 1; 0: it is of a list
	Text string
	Done bool
}

// Items are what a tab shows of a list or a log: of the latter the newest. They must not be
// changed.
type Items struct {
	Kind  Kind
	Epoch uint64 // of the state that they are
	All   []Item
}

// A Change says how items of an older version become those of a newer one.
type Change struct {
	Epoch, Version uint64
	Base           uint64 // the version from which it is right, if HasBase
	HasBase        bool   // otherwise it is right for everybody
	Whole          bool   // Items are all there are
	Items          []Item // that are new, or look otherwise
	Put            []Place
	Gone           []string
	Gap            uint64 // entries before these may be missing: about so many
}

// A Place is where an item is: behind another one, or first behind "".
type Place struct{ ID, Behind string }

// keptEntries is how many entries of a log a tab keeps in mind, and judgedEntries how many of these
// are compared with what other tabs show: each page has so many, or all there are.
const (
	keptEntries   = 64
	judgedEntries = 20
)

// Count is how many items there are, or how many entries there ever were.
func (m *Items) Count() int64 {
	if m.Kind == Log {
		return int64(m.Last())
	}
	return int64(len(m.All))
}

// Sum is a short text that is the same for all who show the same at a version: of a log only the
// newest entries are in it.
func (m *Items) Sum() string {
	all, noun := m.All, "items"
	if m.Kind == Log {
		all, noun = all[max(0, len(all)-judgedEntries):], "entries"
	}
	sum := fnv.New64a()
	for _, item := range all {
		_, _ = fmt.Fprintf(sum, "%s\x00%d\x00%s\x00%v\x00", item.ID, item.N, item.Text, item.Done)
	}
	return fmt.Sprintf("%d %s, sum %x", m.Count(), noun, sum.Sum64())
}

// Value is what is shown as package history has it.
func (m *Items) Value() string {
	if m.Kind == Log {
		entries := make([]history.Entry, 0, len(m.All))
		for _, e := range m.All {
			entries = append(entries, history.Entry{N: e.N, ID: e.ID, Text: e.Text})
		}
		return history.LogValue(entries)
	}
	list := make([]history.Item, 0, len(m.All))
	for _, i := range m.All {
		list = append(list, history.Item{ID: i.ID, Text: i.Text, Done: i.Done})
	}
	return history.ListValue(list)
}

// Last is the number of the newest entry; 0: there is none.
func (m *Items) Last() uint64 {
	if len(m.All) == 0 {
		return 0
	}
	return m.All[len(m.All)-1].N
}

// Index is where an item is; -1: nowhere.
func (m *Items) Index(id string) int { return index(m.All, id) }

func index(all []Item, id string) int {
	return slices.IndexFunc(all, func(item Item) bool { return item.ID == id })
}

// Take returns what a page shows after a change. An error says what of it does not fit what was
// shown; the page shows the rest. A nil m shows nothing. The caller has seen that the change fits.
func (m *Items) Take(c *Change, k Kind) (*Items, error) {
	before, goesOn := []Item(nil), false
	if m != nil {
		before, goesOn = m.All, m.Epoch == c.Epoch
	}
	next := &Items{Kind: k, Epoch: c.Epoch}
	var err error
	switch {
	case k == Log:
		next.All, err = takeEntries(before, c, goesOn)
	case c.Whole:
		next.All, err = slices.Clone(c.Items), twice(c.Items)
	default:
		next.All, err = takeItems(before, c)
	}
	return next, err
}

// twice says which item is there more than once.
func twice(all []Item) error {
	there := make(map[string]bool, len(all))
	for _, item := range all {
		if there[item.ID] {
			return fmt.Errorf("has %s twice", item.ID)
		}
		there[item.ID] = true
	}
	return nil
}

// takeItems puts items in their places.
func takeItems(before []Item, c *Change) (all []Item, err error) {
	all = slices.DeleteFunc(slices.Clone(before), func(item Item) bool { return slices.Contains(c.Gone, item.ID) })
	fresh := make(map[string]Item)
	var late []string
	for _, item := range c.Items {
		if i := index(all, item.ID); i >= 0 {
			all[i] = item
			continue
		}
		fresh[item.ID] = item
		if !slices.ContainsFunc(c.Put, func(p Place) bool { return p.ID == item.ID }) {
			late = append(late, item.ID)
		}
	}
	for _, p := range c.Put {
		item, isNew := fresh[p.ID]
		if i := index(all, p.ID); i >= 0 {
			item = all[i]
			all = slices.Delete(all, i, i+1)
		} else if !isNew {
			err = errors.Join(err, fmt.Errorf("puts %s in its place, which is not there", p.ID))
			continue
		}
		at := index(all, p.Behind) + 1
		if at == 0 && p.Behind != "" {
			err = errors.Join(err, fmt.Errorf("puts %s behind %s, which is not there", p.ID, p.Behind))
			at = len(all)
		}
		all = slices.Insert(all, at, item)
	}
	for _, id := range late {
		all = append(all, fresh[id])
	}
	return all, errors.Join(err, twice(c.Items))
}

// takeEntries appends entries that are new. In another epoch nobody knows what is missing: it
// may be lost.
func takeEntries(before []Item, c *Change, goesOn bool) (all []Item, err error) {
	all = slices.Clone(before)
	last := (&Items{All: before}).Last()
	if c.Whole {
		all = nil
		if goesOn && len(c.Items) > 0 && last > 0 && c.Items[0].N > last+1 && c.Gap == 0 {
			err = fmt.Errorf("goes on with entry %d after entry %d, and does not say that some are missing", c.Items[0].N, last)
		}
	}
	for _, item := range c.Items {
		newest := (&Items{All: all}).Last()
		switch i := index(all, item.ID); {
		case i >= 0 && all[i] == item && !c.Whole:
		case i >= 0:
			err = errors.Join(err, fmt.Errorf("has entry %s as %d, which was %d before", item.ID, item.N, all[i].N))
		case len(all) > 0 && item.N < all[0].N: // it was there, and is not kept any more
		case item.N <= newest:
			err = errors.Join(err, fmt.Errorf("has entry %d, which is new, behind entry %d", item.N, newest))
		case len(all) > 0 && item.N != newest+1:
			err = errors.Join(err, fmt.Errorf("has entry %d right behind entry %d", item.N, newest))
			all = append(all, item)
		default:
			all = append(all, item)
		}
	}
	return slices.Clip(all[max(0, len(all)-keptEntries):]), err
}
