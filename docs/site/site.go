// Package site makes pages of the book: with navigation, a search over an index that is made once,
// and links that are right below any address, on a server and in files. It is a handler, and knows
// neither what serves it nor the demo. It is not for what is compiled for browsers.
package site

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strings"

	"github.com/a-h/templ"

	"lockstep/components"
	"lockstep/docs"
)

// Options say what is around the book. All addresses are relative to that of the book: "../" is
// the folder that it is in. Zero values are the defaults.
type Options struct {
	Icon  string            // of all pages; "": none
	Links []components.Link // beside the book's name, such as those to a demo
	// NotFound answers requests of what is not there. Nil: http.NotFound.
	NotFound http.HandlerFunc
}

// A Site answers requests for the book. Its paths begin at the book: see http.StripPrefix. It does
// not change, and may be used concurrently.
type Site struct {
	opts  Options
	book  *book
	files map[string]*file  // by path
	named map[string]string // the paths of files with a hash, by their names
	index []entry
}

// New renders all pages.
func New(opts *Options) (*Site, error) {
	s := &Site{files: map[string]*file{}, named: map[string]string{}}
	if opts != nil {
		s.opts = *opts
	}
	var err error
	if s.book, err = newBook(); err != nil {
		return nil, err
	}
	s.index = indexOf(s.book)
	index, err := json.Marshal(s.index)
	if err != nil {
		return nil, fmt.Errorf("site: %w", err)
	}
	s.addNamed("book.css", components.StyleSheet()+style)
	s.addNamed("book.js", components.Script()+script)
	s.addNamed("search.json", string(index))
	for _, image := range s.book.images {
		body, err := docs.Read(image)
		if err != nil {
			return nil, fmt.Errorf("site: %w", err)
		}
		s.files[strings.TrimPrefix(image, "docs/")] = newFile(image, body)
	}
	for _, p := range s.book.pages {
		html, err := s.html(s.viewOf(p), article(p))
		if err != nil {
			return nil, err
		}
		s.files[p.at] = newFile("page.html", html)
	}
	return s, nil
}

// Paths returns the paths of all pages, as requests have them, below the address of the book.
func (s *Site) Paths() (all []string) {
	for _, p := range s.book.pages {
		all = append(all, "/"+p.at)
	}
	return all
}

// addNamed adds a file whose name has a hash of its content, so that browsers may keep it for ever.
func (s *Site) addNamed(name, body string) {
	f := newFile(name, []byte(body))
	f.forever = true
	base, ext, _ := strings.Cut(name, ".")
	s.named[name] = "files/" + base + "." + f.hash + "." + ext
	s.files[s.named[name]] = f
}

// ServeHTTP implements http.Handler.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := strings.TrimPrefix(r.URL.Path, "/")
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
	case at == searchAt:
		s.search(w, r)
	case s.files[at] != nil:
		s.files[at].serve(w, r)
	case s.files[at+"/"] != nil || at+"/" == searchAt:
		// The browser knows the folder; a server may not, behind a proxy.
		w.Header().Set("Location", path.Base(at)+"/"+query(r))
		w.Header().Set("Cache-Control", "no-cache")
		w.WriteHeader(http.StatusMovedPermanently)
	case s.substitute(at) != nil:
		s.substitute(at).serveInstead(w, r)
	case s.opts.NotFound != nil:
		s.opts.NotFound(w, r)
	default:
		http.NotFound(w, r)
	}
}

func query(r *http.Request) string {
	if r.URL.RawQuery == "" {
		return ""
	}
	return "?" + r.URL.RawQuery
}

// substitute returns the file that is here for one that has the hash of another version: while
// servers are replaced, a page may come from another one. Nil: there is none.
func (s *Site) substitute(at string) *file {
	name, ok := strings.CutPrefix(at, "files/")
	base, rest, _ := strings.Cut(name, ".")
	_, ext, _ := strings.Cut(rest, ".")
	now, known := s.named[base+"."+ext]
	if !ok || !known {
		return nil
	}
	return s.files[now]
}

// A view is what is around the content of a page.
type view struct {
	at            string // of the page; see page
	title         string
	asked         string // of the search
	current       *page  // nil: it is none of the book
	parts         []part
	before, after *page
	style, script string
	index         string
	icon          string
	links         []components.Link
}

func (s *Site) viewOf(p *page) view {
	v := s.view(p.at, p.head)
	v.current = p
	v.before, v.after = s.book.beside(p)
	return v
}

func (s *Site) view(at, title string) view {
	v := view{at: at, title: title, parts: s.book.parts}
	v.style, v.script, v.index = v.to(s.named["book.css"]), v.to(s.named["book.js"]), v.to(s.named["search.json"])
	if s.opts.Icon != "" {
		v.icon = v.to(s.opts.Icon)
	}
	for _, l := range s.opts.Links {
		v.links = append(v.links, components.Link{Text: l.Text, To: v.to(l.To)})
	}
	return v
}

// to is an address from the page.
func (v view) to(at string) string { return relative(v.at, at) }

// html renders a document. It is pure, and waits for nothing.
func (s *Site) html(v view, content templ.Component) ([]byte, error) {
	var b bytes.Buffer
	if err := layout(v).Render(templ.WithChildren(context.Background(), content), &b); err != nil {
		return nil, fmt.Errorf("site: %s: %w", v.at, err)
	}
	return b.Bytes(), nil
}
