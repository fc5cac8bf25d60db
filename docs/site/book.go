package site

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"

	"lockstep/docs"
)

// A page is a document of the book at its address.
type page struct {
	document
	file string // of the document, in the repository
	at   string // below the address of the book; it ends in a slash, but for the index, which is ""
	head string // its first heading
	part string // of the book; "": it is in none
}

// A part is a heading of the index with the pages that it names.
type part struct {
	name  string
	pages []*page
}

// A book is all pages.
type book struct {
	pages  []*page // those of the order first
	order  []*page // as they are read
	parts  []part
	byFile map[string]*page
	images []string // their paths in the repository
}

// newBook renders all documents, in the order of the index.
func newBook() (*book, error) {
	b := &book{byFile: map[string]*page{}}
	b.add(&page{file: docs.Index})
	if err := b.arrange(); err != nil {
		return nil, err
	}
	b.order = slices.Clone(b.pages)
	for _, file := range docs.Paths() {
		switch {
		case !strings.HasSuffix(file, ".md"):
			b.images = append(b.images, file)
		case b.byFile[file] == nil:
			b.add(&page{file: file, at: addressOf(file)})
		}
	}
	for _, p := range b.pages {
		source, err := docs.Read(p.file)
		if err != nil {
			return nil, fmt.Errorf("site: %w", err)
		}
		if p.document, err = render(source, b.linker(p)); err != nil {
			return nil, fmt.Errorf("%s: %w", p.file, err)
		}
	}
	return b, nil
}

// firstHeading is how a document begins, but for what it says to programs.
var firstHeading = regexp.MustCompile(`(?m)^# (.+)$`)

func (b *book) add(p *page) {
	p.head = p.file
	if source, err := docs.Read(p.file); err == nil { // what can't be read newBook finds
		if m := firstHeading.FindSubmatch(source); m != nil {
			p.head = string(m[1])
		}
	}
	b.pages = append(b.pages, p)
	b.byFile[p.file] = p
}

// addressOf is where the page of a document is below the book. Those of other folders have one of
// their own there.
func addressOf(file string) string {
	at, inside := strings.CutPrefix(strings.ToLower(file), "docs/")
	if !inside {
		at = "project/" + at
	}
	at = strings.TrimSuffix(at, ".md")
	if folder := strings.TrimSuffix(at, "/readme"); folder != "project" {
		at = folder
	}
	return at + "/"
}

// arrange reads the index: its headings are parts, and each document that a link leads to is a page
// of the part, once.
func (b *book) arrange() error {
	source, err := docs.Read(docs.Index)
	if err != nil {
		return fmt.Errorf("site: %w", err)
	}
	for n := parsed(source).FirstChild(); n != nil; n = n.NextSibling() {
		if h, ok := n.(*ast.Heading); ok && h.Level > 1 {
			b.parts = append(b.parts, part{name: words(h, source)})
		}
		for _, l := range linksIn(n) {
			file := documentAt(docs.Index, string(l.Destination))
			if file == "" || b.byFile[file] != nil || len(b.parts) == 0 {
				continue
			}
			in := &b.parts[len(b.parts)-1]
			p := &page{file: file, at: addressOf(file), part: in.name}
			in.pages = append(in.pages, p)
			b.add(p)
		}
	}
	return nil
}

func parsed(source []byte) ast.Node {
	return goldmark.New(goldmark.WithExtensions(extension.Table)).Parser().Parse(text.NewReader(source))
}

func linksIn(n ast.Node) (all []*ast.Link) {
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // no step of it fails
		if l, ok := n.(*ast.Link); ok && entering {
			all = append(all, l)
		}
		return ast.WalkContinue, nil
	})
	return all
}

// documentAt returns the document that a link in another leads to; "": it leads to none.
func documentAt(from, to string) string {
	to, _, _ = strings.Cut(to, "#")
	if strings.Contains(to, ":") || to == "" {
		return ""
	}
	file := path.Join(path.Dir(from), to)
	for _, name := range []string{file, file + "/README.md"} {
		if _, err := docs.Read(name); err == nil && strings.HasSuffix(name, ".md") {
			return name
		}
	}
	return ""
}

// linker returns where links in the document of a page lead.
func (b *book) linker(from *page) linker {
	return func(to string) (href, name string, ok bool) {
		if strings.Contains(to, ":") || strings.HasPrefix(to, "#") {
			return to, "", true
		}
		place, fragment, _ := strings.Cut(to, "#")
		place = path.Join(path.Dir(from.file), place)
		if fragment != "" {
			fragment = "#" + fragment
		}
		if file := documentAt(from.file, to); file != "" {
			return relative(from.at, b.byFile[file].at) + fragment, b.byFile[file].head, true
		}
		if _, err := docs.Read(place); err == nil {
			return relative(from.at, strings.TrimPrefix(place, "docs/")) + fragment, place, true
		}
		return "", place, false
	}
}

// relative is the address of something from a page, both below the book. It is right below any
// address, and in files.
func relative(from, to string) string {
	up := strings.Repeat("../", strings.Count(from, "/"))
	if up+to == "" {
		return "./"
	}
	return up + to
}

// contents are the headings of a page below its title, of two levels.
func (p *page) contents() (all []heading) {
	for _, s := range p.sections {
		if s.Level == 2 || s.Level == 3 {
			all = append(all, s.heading)
		}
	}
	return all
}

// beside returns the pages before and after one in the order of the book; nil: there is none.
func (b *book) beside(p *page) (before, after *page) {
	for i, other := range b.order {
		if other != p {
			continue
		}
		if i > 0 {
			before = b.order[i-1]
		}
		if i+1 < len(b.order) {
			after = b.order[i+1]
		}
	}
	return before, after
}
