package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// A book is what is known of a list of items: it makes the frames that a replica sends.
type book struct {
	version int
	order   []*bookItem
	byID    map[string]*bookItem
	gone    map[string]int // in which version it went
	next    int            // number of the next new item
}

type bookItem struct {
	id, text       string
	done           bool
	touched, moved int // in which version its HTML, its place was last changed
	was            int // its place in the version before
}

func (it *bookItem) html() string {
	checked := ""
	if it.done {
		checked = " checked"
	}
	return fmt.Sprintf(`<li id=%[1]q><form data-topic="list:a" data-do="toggle" hx-ws:send><input type="checkbox" name="done" id="c-%[1]s"%[3]s>`+
		`<input name="text" id="x-%[1]s" value=%[2]q><span>%[2]s</span><button>go</button></form></li>`, it.id, it.text, checked)
}

func newBook(n int) *book {
	b := &book{version: 1, byID: map[string]*bookItem{}, gone: map[string]int{}}
	for range n {
		b.insert(len(b.order))
	}
	return b
}

func (b *book) insert(at int) {
	b.next++
	it := &bookItem{id: fmt.Sprintf("i-t%d", b.next), text: fmt.Sprintf("item %d", b.next), touched: b.version, moved: b.version, was: -1}
	b.order = slices.Insert(b.order, at, it)
	b.byID[it.id] = it
	delete(b.gone, it.id)
}

// step makes the next version, with some changes by chance.
func (b *book) step(chance *rand.Rand, changes int) {
	b.version++
	for i, it := range b.order {
		it.was = i
	}
	for range changes {
		b.change(chance)
	}
	b.find()
}

func (b *book) change(chance *rand.Rand) {
	n := len(b.order)
	kind := chance.IntN(10)
	switch {
	case n == 0 || kind < 2 && n < 120:
		b.insert(chance.IntN(n + 1))
	case kind < 4:
		at := chance.IntN(n)
		it := b.order[at]
		b.order = slices.Delete(b.order, at, at+1)
		delete(b.byID, it.id)
		b.gone[it.id] = b.version
	case kind < 6:
		at := chance.IntN(n)
		it := b.order[at]
		b.order = slices.Insert(slices.Delete(b.order, at, at+1), chance.IntN(n), it)
	default:
		it := b.order[chance.IntN(n)]
		it.text, it.done, it.touched = fmt.Sprintf("text %d", chance.IntN(1000)), chance.IntN(2) == 0, b.version
	}
}

// find marks what has moved: all that is in none of the longest runs that keep their order.
func (b *book) find() {
	var tails []int
	prev, stays := make([]int, len(b.order)), make([]bool, len(b.order))
	for i, it := range b.order {
		k, _ := slices.BinarySearchFunc(tails, it.was, func(t, was int) int { return b.order[t].was - was })
		if prev[i] = -1; k > 0 {
			prev[i] = tails[k-1]
		}
		if it.was < 0 {
			continue
		}
		tails = append(tails, i)[:max(len(tails), k+1)]
		tails[k] = i
	}
	for j := append([]int{-1}, tails...)[len(tails)]; j >= 0; j = prev[j] {
		stays[j] = true
	}
	for i, it := range b.order {
		if !stays[i] {
			it.moved = b.version
		}
	}
}

// since is the content of a frame that is right from a version on; a negative one: all.
func (b *book) since(base int) string {
	var put, gone []string
	var html strings.Builder
	before := ""
	for _, it := range b.order {
		if it.moved > base {
			put = append(put, it.id+":"+before)
		}
		if it.touched > base {
			html.WriteString(it.html())
		}
		before = it.id
	}
	for id, v := range b.gone {
		if v > base {
			gone = append(gone, id)
		}
	}
	if base < 0 {
		return `<hx-list hx-target="#items" all>` + html.String() + `</hx-list>`
	}
	return fmt.Sprintf(`<hx-list hx-target="#items" put=%q gone=%q>%s</hx-list>`, strings.Join(put, " "), strings.Join(gone, " "), html.String())
}

// html is the list as a page has it.
func (b *book) html() string {
	var html strings.Builder
	fmt.Fprintf(&html, `<section id="list" data-topic="list:a" data-epoch="1" data-version="%d"><ul id="items" data-list>`, b.version)
	for _, it := range b.order {
		html.WriteString(it.html())
	}
	return html.String() + `</ul><div id="head"></div></section>`
}

// shown is what a tab is to show.
func (b *book) shown() string {
	var all []string
	for _, it := range b.order {
		all = append(all, fmt.Sprintf("%s %s %v %s", it.id, it.text, it.done, it.text))
	}
	return strings.Join(all, "\n")
}
