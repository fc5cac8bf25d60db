package livetest

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// parsed returns a document of a body.
func parsed(t *testing.T, body string) *document {
	t.Helper()
	root, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return newDocument(root, true)
}

// itemsOf are items of a list, "a b", or entries of a log, "1 2".
func itemsOf(ids string, log bool) string {
	var b strings.Builder
	for id := range strings.FieldsSeq(ids) {
		if log {
			fmt.Fprintf(&b, `<li id="e%s" data-n="%s">%s</li>`, id, id, id)
		} else {
			fmt.Fprintf(&b, `<li id="%s">%s</li>`, id, id)
		}
	}
	return b.String()
}

func TestItemsComeIntoTheirPlaces(t *testing.T) {
	for _, c := range []struct {
		log                       bool
		before, attrs, with, want string
		missing                   bool
	}{
		{before: "a b c", attrs: `put="d:a"`, with: "d", want: "a d b c"},
		{before: "a b c", attrs: `put="e: d:e"`, with: "d e", want: "e d a b c"},
		{before: "a b c", attrs: `put="c:"`, want: "c a b"},
		{before: "a b c", attrs: `put="a:c"`, want: "b c a"},
		{before: "a b c", attrs: `gone="a x"`, with: "b", want: "b c"},
		{before: "a b c", with: "d", want: "a b c d"},
		{before: "a b c", attrs: "all", with: "c b", want: "c b"},
		{before: "a b c", attrs: "all", want: ""},
		{before: "", attrs: `put="b:a a:"`, with: "a b", missing: true},
		{before: "a b c", attrs: `put="d:x"`, with: "d", missing: true},
		{before: "a b c", attrs: `put="d:a"`, missing: true},
		{log: true, before: "1 2", with: "3 4", want: "1 2 3 4"},
		{log: true, before: "1 2", with: "2 3", want: "1 2 3"},
		{log: true, before: "4 5", with: "2 3 6", want: "4 5 6"},
		{log: true, before: "", with: "7 8", want: "7 8"},
		{log: true, before: "1 2", attrs: `all gap="4"`, with: "7 8", want: "7 8"},
		{log: true, before: "1 2 3", attrs: "all", with: "2 3 4", want: "1 2 3 4"},
		{log: true, before: "1 2 3 4", attrs: "all", with: "2 3", want: "1 2 3"},
	} {
		d := parsed(t, `<ul id="l">`+itemsOf(c.before, c.log)+`</ul>`)
		err := d.apply(`<hx-list hx-target="#l" ` + c.attrs + `>` + itemsOf(c.with, c.log) + `</hx-list>`)
		if (err != nil) != c.missing {
			t.Errorf("%q with %s %q: got %v", c.before, c.attrs, c.with, err)
		}
		if got := d.text(); err == nil && got != c.want {
			t.Errorf("%q with %s %q: got %q, want %q", c.before, c.attrs, c.with, got, c.want)
		}
	}
}

// TestAMorphKeepsWhatIsTheSame: the elements that a test holds, and what was typed into them.
func TestAMorphKeepsWhatIsTheSame(t *testing.T) {
	d := parsed(t, `<div id="r"><p>one</p><form><input name="a" value="1"><input name="b"></form><i id="x">x</i></div>`)
	field, x := d.first(func(n *html.Node) bool { return attr(n, "name") == "b" }), d.byID("x")
	d.edited[field] = "typed"
	err := d.apply(`<hx-partial hx-target="#r" hx-swap="innerMorph"><i id="x">y</i><h2>new</h2><p>two</p><form>` +
		`<input name="a" value="2"><input name="b" value="3"></form></hx-partial><hx-partial hx-target="#nowhere">z</hx-partial>`)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.text(); got != "y new two 2 typed" {
		t.Errorf("got %q", got)
	}
	if !d.attached(field) || d.byID("x") != x {
		t.Error("elements that are the same were made anew")
	}
}

func TestRowsOfTablesCome(t *testing.T) {
	d := parsed(t, `<table><tbody id="r"></tbody></table>`)
	if err := d.apply(`<hx-partial hx-target="#r" hx-swap="innerMorph"><tr><td>one</td></tr></hx-partial>`); err != nil {
		t.Fatal(err)
	}
	if d.first(isTag("td")) == nil {
		t.Error("the row has lost its cells")
	}
}

func TestElementsHaveNames(t *testing.T) {
	for _, c := range []struct{ body, role, name string }{
		{`<button>Save <b>all</b></button>`, "button", "Save all"},
		{`<button aria-label="Remove">×</button>`, "button", "Remove"},
		{`<button><span aria-hidden="true">×</span> Close</button>`, "button", "Close"},
		{`<button title="More">…</button>`, "button", "…"},
		{`<button title="More"></button>`, "button", "More"},
		{`<input type="submit" value="Go">`, "button", "Go"},
		{`<a href="/">Home</a>`, "link", "Home"},
		{`<label for="f">Name</label><input id="f">`, "textbox", "Name"},
		{`<label>Loud <input type="checkbox"></label>`, "checkbox", "Loud"},
		{`<label>Of <select><option>a</select></label>`, "combobox", "Of"},
		{`<b id="n">New</b><b id="m">item</b><input aria-labelledby="n m" aria-label="x">`, "textbox", "New item"},
		{`<input placeholder="Search" type="search">`, "searchbox", "Search"},
		{`<textarea title="Note"></textarea>`, "textbox", "Note"},
		{`<img src="" alt="A cat">`, "img", "A cat"},
		{`<h2>To  do</h2>`, "heading", "To do"},
		{`<section aria-label="Done"></section>`, "region", "Done"},
		{`<fieldset><legend>Size</legend></fieldset>`, "group", "Size"},
		{`<span role="tab">One</span>`, "tab", "One"},
		{`<ul><li>milk</li></ul>`, "listitem", ""},
	} {
		d := parsed(t, c.body)
		found := d.find(d.root, Role(c.role, c.name))
		if len(found) != 1 || d.name(found[0]) != c.name {
			t.Errorf("%s: got %d of %s %q", c.body, len(found), c.role, c.name)
		}
	}
}

func TestWhatIsHiddenIsNotSeen(t *testing.T) {
	for body, want := range map[string]string{
		`a<p hidden>b</p>`: "a",
		`<style>a{}</style><script>b</script><template>c</template>d`:                                       "d",
		`<dialog>a</dialog><dialog open>b</dialog>`:                                                         "b",
		`<details><summary>a</summary><p>b</p></details>`:                                                   "a",
		`<details open><summary>a</summary><p>b</p></details>`:                                              "a b",
		`<input value="a"><input type="hidden" value="b"><input type="password" value="c">`:                 "a",
		`<noscript>a</noscript>b`:                                                                           "b",
		`<li>a</li><li>b</li><b>c</b><i>d</i>`:                                                              "a b cd",
		`<p id="status" data-state="live"><i data-for="live">in step</i><i data-for="offline">away</i></p>`: "in step",
		`<p data-n="2"><b>2</b> <i data-for="one">click</i><i data-for="many">clicks</i></p>`:               "2 clicks",
	} {
		if got := parsed(t, body).text(); got != want {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
}
