package livetest

import (
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// roles are those of elements that have one whatever their attributes are (HTML-AAM).
var roles = map[string]string{
	"article": "article", "aside": "complementary", "blockquote": "blockquote", "button": "button", "caption": "caption", "dd": "definition",
	"details": "group", "dialog": "dialog", "dt": "term", "fieldset": "group", "figure": "figure", "footer": "contentinfo", "form": "form",
	"h1": "heading", "h2": "heading", "h3": "heading", "h4": "heading", "h5": "heading", "h6": "heading", "header": "banner", "hr": "separator",
	"img": "img", "li": "listitem", "main": "main", "menu": "list", "meter": "meter", "nav": "navigation", "ol": "list", "option": "option",
	"output": "status", "p": "paragraph", "progress": "progressbar", "search": "search", "section": "region", "table": "table", "tbody": "rowgroup",
	"td": "cell", "textarea": "textbox", "th": "columnheader", "thead": "rowgroup", "tr": "row", "ul": "list",
}

// inputRoles are those of inputs, by their type.
var inputRoles = map[string]string{
	"button": "button", "checkbox": "checkbox", "image": "button", "number": "spinbutton", "radio": "radio", "range": "slider", "reset": "button",
	"search": "searchbox", "submit": "button", "": "textbox", "text": "textbox", "email": "textbox", "tel": "textbox", "url": "textbox",
}

// roleOf returns the role of an element; "": it has none that anything is found by.
func roleOf(n *html.Node) string {
	if role := strings.Fields(attr(n, "role")); len(role) > 0 {
		return role[0]
	}
	switch n.Data {
	case "a":
		if has(n, "href") {
			return "link"
		}
		return ""
	case "input":
		return inputRoles[strings.ToLower(attr(n, "type"))]
	case "select":
		if has(n, "multiple") {
			return "listbox"
		}
		return "combobox"
	}
	return roles[n.Data]
}

// named are the roles of elements whose content is their name.
var named = []string{"button", "cell", "checkbox", "columnheader", "heading", "link", "menuitem", "option", "radio", "row", "switch", "tab"}

// name returns the accessible name of an element: by aria-labelledby, aria-label, its label, what
// it is called in HTML, its content, or its title (a short form of accname 1.2).
func (d *document) name(n *html.Node) string {
	var by []string
	for id := range strings.FieldsSeq(attr(n, "aria-labelledby")) {
		if el := d.byID(id); el != nil {
			by = append(by, d.contentName(el))
		}
	}
	for _, name := range []string{
		strings.Join(by, " "), attr(n, "aria-label"), d.nativeName(n), d.nameFromContent(n), attr(n, "title"), attr(n, "placeholder"),
	} {
		if name = tidy(name); name != "" {
			return name
		}
	}
	return ""
}

func (d *document) nameFromContent(n *html.Node) string {
	if slices.Contains(named, roleOf(n)) || n.Data == "summary" {
		return d.contentName(n)
	}
	return ""
}

// nativeName is what HTML calls an element by.
func (d *document) nativeName(n *html.Node) string {
	switch n.Data {
	case "img", "area":
		return attr(n, "alt")
	case "fieldset":
		return d.nameBy(n, "legend")
	case "table":
		return d.nameBy(n, "caption")
	case "figure":
		return d.nameBy(n, "figcaption")
	case "input":
		switch kind := strings.ToLower(attr(n, "type")); kind {
		case "submit", "reset", "button":
			return attr(n, "value")
		case "image":
			return attr(n, "alt")
		}
	}
	if !isField(n) && !slices.Contains([]string{"button", "meter", "output", "progress"}, n.Data) {
		return ""
	}
	var all []string
	for _, label := range d.labels(n) {
		all = append(all, d.contentName(label))
	}
	return strings.Join(all, " ")
}

// nameBy is the content of the first child of a tag.
func (d *document) nameBy(n *html.Node, tag string) string {
	for _, c := range elements(n) {
		if c.Data == tag {
			return d.contentName(c)
		}
	}
	return ""
}

// labels are those of a field: the elements around it, and for it.
func (d *document) labels(n *html.Node) []*html.Node {
	id := attr(n, "id")
	return d.all(func(label *html.Node) bool {
		if label.Data != "label" {
			return false
		}
		if to := attr(label, "for"); to != "" {
			return to == id
		}
		return closest(n, func(o *html.Node) bool { return o == label }) != nil
	})
}

// contentName is the name that the content of an element gives: without fields, and what is hidden
// from screen readers.
func (d *document) contentName(n *html.Node) string {
	var b strings.Builder
	for c := range n.ChildNodes() {
		switch {
		case c.Type == html.TextNode:
			b.WriteString(c.Data)
		case c.Type != html.ElementNode || attr(c, "aria-hidden") == "true" || isField(c) || !d.isOpen(c):
		case attr(c, "aria-label") != "":
			b.WriteString(" " + attr(c, "aria-label") + " ")
		case c.Data == "img":
			b.WriteString(" " + attr(c, "alt") + " ")
		case isInline(c):
			b.WriteString(d.contentName(c))
		default:
			b.WriteString(" " + d.contentName(c) + " ")
		}
	}
	return b.String()
}

// isField reports whether a person fills in an element.
func isField(n *html.Node) bool {
	switch n.Data {
	case "select", "textarea":
		return true
	case "input":
		return !slices.Contains([]string{"hidden", "submit", "reset", "button", "image"}, strings.ToLower(attr(n, "type")))
	}
	return false
}

// unseen are elements whose content is never shown.
var unseen = []string{"head", "script", "style", "template", "title", "datalist"}

// isOpen reports whether an element is shown where its parent is. The style sheet is not read, but
// what it does with the words that say how the page is.
func (d *document) isOpen(n *html.Node) bool {
	switch {
	case has(n, "hidden"), slices.Contains(unseen, n.Data), n.Data == "dialog" && !has(n, "open"),
		n.Data == "noscript" && d.script, n.Data == "input" && strings.EqualFold(attr(n, "type"), "hidden"):
		return false
	case n.Parent != nil && n.Parent.Data == "details" && !has(n.Parent, "open"):
		return n.Data == "summary"
	case has(n, "data-for"):
		return d.isWord(n)
	}
	return true
}

// isWord reports whether a word is shown that stands for how the page is; others are.
func (d *document) isWord(n *html.Node) bool {
	switch word := attr(n, "data-for"); word {
	case "connecting", "live", "degraded", "offline":
		return attr(d.byID("status"), "data-state") == word
	case "one", "many":
		around := closest(n, func(o *html.Node) bool { return has(o, "data-n") })
		return (attr(around, "data-n") == "1") == (word == "one")
	case "yes":
		return true
	case "no":
		return false
	}
	return true
}

// isShown reports whether an element is shown.
func (d *document) isShown(n *html.Node) bool {
	return closest(n, func(o *html.Node) bool { return !d.isOpen(o) }) == nil
}

// text is what the page shows.
func (d *document) text() string { return d.textOf(d.root) }

// textOf is what an element shows: its text, and what is in its fields.
func (d *document) textOf(n *html.Node) string {
	var b strings.Builder
	d.writeText(&b, n)
	return tidy(b.String())
}

func (d *document) writeText(b *strings.Builder, n *html.Node) {
	switch {
	case n.Type == html.TextNode:
		b.WriteString(n.Data)
	case n.Type == html.ElementNode && !d.isOpen(n):
	case n.Type == html.ElementNode && isTextual(n):
		b.WriteString(" " + d.value(n) + " ")
	default:
		between := ""
		if n.Type == html.ElementNode && !isInline(n) {
			between = " "
		}
		b.WriteString(between)
		for c := range n.ChildNodes() {
			d.writeText(b, c)
		}
		b.WriteString(between)
	}
}

// isTextual reports whether what is in a field, or on a button, can be read.
func isTextual(n *html.Node) bool {
	switch n.Data {
	case "select", "textarea":
		return true
	case "input":
		return !slices.Contains([]string{"checkbox", "radio", "password", "image", "hidden", "color", "range", "file"}, strings.ToLower(attr(n, "type")))
	}
	return false
}
