package livetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"lockstep/htmx"
)

// maxOp is the longest message of an op, in bytes, less what its numbers may grow by.
const maxOp = htmx.MaxEvent - 128

// A document is what a page shows, with what a person has typed. It is guarded by Browser.mu.
type document struct {
	root   *html.Node
	script bool
	edited map[*html.Node]string // by control: what was typed; of a select, what was chosen
	checks map[*html.Node]bool   // by control: whether it is checked, where that is not as the HTML says
}

func newDocument(root *html.Node, script bool) *document {
	return &document{root: root, script: script, edited: make(map[*html.Node]string), checks: make(map[*html.Node]bool)}
}

// all returns the elements that f reports, in their order.
func (d *document) all(f func(n *html.Node) bool) []*html.Node { return within(d.root, f) }

// within returns the elements below one that f reports, in their order.
func within(root *html.Node, f func(n *html.Node) bool) (all []*html.Node) {
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && f(n) {
			all = append(all, n)
		}
	}
	return all
}

// first returns the first element that f reports, or nil.
func (d *document) first(f func(n *html.Node) bool) *html.Node {
	for n := range d.root.Descendants() {
		if n.Type == html.ElementNode && f(n) {
			return n
		}
	}
	return nil
}

// byID returns the element of an id, or nil.
func (d *document) byID(id string) *html.Node {
	return d.first(func(n *html.Node) bool { return attr(n, "id") == id })
}

// attached reports whether an element is in the document.
func (d *document) attached(n *html.Node) bool {
	for n.Parent != nil {
		n = n.Parent
	}
	return n == d.root
}

// inTemplates has a parser take what a message says as htmx has a browser take it.
var inTemplates = strings.NewReplacer(
	"<hx-partial", "<template data-tag=partial", "</hx-partial>", "</template>",
	"<hx-list", "<template data-tag=list", "</hx-list>", "</template>",
)

// apply shows what a message says. An error is that something is missing in what was shown.
func (d *document) apply(content string) error {
	body := &html.Node{Type: html.ElementNode, Data: "body", DataAtom: atom.Body}
	parts, err := html.ParseFragment(strings.NewReader(inTemplates.Replace(content)), body)
	if err != nil {
		return err
	}
	for _, part := range parts {
		target, err := d.target(attr(part, "hx-target"))
		switch {
		case err != nil:
			return err
		case target == nil: // the page does not have it
		case attr(part, "data-tag") == "list":
			err = d.takeList(target, part)
		default:
			d.morph(target, part)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// target returns the element of a selector; nil: there is none.
func (d *document) target(selector string) (*html.Node, error) {
	if selector == "" {
		return nil, nil //nolint:nilnil // what has no target is for nobody
	}
	s, err := cascadia.Parse(selector)
	if err != nil {
		return nil, fmt.Errorf("livetest: the server sent the selector %q: %w", selector, err)
	}
	return cascadia.Query(d.root, s), nil
}

// morph gives an element the children of another one. What is the same stays: elements of the same
// id, and else those in the same order.
func (d *document) morph(old, from *html.Node) {
	left := slices.Collect(old.ChildNodes())
	var next *html.Node // before which the following child stands
	for _, n := range slices.Backward(d.matched(left, slices.Collect(from.ChildNodes()))) {
		if n.Parent != nil {
			n.Parent.RemoveChild(n)
		}
		old.InsertBefore(n, next)
		next = n
	}
}

// matched returns, for each new node, the old one that has become the same, or itself. The old ones
// that are left are taken away.
func (d *document) matched(old, fresh []*html.Node) []*html.Node {
	used := make(map[*html.Node]bool)
	result := slices.Clone(fresh)
	match := func(i int, fits func(o *html.Node) bool) {
		for _, o := range old {
			if !used[o] && isSameKind(o, fresh[i]) && fits(o) {
				used[o], result[i] = true, o
				d.become(o, fresh[i])
				return
			}
		}
	}
	for i, n := range fresh {
		if id := attr(n, "id"); id != "" {
			match(i, func(o *html.Node) bool { return attr(o, "id") == id })
		}
	}
	for i, n := range fresh {
		if attr(n, "id") == "" {
			match(i, func(o *html.Node) bool { return attr(o, "id") == "" && attr(o, "name") == attr(n, "name") })
		}
	}
	for _, o := range old {
		if !used[o] {
			o.Parent.RemoveChild(o)
		}
	}
	return result
}

func isSameKind(a, b *html.Node) bool {
	return a.Type == b.Type && (a.Type != html.ElementNode || a.Data == b.Data)
}

// become makes a node like another one of the same kind.
func (d *document) become(old, from *html.Node) {
	if old.Type != html.ElementNode {
		old.Data = from.Data
		return
	}
	old.Attr = from.Attr
	d.morph(old, from)
}

// takeList takes in what a message says of the items of a list.
func (d *document) takeList(list, from *html.Node) error {
	if has(from, "all") {
		d.takeAll(list, elements(from))
		return nil
	}
	for id := range strings.FieldsSeq(attr(from, "gone")) {
		if n := item(list, id); n != nil {
			list.RemoveChild(n)
		}
	}
	fresh := make(map[string]*html.Node)
	var late []*html.Node
	for _, n := range elements(from) {
		id := attr(n, "id")
		if old := item(list, id); old != nil {
			d.become(old, n)
			continue
		}
		fresh[id] = n
		late = append(late, n)
	}
	for place := range strings.FieldsSeq(attr(from, "put")) {
		id, behind, _ := strings.Cut(place, ":")
		n := item(list, id)
		if n == nil {
			n = fresh[id]
		}
		before := item(list, behind)
		if n == nil || before == nil && behind != "" {
			return fmt.Errorf("livetest: %s is to be behind %s, which is not shown", id, behind)
		}
		putBehind(list, n, before)
		late = slices.DeleteFunc(late, func(l *html.Node) bool { return l == n })
	}
	first, isLog := firstNumber(list)
	for _, n := range late {
		if !isLog || number(n, "data-n") >= first { // what is before it, this page began behind
			putBehind(list, n, lastElement(list))
		}
	}
	return nil
}

// takeAll takes in all items of a list; of a log it is the newest.
func (d *document) takeAll(list *html.Node, all []*html.Node) {
	stay := make(map[string]bool)
	for _, n := range all {
		stay[attr(n, "id")] = true
	}
	var kept *html.Node // the last of what is shown before these
	if _, isLog := firstNumber(list); isLog && len(all) > 0 && item(list, attr(all[0], "id")) != nil {
		for n := item(list, attr(all[0], "id")).PrevSibling; n != nil; n = n.PrevSibling {
			stay[attr(n, "id")] = true
		}
		kept = previousElement(item(list, attr(all[0], "id")))
	}
	for _, n := range elements(list) {
		if !stay[attr(n, "id")] {
			list.RemoveChild(n)
		}
	}
	for _, n := range all {
		if old := item(list, attr(n, "id")); old != nil {
			d.become(old, n)
			n = old
		}
		putBehind(list, n, kept)
		kept = n
	}
}

// putBehind puts an item behind another one; nil: it is the first.
func putBehind(list, n, behind *html.Node) {
	if n == behind {
		return
	}
	if n.Parent != nil {
		n.Parent.RemoveChild(n)
	}
	if behind == nil {
		list.InsertBefore(n, list.FirstChild)
		return
	}
	list.InsertBefore(n, behind.NextSibling)
}

// item returns the item of a list that has an id, or nil.
func item(list *html.Node, id string) *html.Node {
	for n := range list.ChildNodes() {
		if n.Type == html.ElementNode && id != "" && attr(n, "id") == id {
			return n
		}
	}
	return nil
}

// firstNumber is that of the first entry of a log; false: it is none, or has none.
func firstNumber(list *html.Node) (uint64, bool) {
	for _, n := range elements(list) {
		return number(n, "data-n"), has(n, "data-n")
	}
	return 0, false
}

// settle forgets what was sent with an op, and not changed since: it is the server's again. Text
// that was refused stays, to be mended.
func (d *document) settle(o *op, refused bool) {
	for n, sent := range o.edited {
		if v, ok := d.edited[n]; ok && v == sent && (!refused || n.Data == "select") {
			delete(d.edited, n)
		}
	}
	for n, sent := range o.checks {
		if v, ok := d.checks[n]; ok && v == sent {
			delete(d.checks, n)
		}
	}
}
