package state

import (
	"encoding/json"
	"errors"
	"slices"
	"sort"
)

// errChange means that a change does not lead from a list to another.
var errChange = errors.New("state: this is not a change of this list")

// A listChange leads from a list to a newer one.
type listChange[T any] struct {
	// Put are items that are new or have moved, in the order of the newer list, each with the one
	// that is before it there; "" is the front. All others keep their order.
	Put  [][2]string `json:"put"`
	Set  []*item[T]  `json:"set"`  // items that are new or have changed
	Gone []string    `json:"gone"` // ids of the older list that the newer has not
}

// Diff returns the change that leads from before to l, for Patch. As JSON it is
// {"put":[["id","pred"],…],"set":[["id",value],…],"gone":["id",…]}, where what is empty is
// left out. Its size grows with what has changed; an item that has moved costs two ids. The
// lists may share nothing. The error is that of a value that can't be encoded.
func (l List[T]) Diff(before List[T]) ([]byte, error) {
	c, err := changeBetween(before.items, l.items)
	if err != nil {
		return nil, err
	}
	return c.appendJSON(nil)
}

// changeBetween returns what leads from a list to another.
func changeBetween[T any](before, after []*item[T]) (c listChange[T], err error) {
	was, left := align(before, after)
	for i, it := range after {
		old := was[i]
		if old == nil {
			c.Put = append(c.Put, [2]string{it.id, idBefore(after, i)})
			old = left[it.id]
			delete(left, it.id)
		}
		same, err := it.same(old)
		if err != nil {
			return c, err
		}
		if !same {
			c.Set = append(c.Set, it)
		}
	}
	for id := range left {
		c.Gone = append(c.Gone, id)
	}
	slices.Sort(c.Gone)
	return c, nil
}

// idBefore returns the id of the item before a place, or "".
func idBefore[T any](items []*item[T], i int) string {
	if i == 0 {
		return ""
	}
	return items[i-1].id
}

// Bounds of align.
const (
	alignAhead = 8  // how far it looks for the same item
	alignLeft  = 64 // how many items it may find out of place
)

// align returns for each item of after the one of before with the same id, if it need not
// move: those are in the same order in both. left are all others of before. It walks through
// both lists at once, which is quick when few items have moved, and looks at all of them when
// many have.
func align[T any](before, after []*item[T]) (was []*item[T], left map[string]*item[T]) {
	was, left = make([]*item[T], len(after)), make(map[string]*item[T])
	i, j, moved := 0, 0, 0
	for i < len(before) && j < len(after) {
		if before[i] == after[j] || before[i].id == after[j].id {
			was[j] = before[i]
			i, j = i+1, j+1
			continue
		}
		gone, put := apart(before[i:], after[j:])
		if moved += gone + put; gone+put == 0 || moved > alignLeft {
			return alignAll(before, after)
		}
		for _, it := range before[i : i+gone] {
			left[it.id] = it
		}
		i, j = i+gone, j+put
	}
	for _, it := range before[i:] {
		left[it.id] = it
	}
	return was, left
}

// apart returns how many items of before are to be left out, or else of after, so that both go on
// with the same one; 0 and 0 when that is not to be seen from here.
func apart[T any](before, after []*item[T]) (gone, put int) {
	for n := 1; n <= alignAhead; n++ {
		if n < len(before) && before[n].id == after[0].id {
			return n, 0
		}
		if n < len(after) && after[n].id == before[0].id {
			return 0, n
		}
	}
	return 0, 0
}

// alignAll is align, and finds the most items that need not move.
func alignAll[T any](before, after []*item[T]) (was []*item[T], left map[string]*item[T]) {
	place := make(map[string]int, len(before))
	left = make(map[string]*item[T], len(before))
	for i, it := range before {
		place[it.id], left[it.id] = i, it
	}
	places := make([]int, len(after))
	for j, it := range after {
		places[j] = -1
		if i, ok := place[it.id]; ok {
			places[j] = i
		}
	}
	was = make([]*item[T], len(after))
	for _, j := range longestIncreasing(places) {
		was[j] = before[places[j]]
		delete(left, after[j].id)
	}
	return was, left
}

// longestIncreasing returns where the numbers of a longest increasing subsequence are, the last
// first. Numbers below 0 are in none.
func longestIncreasing(numbers []int) (at []int) {
	var ends []int // of the best subsequence of each length, where its last number is
	before := make([]int, len(numbers))
	for i, n := range numbers {
		if n < 0 {
			continue
		}
		k := sort.Search(len(ends), func(k int) bool { return numbers[ends[k]] >= n })
		before[i] = -1
		if k > 0 {
			before[i] = ends[k-1]
		}
		if k == len(ends) {
			ends = append(ends, i)
		}
		ends[k] = i
	}
	if len(ends) == 0 {
		return nil
	}
	for i := ends[len(ends)-1]; i >= 0; i = before[i] {
		at = append(at, i)
	}
	return at
}

// appendJSON appends the change as JSON.
func (c *listChange[T]) appendJSON(b []byte) (_ []byte, err error) {
	sep := byte('{')
	part := func(name string) {
		b = append(append(append(b, sep, '"'), name...), `":[`...)
		sep = ','
	}
	comma := func(i int) {
		if i > 0 {
			b = append(b, ',')
		}
	}
	if len(c.Put) > 0 {
		part("put")
		for i, p := range c.Put {
			comma(i)
			b = append(append(append(append(append(b, `["`...), p[0]...), `","`...), p[1]...), `"]`...)
		}
		b = append(b, ']')
	}
	if len(c.Set) > 0 {
		part("set")
		for i, it := range c.Set {
			comma(i)
			if b, err = it.appendTo(b); err != nil {
				return b, err
			}
		}
		b = append(b, ']')
	}
	if len(c.Gone) > 0 {
		part("gone")
		for i, id := range c.Gone {
			comma(i)
			b = append(append(append(b, '"'), id...), '"')
		}
		b = append(b, ']')
	}
	if sep == '{' {
		b = append(b, '{')
	}
	return append(b, '}'), nil
}

// Patch returns the list to which a change leads, which Diff has made from l, or anything
// else: what does not fit l is an error, and the list that is returned is always one that can
// be.
func (l List[T]) Patch(change []byte) (List[T], error) {
	var c listChange[T]
	if err := json.Unmarshal(change, &c); err != nil {
		return l, errChange
	}
	goes := make(map[string]struct{}, len(c.Put)+len(c.Gone)) // who does not stay in place
	for _, id := range c.Gone {
		goes[id] = struct{}{}
	}
	for _, p := range c.Put {
		goes[p[0]] = struct{}{}
	}
	sets := make(map[string]*item[T], len(c.Set))
	for _, it := range c.Set {
		if it == nil {
			return l, errChange
		}
		sets[it.id] = it
	}
	if len(goes) != len(c.Put)+len(c.Gone) || len(sets) != len(c.Set) {
		return l, errChange
	}
	return l.patch(&c, goes, sets)
}

// patch is Patch; goes are the ids of what is put and gone, and sets what is set, which it empties.
func (l List[T]) patch(c *listChange[T], goes map[string]struct{}, sets map[string]*item[T]) (List[T], error) {
	stay, moved := l.part(goes, sets)
	for _, id := range c.Gone {
		if moved[id] == nil {
			return l, errChange
		}
		delete(moved, id)
	}
	items := make([]*item[T], 0, len(stay)+len(c.Put))
	for _, p := range c.Put {
		it := sets[p[0]]
		if delete(sets, p[0]); it == nil {
			it = moved[p[0]]
		}
		n := placesUntil(items, stay, p[1])
		if it == nil || n < 0 {
			return l, errChange
		}
		items = append(append(items, stay[:n]...), it)
		stay = stay[n:]
	}
	if len(sets) > 0 {
		return l, errChange
	}
	return List[T]{append(items, stay...)}, nil
}

// part returns the items that stay in their order, as they are set, and those that are in goes.
func (l List[T]) part(goes map[string]struct{}, sets map[string]*item[T]) (stay []*item[T], moved map[string]*item[T]) {
	stay, moved = make([]*item[T], 0, len(l.items)), make(map[string]*item[T], len(goes))
	for _, it := range l.items {
		if _, yes := goes[it.id]; yes {
			moved[it.id] = it
			continue
		}
		if newer := sets[it.id]; newer != nil {
			delete(sets, it.id)
			it = newer
		}
		stay = append(stay, it)
	}
	return stay, moved
}

// placesUntil returns how many of stay have to come behind items for the last to be the one
// with an id, or -1. The empty id is what is before the first.
func placesUntil[T any](items, stay []*item[T], id string) int {
	if idBefore(items, len(items)) == id {
		return 0
	}
	for i, it := range stay {
		if it.id == id {
			return i + 1
		}
	}
	return -1
}
