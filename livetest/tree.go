package livetest

import (
	"fmt"
	"strings"

	"golang.org/x/net/html"
)

// maxTree is how many lines of a page a failure shows, and maxLine how long one is, in bytes.
const (
	maxTree = 60
	maxLine = 120
)

// describe is what a failure says of the tab.
func (tab *Tab) describe() string {
	tab.b.mu.Lock()
	defer tab.b.mu.Unlock()
	p, b := tab.page, new(strings.Builder)
	if p == nil {
		return "It has no page."
	}
	fmt.Fprintf(b, "It is at %s", p.url.RequestURI())
	switch {
	case p.code >= 400:
		fmt.Fprintf(b, ", which was answered with %d", p.code)
	case p.socket == "":
		b.WriteString(", which is not live")
	case tab.offline:
		b.WriteString(", offline")
	default:
		fmt.Fprintf(b, ", %s, on %s", p.status, tab.b.c.replicas[tab.replica].name)
	}
	if p.problem != "" && !tab.offline {
		fmt.Fprintf(b, " (%s)", p.problem)
	}
	if n := len(tab.b.outbox); n > 0 {
		fmt.Fprintf(b, "; %d of what was done waits", n)
	}
	b.WriteString(", and shows:\n")
	lines := p.doc.tree(p.doc.root, 1, nil)
	for _, line := range lines[:min(len(lines), maxTree)] {
		b.WriteString(line[:min(len(line), maxLine)] + "\n")
	}
	if more := len(lines) - maxTree; more > 0 {
		fmt.Fprintf(b, "  … %d more lines\n", more)
	}
	return b.String()
}

// tree appends a line for each element that has a role, and for texts of others.
func (d *document) tree(n *html.Node, depth int, lines []string) []string {
	indent := strings.Repeat("  ", depth)
	for c := range n.ChildNodes() {
		switch {
		case c.Type == html.TextNode && tidy(c.Data) != "":
			lines = append(lines, indent+tidy(c.Data))
		case c.Type != html.ElementNode || !d.isOpen(c):
		case roleOf(c) == "" && !isField(c):
			lines = d.tree(c, depth, lines)
		default:
			line := d.describe(c)
			lines = append(lines, indent+line)
			if d.nameFromContent(c) == "" && !isField(c) {
				lines = d.tree(c, depth+1, lines)
			}
		}
	}
	return lines
}

// describe is an element in a few words.
func (d *document) describe(n *html.Node) string {
	role := roleOf(n)
	if role == "" {
		role = "<" + n.Data + ">"
	}
	words := []string{role}
	if name := d.name(n); name != "" {
		words = append(words, quoted(name))
	}
	switch {
	case isCheckable(n) && d.isChecked(n):
		words = append(words, "checked")
	case isField(n) && !isCheckable(n) && isTextual(n):
		words = append(words, "= "+quoted(d.value(n)))
	}
	if isDisabled(n) {
		words = append(words, "disabled")
	}
	return strings.Join(words, " ")
}
