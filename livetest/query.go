package livetest

import (
	"strconv"
	"strings"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"
)

// A Query says which elements of a page are meant. Only what is shown is found.
type Query struct {
	what string
	fits func(d *document, n *html.Node) bool
}

// String says in words what is looked for.
func (q Query) String() string { return q.what }

// Role finds elements by their role, "button", "link", "textbox", "listitem", and their accessible
// name, as people with a screen reader do. Name "": any.
func Role(role, name string) Query {
	what := role
	if name != "" {
		what += " " + quoted(name)
	}
	return Query{what, func(d *document, n *html.Node) bool {
		return roleOf(n) == role && (name == "" || d.name(n) == tidy(name))
	}}
}

// Label finds the field that has a label.
func Label(label string) Query {
	return Query{"field " + quoted(label), func(d *document, n *html.Node) bool { return isField(n) && d.name(n) == tidy(label) }}
}

// Text finds the innermost elements in whose text there is a text.
func Text(text string) Query {
	text = tidy(text)
	return Query{"text " + quoted(text), func(d *document, n *html.Node) bool {
		if !strings.Contains(d.textOf(n), text) {
			return false
		}
		for _, c := range elements(n) {
			if d.isShown(c) && strings.Contains(d.textOf(c), text) {
				return false
			}
		}
		return true
	}}
}

// CSS finds elements by a selector. One that can't be read finds nothing, and says so.
func CSS(selector string) Query {
	s, err := cascadia.Parse(selector)
	if err != nil {
		return Query{"what " + quoted(selector) + " selects (" + err.Error() + ")", func(*document, *html.Node) bool { return false }}
	}
	return Query{"what " + quoted(selector) + " selects", func(_ *document, n *html.Node) bool { return s.Match(n) }}
}

// Having finds those of q in which there is something else, or which are that, too. The item of
// milk is Role("listitem", "").Having(Text("milk")).
func (q Query) Having(other Query) Query {
	return Query{q.what + " with " + other.what, func(d *document, n *html.Node) bool {
		return q.fits(d, n) && (other.fits(d, n) || len(d.find(n, other)) > 0)
	}}
}

// find returns what a query means below an element. The caller holds Browser.mu.
func (d *document) find(root *html.Node, q Query) []*html.Node {
	return within(root, func(n *html.Node) bool { return d.isShown(n) && q.fits(d, n) })
}

// Find waits until there is exactly one element that a query means, and returns it.
func (tab *Tab) Find(q Query) *Element {
	tab.t.Helper()
	return tab.findIn(nil, q)
}

// All returns all elements that a query means now, in the order of the page.
func (tab *Tab) All(q Query) (all []*Element) {
	tab.b.mu.Lock()
	defer tab.b.mu.Unlock()
	for _, n := range tab.page.doc.find(tab.page.doc.root, q) {
		all = append(all, &Element{tab, tab.page, n})
	}
	return all
}

// Count waits until a query means n elements.
func (tab *Tab) Count(q Query, n int) {
	tab.t.Helper()
	found := 0
	ctx, cancel := tab.patience()
	defer cancel()
	if !tab.wait(ctx, func() bool { found = len(tab.page.doc.find(tab.page.doc.root, q)); return found == n }) {
		tab.fatalf("has %d of: %s; want %d", found, q, n)
	}
}

// findIn is Find below an element; nil: in the page.
func (tab *Tab) findIn(root *html.Node, q Query) *Element {
	tab.t.Helper()
	var found []*html.Node
	ctx, cancel := tab.patience()
	defer cancel()
	var p *page
	ok := tab.wait(ctx, func() bool {
		p = tab.page
		in := root
		if in == nil {
			in = p.doc.root
		}
		found = p.doc.find(in, q)
		return len(found) == 1
	})
	switch {
	case ok:
		return &Element{tab, p, found[0]}
	case len(found) > 1:
		tab.fatalf("has %d of these, and one was looked for: %s", len(found), q)
	}
	tab.fatalf("has nothing like this: %s", q)
	return nil
}

func quoted(text string) string { return strconv.Quote(text) }
