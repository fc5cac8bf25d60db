package pages_test

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// parse reads a document as a browser with scripts does: what is in noscript
// is text.
func parse(t *testing.T, doc string) *html.Node {
	t.Helper()
	root, err := html.Parse(strings.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// find returns the element with an id.
func find(t *testing.T, root *html.Node, id string) *html.Node {
	t.Helper()
	for n := range root.Descendants() {
		if attr(n, "id") == id {
			return n
		}
	}
	t.Fatalf("there is no #%s", id)
	return nil
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// text is what an element says, with single spaces.
func text(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// isVoid reports whether an element has no end tag (HTML §13.1.2).
func isVoid(name string) bool {
	return slices.Contains([]string{"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}, name)
}

// Parsers forgive; this does not: every tag is closed in order, no attribute
// and no id appears twice.
func TestTheMarkupIsWellFormed(t *testing.T) {
	for name, c := range everything() {
		t.Run(name, func(t *testing.T) {
			z := html.NewTokenizer(strings.NewReader(render(t, c)))
			var open []string
			ids := map[string]bool{}
			for {
				switch z.Next() {
				case html.ErrorToken:
					if len(open) > 0 {
						t.Errorf("not closed: %v", open)
					}
					return
				case html.StartTagToken:
					tok := z.Token()
					checkAttributes(t, tok, ids)
					if !isVoid(tok.Data) {
						open = append(open, tok.Data)
					}
				case html.EndTagToken:
					tok := z.Token()
					if len(open) == 0 || open[len(open)-1] != tok.Data {
						t.Fatalf("</%s> closes %v", tok.Data, open)
					}
					open = open[:len(open)-1]
				}
			}
		})
	}
}

func checkAttributes(t *testing.T, tok html.Token, ids map[string]bool) {
	t.Helper()
	seen := map[string]bool{}
	for _, a := range tok.Attr {
		if seen[a.Key] {
			t.Errorf("<%s> has %s twice", tok.Data, a.Key)
		}
		seen[a.Key] = true
		switch {
		case a.Key == "id" && ids[a.Val]:
			t.Errorf("#%s is there twice", a.Val)
		case a.Key == "id":
			ids[a.Val] = true
		case a.Key == "style", strings.HasPrefix(a.Key, "on"), strings.HasPrefix(a.Key, "hx-on"):
			t.Errorf("<%s> has %s, which the content security policy forbids", tok.Data, a.Key)
		}
	}
}

// What the parser had to move or make up is markup in a wrong place.
func TestAParserKeepsTheMarkupAsItIs(t *testing.T) {
	for _, name := range []string{"page", "page_degraded", "poll_page", "bank_page", "bank_page_unknown", "list_page", "list_page_rename", "log_page", "log_page_past", "problem", "problem_again"} {
		doc := render(t, everything()[name])
		var want, got []string
		z := html.NewTokenizer(strings.NewReader(doc))
		for z.Next() != html.ErrorToken {
			if tok := z.Token(); tok.Type == html.StartTagToken {
				want = append(want, tok.Data)
			}
		}
		for n := range parse(t, doc).Descendants() {
			if n.Type == html.ElementNode {
				got = append(got, n.Data)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

func TestEveryControlHasAName(t *testing.T) {
	for _, name := range []string{"page", "poll_page", "bank_page", "list_page", "list_page_rename", "log_page", "log_page_past", "problem", "problem_again"} {
		root := parse(t, render(t, everything()[name]))
		labelled := map[string]bool{}
		for n := range root.Descendants() {
			if n.Data == "label" && text(n) != "" {
				labelled[attr(n, "for")] = true
			}
		}
		within := func(n *html.Node) bool { return n.Parent.Data == "label" && text(n.Parent) != "" }
		// byOthers is what others say of an element.
		byOthers := func(n *html.Node) (words string) {
			for id := range strings.FieldsSeq(attr(n, "aria-labelledby")) {
				words += text(find(t, root, id))
			}
			return words
		}
		for n := range root.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			switch {
			case (n.Data == "button" || n.Data == "a" || n.Data == "summary") && text(n)+byOthers(n) == "":
				t.Errorf("%s: a %s has no text", name, n.Data)
			case n.Data == "input" && attr(n, "type") != "hidden" && !labelled[attr(n, "id")] && !within(n) && byOthers(n) == "":
				t.Errorf("%s: input %q has no label", name, attr(n, "name"))
			case n.Data == "svg" && attr(n, "aria-hidden") != "true":
				t.Errorf("%s: a picture without words is read out", name)
			case n.Data == "html" && attr(n, "lang") == "":
				t.Errorf("%s: the language is not said", name)
			}
		}
	}
}
