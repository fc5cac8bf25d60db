package livetest

import (
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// A field is a name and a value that a form sends.
type field struct{ name, value string }

// value returns what is in a control.
func (d *document) value(n *html.Node) string {
	if v, ok := d.edited[n]; ok {
		return v
	}
	switch n.Data {
	case "textarea":
		return rawText(n)
	case "select":
		return d.chosen(n)
	}
	if !has(n, "value") && d.isChecked(n) {
		return "on"
	}
	return attr(n, "value")
}

// chosen is the value of a select that nobody has touched: the option that is selected, or the
// first.
func (d *document) chosen(n *html.Node) string {
	options := within(n, isTag("option"))
	for _, o := range options {
		if has(o, "selected") {
			return optionValue(o)
		}
	}
	if len(options) == 0 || has(n, "multiple") {
		return ""
	}
	return optionValue(options[0])
}

func optionValue(o *html.Node) string {
	if has(o, "value") {
		return attr(o, "value")
	}
	return tidy(rawText(o))
}

func rawText(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return b.String()
}

// isChecked reports whether a checkbox or radio button is.
func (d *document) isChecked(n *html.Node) bool {
	if v, ok := d.checks[n]; ok {
		return v
	}
	return isCheckable(n) && has(n, "checked")
}

func isCheckable(n *html.Node) bool {
	return n.Data == "input" && slices.Contains([]string{"checkbox", "radio"}, strings.ToLower(attr(n, "type")))
}

// check checks a checkbox or a radio button, or takes that back.
func (d *document) check(n *html.Node, on bool) {
	if strings.EqualFold(attr(n, "type"), "radio") && on {
		form := d.owner(n)
		for _, o := range d.all(isCheckable) {
			if attr(o, "name") == attr(n, "name") && d.owner(o) == form {
				d.checks[o] = false
			}
		}
	}
	d.checks[n] = on
}

// owner returns the form of a control, or nil.
func (d *document) owner(n *html.Node) *html.Node {
	if id := attr(n, "form"); id != "" {
		return d.byID(id)
	}
	return closest(n, isTag("form"))
}

// controls returns those of a form, in their order.
func (d *document) controls(form *html.Node) []*html.Node {
	isControl := isTag("input", "select", "textarea", "button")
	return d.all(func(n *html.Node) bool { return isControl(n) && d.owner(n) == form })
}

// isDisabled reports whether a control can't be used.
func isDisabled(n *html.Node) bool {
	return closest(n, func(o *html.Node) bool {
		return has(o, "disabled") && (o == n || o.Data == "fieldset")
	}) != nil
}

// isSubmit reports whether a control sends its form.
func isSubmit(n *html.Node) bool {
	kind := strings.ToLower(attr(n, "type"))
	if n.Data == "button" {
		return kind != "button" && kind != "reset"
	}
	return n.Data == "input" && (kind == "submit" || kind == "image")
}

// fields are what a form sends that a button was pressed of; nil: none.
func (d *document) fields(form, button *html.Node) (all []field) {
	for _, n := range d.controls(form) {
		if attr(n, "name") != "" && !isDisabled(n) && d.isSent(n, button) {
			all = append(all, field{attr(n, "name"), d.value(n)})
		}
	}
	return all
}

func (d *document) isSent(n, button *html.Node) bool {
	kind := strings.ToLower(attr(n, "type"))
	switch {
	case n.Data == "button", n.Data == "input" && slices.Contains([]string{"submit", "button", "reset", "image"}, kind):
		return n == button
	case isCheckable(n):
		return d.isChecked(n)
	}
	return kind != "file"
}

// missing returns a field that must be filled in, and is not; nil: there is none.
func (d *document) missing(form *html.Node) *html.Node {
	for _, n := range d.controls(form) {
		empty := d.value(n) == ""
		if isCheckable(n) {
			empty = !d.isChecked(n)
		}
		if has(n, "required") && !isDisabled(n) && empty && !strings.EqualFold(attr(n, "type"), "radio") {
			return n
		}
	}
	return nil
}

// input is the input of an op.
func input(all []field) map[string]any {
	values := make(map[string][]string)
	for _, f := range all {
		values[f.name] = append(values[f.name], f.value)
	}
	in := make(map[string]any)
	for name, v := range values {
		if in[name] = v; len(v) == 1 {
			in[name] = v[0]
		}
	}
	return in
}

// encoded is what a form sends over HTTP.
func encoded(all []field) string {
	values := make(url.Values)
	for _, f := range all {
		values.Add(f.name, f.value)
	}
	return values.Encode()
}

// isSecret reports whether what a form has must not be kept.
func (d *document) isSecret(form *html.Node) bool {
	secret := func(n *html.Node) bool {
		return has(n, "data-secret") || strings.EqualFold(attr(n, "type"), "password")
	}
	return closest(form, secret) != nil || slices.ContainsFunc(d.controls(form), func(n *html.Node) bool { return closest(n, secret) != nil })
}

// isWritten reports whether a form is empty again as soon as what was in it is kept.
func (d *document) isWritten(form *html.Node) bool {
	return d.loads("list") && (has(form, "data-reset") || has(form, "data-preview"))
}

// loads reports whether the page loads a script of package static: "list". What these see to, a tab
// does for no other page.
func (d *document) loads(name string) bool {
	return d.first(func(n *html.Node) bool { return n.Data == "script" && strings.Contains(attr(n, "src"), "/"+name+".") }) != nil
}

// sent takes note of what was typed into a form that is sent, or empties it.
func (d *document) sent(form *html.Node, o *op) {
	if d.isWritten(form) {
		d.reset(form)
		return
	}
	o.edited, o.checks = make(map[*html.Node]string), make(map[*html.Node]bool)
	for _, n := range d.controls(form) {
		if v, ok := d.edited[n]; ok {
			o.edited[n] = v
		}
		if v, ok := d.checks[n]; ok {
			o.checks[n] = v
		}
	}
}

// reset has the fields of a form be as the server has rendered them.
func (d *document) reset(form *html.Node) {
	for _, n := range d.controls(form) {
		delete(d.edited, n)
		delete(d.checks, n)
	}
}

// formOf returns the form of an op, or one of the same action; nil: there is none.
func (d *document) formOf(o *op) *html.Node {
	if o.form != nil && d.attached(o.form) {
		return o.form
	}
	return d.first(func(n *html.Node) bool {
		return n.Data == "form" && attr(n, "data-do") == o.do && topicOf(n) == o.name.topic
	})
}

// giveBack has a form have again what was written, unless something else is there.
func (d *document) giveBack(form *html.Node, o *op) {
	controls := d.controls(form)
	if slices.ContainsFunc(controls, func(n *html.Node) bool { _, ok := d.edited[n]; return ok }) {
		return
	}
	for _, n := range controls {
		if v, ok := o.in[attr(n, "name")].(string); ok && v != "" && isField(n) && !isCheckable(n) {
			d.edited[n] = v
		}
	}
}

// topicOf returns the topic of what an element does; "": none.
func topicOf(n *html.Node) string {
	return attr(closest(n, func(o *html.Node) bool { return has(o, "data-topic") }), "data-topic")
}
