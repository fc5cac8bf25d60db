package livetest

import (
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// attr returns an attribute; "": there is none.
func attr(n *html.Node, name string) string {
	if n != nil {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
	}
	return ""
}

// has reports whether an element has an attribute.
func has(n *html.Node, name string) bool {
	return n != nil && slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

func setAttr(n *html.Node, name, value string) {
	setFlag(n, name, false)
	n.Attr = append(n.Attr, html.Attribute{Key: name, Val: value})
}

// setFlag gives an element an attribute without a value, or takes it away.
func setFlag(n *html.Node, name string, on bool) {
	n.Attr = slices.DeleteFunc(slices.Clone(n.Attr), func(a html.Attribute) bool { return a.Key == name })
	if on {
		n.Attr = append(n.Attr, html.Attribute{Key: name})
	}
}

// setText makes a text the only content of an element.
func setText(n *html.Node, text string) {
	for n.FirstChild != nil {
		n.RemoveChild(n.FirstChild)
	}
	n.AppendChild(&html.Node{Type: html.TextNode, Data: text})
}

// elements returns the children of an element that are elements.
func elements(n *html.Node) (all []*html.Node) {
	for c := range n.ChildNodes() {
		if c.Type == html.ElementNode {
			all = append(all, c)
		}
	}
	return all
}

func firstElement(n *html.Node) *html.Node {
	if all := elements(n); len(all) > 0 {
		return all[0]
	}
	return nil
}

func lastElement(n *html.Node) *html.Node {
	if all := elements(n); len(all) > 0 {
		return all[len(all)-1]
	}
	return nil
}

func previousElement(n *html.Node) *html.Node {
	for n = n.PrevSibling; n != nil && n.Type != html.ElementNode; n = n.PrevSibling {
		continue
	}
	return n
}

// closest returns the element itself, or the nearest around it, that f reports; nil: there is none.
func closest(n *html.Node, f func(n *html.Node) bool) *html.Node {
	for ; n != nil; n = n.Parent {
		if n.Type == html.ElementNode && f(n) {
			return n
		}
	}
	return nil
}

// isTag returns what reports elements of a tag.
func isTag(tags ...string) func(n *html.Node) bool {
	return func(n *html.Node) bool { return slices.Contains(tags, n.Data) }
}

// inline are the elements whose texts are one word with what is beside them.
const inline = " a abbr b bdi cite code em i kbd mark q s samp small span strong sub sup time u var "

func isInline(n *html.Node) bool { return strings.Contains(inline, " "+n.Data+" ") }

// tidy has one blank between words, and none around them.
func tidy(text string) string { return strings.Join(strings.Fields(text), " ") }
