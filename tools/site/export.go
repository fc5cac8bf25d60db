package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// An exporter writes pages of a handler, and what they load, into a folder.
type exporter struct {
	get    func(at string) ([]byte, error)
	dir    string
	pages  []string // their paths
	loaded []string // the paths of files that pages load, which are written
}

// export writes the pages of a handler at the paths, and all files that they load, into a folder,
// which is made, or is empty. Each page is an index.html in a folder of its path, and each link is
// relative, so the files work below any address. A link to a page that is not among the paths is
// none any more, and a form that a server would answer is hidden.
func export(ctx context.Context, h http.Handler, dir string, paths ...string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty", dir)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	e := &exporter{get: func(at string) ([]byte, error) { return answer(ctx, h, at) }, dir: dir, pages: paths}
	for _, p := range paths {
		if err := e.page(p); err != nil {
			return err
		}
	}
	return nil
}

// answer returns what a handler answers.
func answer(ctx context.Context, h http.Handler, at string) ([]byte, error) {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		return nil, fmt.Errorf("%s: got %d", at, w.Code)
	}
	return w.Body.Bytes(), nil
}

func (e *exporter) page(at string) error {
	body, err := e.get(at)
	if err != nil {
		return err
	}
	root, err := html.Parse(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if err := e.element(at, n); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	}
	var b bytes.Buffer
	if err := html.Render(&b, root); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	return e.write(file(at), b.Bytes())
}

// element gives an element of a page the addresses that files have.
func (e *exporter) element(at string, n *html.Node) (err error) {
	switch n.Data {
	case "a":
		e.link(at, n)
	case "form":
		if _, ok := local(at, attribute(n, "action")); ok { // without an action it is an example
			drop(n, "action")
			set(n, "hidden", "")
		}
	case "link":
		err = e.load(at, n, "href")
	case "script", "img", "source":
		err = errors.Join(e.load(at, n, "src"), e.load(at, n, "srcset"))
	}
	return err
}

// link makes the address of a page that of its file.
func (e *exporter) link(at string, n *html.Node) {
	to, ok := local(at, attribute(n, "href"))
	if !ok {
		return
	}
	switch {
	case to.Path == at:
		set(n, "href", "#"+to.Fragment)
	case slices.Contains(e.pages, to.Path):
		to.Path = relative(at, "/"+file(to.Path))
		set(n, "href", to.String())
	default:
		drop(n, "href")
	}
}

// load writes the file that an element loads, once.
func (e *exporter) load(at string, n *html.Node, key string) error {
	to, ok := local(at, attribute(n, key))
	if !ok {
		return nil
	}
	set(n, key, relative(at, to.Path))
	if slices.Contains(e.loaded, to.Path) {
		return nil
	}
	e.loaded = append(e.loaded, to.Path)
	body, err := e.get(to.Path)
	if err != nil {
		return err
	}
	return e.write(strings.TrimPrefix(to.Path, "/"), body)
}

func (e *exporter) write(name string, body []byte) error {
	to := filepath.Join(e.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, body, 0o644)
}

// local returns an address of a page as one of the handler, or false: it is elsewhere, or none.
func local(at, address string) (*url.URL, bool) {
	to, err := url.Parse(address)
	if err != nil || address == "" || to.Host != "" || to.Scheme != "" {
		return nil, false
	}
	return (&url.URL{Path: at}).ResolveReference(to), true
}

// relative is the address of a file from a page.
func relative(at, to string) string {
	up := strings.Repeat("../", strings.Count(path.Dir("/"+file(at)), "/"))
	if path.Dir("/"+file(at)) == "/" {
		up = ""
	}
	return up + strings.TrimPrefix(to, "/")
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func drop(n *html.Node, key string) {
	n.Attr = slices.DeleteFunc(n.Attr, func(a html.Attribute) bool { return a.Key == key })
}

func set(n *html.Node, key, value string) {
	drop(n, key)
	n.Attr = append(n.Attr, html.Attribute{Key: key, Val: value})
}
