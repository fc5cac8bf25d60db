package main

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// pages serves texts by their paths.
func pages(texts map[string]string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text, ok := texts[r.URL.Path]; ok {
			_, _ = io.WriteString(w, text)
		} else {
			http.NotFound(w, r)
		}
	})
}

func TestExportedLinksAreRelative(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	h := pages(map[string]string{
		"/book/":       `<link href="/files/a.css"><a href="one/?x=1#y">1</a><a href="/gallery">2</a><a href="https://example.org/">3</a><a href="#top">4</a>`,
		"/book/one/":   `<img src="../pic.png"><a href="../">1</a><a href="/">2</a><form action="/search"></form><form method="get"></form>`,
		"/gallery":     `<script src="/files/a.js"></script><a href="book/">1</a>`,
		"/files/a.css": "a{}", "/files/a.js": "1", "/book/pic.png": "png",
	})
	if err := export(t.Context(), h, dir, "/book/", "/book/one/", "/gallery"); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string][]string{
		"book/index.html":     {`<link href="../files/a.css"/>`, `href="../book/one/index.html?x=1#y"`, `href="../gallery/index.html"`, `href="https://example.org/"`, `href="#top"`},
		"book/one/index.html": {`src="../../book/pic.png"`, `href="../../book/index.html"`, `<a>2</a>`, `<form hidden="">`, `<form method="get">`},
		"gallery/index.html":  {`src="../files/a.js"`, `href="../book/index.html"`},
		"files/a.css":         {"a{}"}, "files/a.js": {"1"}, "book/pic.png": {"png"},
	} {
		got, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(file)))
		if err != nil {
			t.Error(err)
		}
		for _, w := range want {
			if !strings.Contains(string(got), w) {
				t.Errorf("%s: got %s, want %s in it", file, got, w)
			}
		}
	}
}

func TestWhatCannotBeExported(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "kept"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h := pages(map[string]string{"/": `<img src="nowhere.png">`})
	for _, test := range []struct{ name, dir, path, want string }{
		{"a folder that has something", full, "/", "is not empty"},
		{"a page that is not there", t.TempDir(), "/other", "/other: got 404"},
		{"a page that loads what is not there", t.TempDir(), "/", "/nowhere.png: got 404"},
	} {
		if err := export(t.Context(), h, test.dir, test.path); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}

// TestNoLinkOfTheFilesIsDead follows all of them, as a browser does that opens files.
func TestNoLinkOfTheFilesIsDead(t *testing.T) {
	dir := t.TempDir()
	var said bytes.Buffer
	if err := write(t.Context(), dir, &said); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), dir) {
		t.Errorf("it says %q", said.String())
	}
	links := 0
	err := filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error {
		if err != nil || filepath.Ext(name) != ".html" {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		root, err := html.Parse(bytes.NewReader(text))
		if err != nil {
			return err
		}
		for n := range root.Descendants() {
			for _, key := range []string{"href", "src", "srcset", "action"} {
				to, err := url.Parse(attribute(n, key))
				if err != nil {
					return err
				}
				if to.Path == "" || to.Host != "" {
					continue
				}
				links++
				if info, err := os.Stat(filepath.Join(filepath.Dir(name), filepath.FromSlash(to.Path))); err != nil || info.IsDir() || strings.HasPrefix(to.Path, "/") {
					t.Errorf("%s: the link to %s leads nowhere", name, to)
				}
			}
		}
		return nil
	})
	if err != nil || links < 4000 {
		t.Errorf("got %d links, %v", links, err)
	}
}
