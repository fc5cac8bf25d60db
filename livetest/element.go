package livetest

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// An Element is one of a page. It stays the same when what comes changes what is in it. Acting on
// one that is not there any more fails the test.
type Element struct {
	tab  *Tab
	page *page
	n    *html.Node
}

// act calls f with the document locked, and then what f returns, without: to load a page, say.
func (e *Element) act(f func(d *document) (then func())) {
	e.tab.t.Helper()
	e.tab.b.mu.Lock()
	problem := ""
	switch d := e.page.doc; {
	case e.tab.page != e.page, !d.attached(e.n):
		problem = "does not have it any more: "
	case isDisabled(e.n):
		problem = "has it disabled: "
	}
	if problem != "" {
		what := e.page.doc.describe(e.n)
		e.tab.b.mu.Unlock()
		e.tab.fatalf("%s%s", problem, what)
	}
	then := f(e.page.doc)
	e.tab.wake()
	e.tab.b.mu.Unlock()
	if then != nil {
		then()
	}
}

// Find waits until there is exactly one element in this one that a query means, and returns it.
func (e *Element) Find(q Query) *Element {
	e.tab.t.Helper()
	return e.tab.findIn(e.n, q)
}

// Text returns what the element shows: its text, and what is in its fields.
func (e *Element) Text() string {
	e.tab.b.mu.Lock()
	defer e.tab.b.mu.Unlock()
	return e.page.doc.textOf(e.n)
}

// Says waits until the element shows a text, and nothing else: see Text.
func (e *Element) Says(text string) {
	e.tab.t.Helper()
	is := ""
	ctx, cancel := e.tab.patience()
	defer cancel()
	if !e.tab.wait(ctx, func() bool { is = e.page.doc.textOf(e.n); return is == tidy(text) }) {
		e.tab.fatalf("shows %q in an element, and not %q", is, text)
	}
}

// Value returns what is in the field.
func (e *Element) Value() string {
	e.tab.b.mu.Lock()
	defer e.tab.b.mu.Unlock()
	return e.page.doc.value(e.n)
}

// Checked reports whether the checkbox or radio button is checked.
func (e *Element) Checked() bool {
	e.tab.b.mu.Lock()
	defer e.tab.b.mu.Unlock()
	return e.page.doc.isChecked(e.n)
}

// Attr returns an attribute; "": there is none.
func (e *Element) Attr(name string) string {
	e.tab.b.mu.Lock()
	defer e.tab.b.mu.Unlock()
	return attr(e.n, name)
}

// Click clicks the element: a button, a link, a checkbox, a label, the summary of details. It does
// not wait for what comes of it, unless that is another page.
func (e *Element) Click() {
	e.tab.t.Helper()
	e.act(func(d *document) func() { return e.click(d, e.n) })
}

func (e *Element) click(d *document, n *html.Node) (then func()) {
	e.tab.t.Helper()
	at := closest(n, func(o *html.Node) bool {
		return isSubmit(o) || isCheckable(o) || o.Data == "summary" || o.Data == "label" || o.Data == "a" && has(o, "href") || acts(o) ||
			strings.EqualFold(attr(o, "type"), "reset")
	})
	switch {
	case at == nil:
		what := d.describe(n)
		return func() { e.tab.fatalf("does nothing when this is clicked: %s", what) }
	case isCheckable(at):
		d.check(at, strings.EqualFold(attr(at, "type"), "radio") || !d.isChecked(at))
		return e.changed(d, at)
	case at.Data == "summary":
		setFlag(at.Parent, "open", !has(at.Parent, "open"))
	case at.Data == "label":
		return e.clickLabelled(d, at)
	case at.Data == "a":
		return e.follow(attr(at, "href"))
	case isSubmit(at) && d.owner(at) != nil:
		return e.send(d, d.owner(at), at)
	case acts(at):
		return e.send(d, at, at)
	case d.owner(at) != nil:
		d.reset(d.owner(at))
	}
	return nil
}

// acts reports whether an element that is no form does something by itself.
func acts(n *html.Node) bool { return n.Data != "form" && has(n, "hx-ws:send") && has(n, "data-do") }

func (e *Element) clickLabelled(d *document, label *html.Node) (then func()) {
	e.tab.t.Helper()
	for _, n := range d.all(isField) {
		if slices.Contains(d.labels(n), label) && isCheckable(n) {
			return e.click(d, n)
		}
	}
	return nil // the field has the focus
}

func (e *Element) follow(href string) (then func()) {
	e.tab.t.Helper()
	return func() {
		e.tab.t.Helper()
		u, err := e.page.url.Parse(href)
		if err != nil {
			e.tab.fatalf("has a link to %q, which is no address: %v", href, err)
		}
		e.tab.load(http.MethodGet, u, "")
	}
}

// Type writes a text into the field, in place of what is there, and leaves it: forms that are sent
// when something changes are sent.
func (e *Element) Type(text string) *Element {
	e.tab.t.Helper()
	e.act(func(d *document) func() {
		if !isField(e.n) || isCheckable(e.n) || e.n.Data == "select" || has(e.n, "readonly") {
			what := d.describe(e.n)
			return func() { e.tab.fatalf("has no field to type into here: %s", what) }
		}
		d.edited[e.n] = text
		return e.changed(d, e.n)
	})
	return e
}

// Check checks the checkbox or radio button; one that is checked stays as it is.
func (e *Element) Check() {
	e.tab.t.Helper()
	e.set(true)
}

// Uncheck takes back Check; a checkbox that is not checked stays as it is.
func (e *Element) Uncheck() {
	e.tab.t.Helper()
	e.set(false)
}

func (e *Element) set(on bool) {
	e.tab.t.Helper()
	e.act(func(d *document) func() {
		if !isCheckable(e.n) {
			what := d.describe(e.n)
			return func() { e.tab.fatalf("has nothing to check here: %s", what) }
		}
		if d.isChecked(e.n) == on {
			return nil
		}
		d.check(e.n, on)
		return e.changed(d, e.n)
	})
}

// Select chooses the option of the select that has a text, or a value.
func (e *Element) Select(option string) {
	e.tab.t.Helper()
	e.act(func(d *document) func() {
		for _, o := range within(e.n, isTag("option")) {
			if e.n.Data == "select" && (d.name(o) == tidy(option) || optionValue(o) == option) {
				d.edited[e.n] = optionValue(o)
				return e.changed(d, e.n)
			}
		}
		what := d.describe(e.n)
		return func() { e.tab.fatalf("has no option %q here: %s", option, what) }
	})
}

// Submit sends the form that the element is, or is in, as the enter key does.
func (e *Element) Submit() {
	e.tab.t.Helper()
	e.act(func(d *document) func() {
		form := d.owner(e.n)
		if form == nil {
			what := d.describe(e.n)
			return func() { e.tab.fatalf("has no form around this: %s", what) }
		}
		button := (*html.Node)(nil) // the form has none
		if i := slices.IndexFunc(d.controls(form), isSubmit); i >= 0 {
			button = d.controls(form)[i]
		}
		return e.send(d, form, button)
	})
}

// changed takes in that a person has changed a field.
func (e *Element) changed(d *document, n *html.Node) (then func()) {
	e.tab.t.Helper()
	if e.page.socket == "" {
		return nil
	}
	e.cast(d, n)
	form := d.owner(n)
	for _, o := range []*html.Node{n, form} {
		if o != nil && has(o, "hx-ws:send") && strings.Contains(attr(o, "hx-trigger"), "change") {
			return e.send(d, form, nil)
		}
	}
	return nil
}

// cast sends what a field casts, if there is a connection.
func (e *Element) cast(d *document, n *html.Node) {
	of := closest(n, func(o *html.Node) bool { return has(o, "data-cast") })
	topic := topicOf(of)
	if topic == "" || e.page.link == nil || !e.page.link.heard {
		return
	}
	all := []field{{attr(n, "name"), d.value(n)}}
	if of == d.owner(n) {
		all = d.fields(of, nil)
	}
	e.page.casts = append(e.page.casts, cast{topic, attr(of, "data-cast"), input(all)})
	e.page.link.wake()
}

// send sends a form, or what a button does by itself.
func (e *Element) send(d *document, form, button *html.Node) (then func()) {
	e.tab.t.Helper()
	if n := d.missing(form); n != nil && !has(form, "novalidate") && !has(button, "formnovalidate") {
		what := d.describe(n)
		return func() { e.tab.fatalf("does not send the form: this must be filled in: %s", what) }
	}
	all := d.fields(form, button)
	if topic := topicOf(form); e.page.socket != "" && topic != "" && has(form, "data-do") && has(form, "hx-ws:send") {
		e.page.submit(topic, attr(form, "data-do"), input(all), form)
		return nil
	}
	return e.request(form, button, all)
}

// request sends a form over HTTP.
func (e *Element) request(form, button *html.Node, all []field) (then func()) {
	e.tab.t.Helper()
	method, action := attr(form, "method"), attr(form, "action")
	if has(button, "formmethod") {
		method = attr(button, "formmethod")
	}
	if has(button, "formaction") {
		action = attr(button, "formaction")
	}
	return func() {
		e.tab.t.Helper()
		u, err := e.page.url.Parse(action)
		switch {
		case err != nil:
			e.tab.fatalf("has a form for %q, which is no address: %v", action, err)
		case strings.EqualFold(method, http.MethodPost):
			e.tab.load(http.MethodPost, u, encoded(all))
		default:
			u.RawQuery = encoded(all)
			e.tab.load(http.MethodGet, u, "")
		}
	}
}
