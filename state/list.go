package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
)

// MaxItemID bounds the id of an item, in bytes.
const MaxItemID = 40

// Errors of a List, in words for the person who acted: they are reasons of refusals.
var (
	ErrNoItem     = errors.New("this is not there any more")
	ErrItemExists = errors.New("this is there already")
	ErrItemID     = errors.New("this can't be the id of an item")
)

// A List is items with ids in an order. An id is 1 to MaxItemID of A-Z, a-z, 0-9, _ and -. A List
// is a value: its methods return another list, which shares with it what is the same, so
// both may be used and kept, also concurrently. What is in an item must not be changed in
// place. The zero List is empty.
//
// A change copies a pointer for each item and encodes one item: for a list of 1,000 that is a few
// microseconds. As JSON a list is [["id",value],…], where values are as encoding/json has
// them; each is encoded once, whatever is done with the list.
type List[T any] struct {
	items []*item[T] // is never changed
}

// An item is never changed; it may be in many lists.
type item[T any] struct {
	id  string
	v   T
	raw atomic.Pointer[string] // v as JSON; nil: it was not encoded yet
}

// Len returns how many items there are.
func (l List[T]) Len() int { return len(l.items) }

// At returns the item at a place, from 0 to Len less 1.
func (l List[T]) At(i int) (id string, v T) { return l.items[i].id, l.items[i].v }

// Stamp returns a text that stands for the value of the item at a place: two items with the same
// have the same value, also when they are of lists that share nothing. It is the value as JSON;
// empty when that can't be.
func (l List[T]) Stamp(i int) string {
	raw, _ := l.items[i].encoded() // a list with such an item can't be written
	return raw
}

// Get returns the value of an item. ok is false when there is none.
func (l List[T]) Get(id string) (v T, ok bool) {
	if i := l.Index(id); i >= 0 {
		return l.items[i].v, true
	}
	return v, false
}

// Index returns the place of an item, or -1.
func (l List[T]) Index(id string) int {
	for i, it := range l.items {
		if it.id == id {
			return i
		}
	}
	return -1
}

// All returns all items in their order.
func (l List[T]) All() iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		for _, it := range l.items {
			if !yield(it.id, it.v) {
				return
			}
		}
	}
}

// Insert puts a new item behind another, or to the front if behind is empty. Errors are ErrItemID,
// ErrItemExists, and ErrNoItem when there is nothing to put it behind.
func (l List[T]) Insert(id string, v T, behind string) (List[T], error) {
	if err := l.free(id); err != nil {
		return l, err
	}
	i, err := l.placeBehind(behind)
	if err != nil {
		return l, err
	}
	return l.with(i, &item[T]{id: id, v: v}), nil
}

// Append puts a new item to the end. Errors are ErrItemID and ErrItemExists.
func (l List[T]) Append(id string, v T) (List[T], error) {
	if err := l.free(id); err != nil {
		return l, err
	}
	return l.with(len(l.items), &item[T]{id: id, v: v}), nil
}

// Set gives an item another value. The error is ErrNoItem.
func (l List[T]) Set(id string, v T) (List[T], error) {
	i := l.Index(id)
	if i < 0 {
		return l, ErrNoItem
	}
	items := slices.Clone(l.items)
	items[i] = &item[T]{id: id, v: v}
	return List[T]{items}, nil
}

// Move puts an item behind another, or to the front if behind is empty. Behind itself it
// stays where it is. The error is ErrNoItem.
func (l List[T]) Move(id, behind string) (List[T], error) {
	from := l.Index(id)
	to, err := l.placeBehind(behind)
	if from < 0 || err != nil {
		return l, ErrNoItem
	}
	if to == from || to == from+1 {
		return l, nil
	}
	items, it := slices.Clone(l.items), l.items[from]
	if to < from {
		copy(items[to+1:from+1], l.items[to:from])
		items[to] = it
	} else {
		copy(items[from:to-1], l.items[from+1:to])
		items[to-1] = it
	}
	return List[T]{items}, nil
}

// Remove takes an item out. The error is ErrNoItem.
func (l List[T]) Remove(id string) (List[T], error) {
	i := l.Index(id)
	if i < 0 {
		return l, ErrNoItem
	}
	items := make([]*item[T], 0, len(l.items)-1)
	return List[T]{append(append(items, l.items[:i]...), l.items[i+1:]...)}, nil
}

// free returns nil when an item can have an id.
func (l List[T]) free(id string) error {
	switch {
	case !isItemID(id):
		return ErrItemID
	case l.Index(id) >= 0:
		return ErrItemExists
	}
	return nil
}

func isItemID(id string) bool {
	return len(id) >= 1 && len(id) <= MaxItemID &&
		strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

// placeBehind returns the place after an item.
func (l List[T]) placeBehind(id string) (int, error) {
	if id == "" {
		return 0, nil
	}
	if i := l.Index(id); i >= 0 {
		return i + 1, nil
	}
	return 0, ErrNoItem
}

// with returns the list with one more item at a place.
func (l List[T]) with(i int, it *item[T]) List[T] {
	items := make([]*item[T], 0, len(l.items)+1)
	return List[T]{append(append(append(items, l.items[:i]...), it), l.items[i:]...)}
}

// shares implements sharer.
func (List[T]) shares() {}

// encoded returns the value as JSON.
func (it *item[T]) encoded() (string, error) {
	if raw := it.raw.Load(); raw != nil {
		return *raw, nil
	}
	b, err := json.Marshal(it.v)
	if err != nil {
		return "", fmt.Errorf("state: the item %s: %w", it.id, err)
	}
	raw := string(b)
	it.raw.Store(&raw)
	return raw, nil
}

// same reports whether an item has the value of another with the same id, or nil.
func (it *item[T]) same(other *item[T]) (bool, error) {
	if it == other || other == nil {
		return it == other, nil
	}
	a, err := it.encoded()
	if err != nil {
		return false, err
	}
	b, err := other.encoded()
	return a == b, err
}

// appendTo appends ["id",value].
func (it *item[T]) appendTo(b []byte) ([]byte, error) {
	raw, err := it.encoded()
	if err != nil {
		return b, err
	}
	b = append(append(b, `["`...), it.id...)
	b = append(append(b, `",`...), raw...)
	return append(b, ']'), nil
}

// AppendJSON appends the list as JSON. Unlike json.Marshal it does not look at each byte again.
func (l List[T]) AppendJSON(b []byte) (_ []byte, err error) {
	size := 2
	for _, it := range l.items {
		raw, err := it.encoded()
		if err != nil {
			return b, err
		}
		size += len(it.id) + len(raw) + len(`["",],`)
	}
	b = append(slices.Grow(b, size), '[')
	for i, it := range l.items {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = it.appendTo(b); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

// MarshalJSON implements json.Marshaler.
func (l List[T]) MarshalJSON() ([]byte, error) { return l.AppendJSON(nil) }

// UnmarshalJSON implements json.Unmarshaler. An id that is none, or twice in the list, is an error.
func (l *List[T]) UnmarshalJSON(data []byte) error {
	var items []*item[T]
	if err := json.Unmarshal(data, &items); err != nil {
		return err
	}
	known := make(map[string]struct{}, len(items))
	for _, it := range items {
		if it == nil {
			return errors.New("state: an item that is null")
		}
		known[it.id] = struct{}{}
	}
	if len(known) < len(items) {
		return errors.New("state: two items with one id")
	}
	l.items = items
	return nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (it *item[T]) UnmarshalJSON(data []byte) error {
	id, raw, err := cutItem(data)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &it.v); err != nil {
		return err
	}
	text := string(raw)
	it.id = id
	it.raw.Store(&text)
	return nil
}

// cutItem reads ["id",value], which is valid JSON.
func cutItem(data []byte) (id string, raw []byte, err error) {
	if rest, ok := bytes.CutPrefix(data, []byte(`["`)); ok {
		if id, raw, ok := bytes.Cut(rest, []byte(`",`)); ok && isItemID(string(id)) {
			// What else the array has makes the value no valid JSON.
			return string(id), raw[:len(raw)-1], nil
		}
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(data, &parts); err != nil || len(parts) != 2 {
		return "", nil, errors.New("state: an item is an id and a value")
	}
	if err := json.Unmarshal(parts[0], &id); err != nil || !isItemID(id) {
		return "", nil, errors.New("state: an item without an id")
	}
	return id, parts[1], nil
}
