package web_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"

	"lockstep/serve"
)

// links are the addresses that a page leads to, by what is said of them.
func links(body string) map[string]string {
	all := make(map[string]string)
	for _, m := range regexp.MustCompile(`<a class="way-out" href="([^"]+)">([^<]+)</a>|<p><a href="([^"]+)">([^<]+)</a>`).FindAllStringSubmatch(body, -1) {
		all[m[2]+m[4]] = m[1] + m[3]
	}
	return all
}

func TestProblemsLeadToWhereOneCameFrom(t *testing.T) {
	site, _ := serving(t)
	for _, c := range []struct {
		name, method, path, referer, text, to string
		status                                int
	}{
		{"a form that is too old", "POST", "/c/top/increment", "", "Back to top", "/c/top", 403},
		{"a form of a poll", "POST", "/poll/top/vote", "", "Back to top", "/poll/top", 403},
		{"a form of a bank", "POST", "/bank/top/transfer", "", "Back to top", "/bank/top", 403},
		{"a poll of the lobby's name", "POST", "/poll/lobby/vote", "", "Back to lobby", "/poll/lobby", 403},
		{"an unknown address, from a poll", "GET", "/nothing", "/poll/top", "Back to top", "/poll/top", 404},
		{"a name of a poll with capitals and blanks", "GET", "/poll/My%20Lunch", "", "Open my-lunch", "/poll/my-lunch", 404},
		{"a name of a bank that was typed in", "GET", "/bank?name=My+Bank", "", "Open my-bank", "/bank/my-bank", 404},
		{"a form of the lobby", "POST", "/c/lobby/increment", "", "To the lobby", "/", 403},
		{"an address of a counter that is none", "GET", "/c/top/increment", "", "Back to top", "/c/top", 405},
		{"an unknown address", "GET", "/nothing", "", "To the lobby", "/", 404},
		{"an unknown address, from a counter", "GET", "/nothing", "/c/top", "Back to top", "/c/top", 404},
		{"a bad name, from a counter", "GET", "/c?name=%21", "/c/top", "Back to top", "/c/top", 404},
		{"from another site", "GET", "/nothing", "https://evil.example/c/top", "To the lobby", "/", 404},
		{"from an address that is none", "GET", "/nothing", "/c/%22%3E%3Cx", "To the lobby", "/", 404},
		{"a name with blanks and capitals", "GET", "/c/My%20Kitchen%21", "", "Open my-kitchen", "/c/my-kitchen", 404},
		{"a name that was typed in", "GET", "/c?name=My+Kitchen", "", "Open my-kitchen", "/c/my-kitchen", 404},
		{"a long name", "GET", "/c/" + strings.Repeat("a", 99), "", "Open " + strings.Repeat("a", 64), "/c/" + strings.Repeat("a", 64), 404},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := http.Header{}
			if strings.HasPrefix(c.referer, "/") {
				header.Set("Referer", site+c.referer)
			} else {
				header.Set("Referer", c.referer)
			}
			resp, body := do(t, browser(t), c.method, site+c.path, url.Values{}, header)
			if got := links(body)[c.text]; got != c.to || resp.StatusCode != c.status {
				t.Errorf("got %d and the links %v, want %d and %q to %s", resp.StatusCode, links(body), c.status, c.text, c.to)
			}
		})
	}
}

func TestPagesAreCompressed(t *testing.T) {
	site, _ := serving(t)
	c := browser(t)
	_, plain := do(t, c, "GET", site+"/", nil, http.Header{"Accept-Encoding": {"identity"}})
	for _, path := range []string{"/", "/c/top", "/poll/top", "/bank/top", "/wasm/"} {
		for _, encoding := range []string{"br", "gzip", ""} {
			resp, body := do(t, c, "GET", site+path, nil, http.Header{"Accept-Encoding": {encoding + ", deflate"}})
			if got := resp.Header.Get("Content-Encoding"); got != encoding {
				t.Errorf("%s: got the encoding %q, want %q", path, got, encoding)
			}
			if got := resp.Header.Get("Vary"); got != "Accept-Encoding" {
				t.Errorf("%s: got Vary %q", path, got)
			}
			if encoding != "" && path == "/" && len(body)*2 > len(plain) {
				t.Errorf("%s: got %d bytes of %d", encoding, len(body), len(plain))
			}
			if html := inflate(t, encoding, body); !strings.HasPrefix(html, "<!doctype html>") || !strings.HasSuffix(html, "</html>") {
				t.Errorf("%s, %q: got %q", path, encoding, html)
			}
		}
	}
	if resp, _ := do(t, c, "GET", site+"/readyz", nil, http.Header{"Accept-Encoding": {"br"}}); resp.Header.Get("Content-Encoding") != "" {
		t.Error("an answer of a few bytes is compressed")
	}
}

func inflate(t *testing.T, encoding, body string) string {
	t.Helper()
	var r io.Reader = strings.NewReader(body)
	switch encoding {
	case "br":
		r = brotli.NewReader(r)
	case "gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		r = z
	}
	html, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(html)
}

// TestNoPageHasAHostThatNobodyHasNamed: a cache may keep it, with the host of an attacker.
func TestNoPageHasAHostThatNobodyHasNamed(t *testing.T) {
	srv, _ := serveWith(t, &serve.Options{TrustedProxies: loopback})
	srv.Start()
	resp, body := at(t, "GET", srv.URL+"/", "evil.example", http.Header{"X-Forwarded-Host": {"evil.example"}}, nil)
	if resp.StatusCode != 200 || strings.Contains(body, "evil.example") {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
}

// TestAPageCanBeKeptAndSentToOthers: a launcher and a messenger have a name and a picture for it.
func TestAPageCanBeKeptAndSentToOthers(t *testing.T) {
	srv, _ := serveWith(t, &serve.Options{Hosts: []string{"127.0.0.1"}})
	srv.Start()
	site := srv.URL
	for _, page := range []string{"/", "/c/top", "/wasm/"} {
		_, body := do(t, browser(t), "GET", site+page, nil, nil)
		content := func(pattern string) string {
			m := regexp.MustCompile(pattern).FindStringSubmatch(body)
			if m == nil {
				t.Errorf("%s has no %s", page, pattern)
				return ""
			}
			return m[1]
		}
		for _, meta := range []string{`name="description"`, `property="og:title"`, `property="og:description"`, `property="og:type"`, `name="theme-color"`} {
			content(`<meta ` + meta + ` content="([^"]+)"`)
		}
		at, err := url.Parse(site + page)
		if err != nil {
			t.Fatal(err)
		}
		image := content(`<meta property="og:image" content="([^"]+)"`)
		if page != "/wasm/" && !strings.HasPrefix(image, site) {
			t.Errorf("%s: got the picture %s: others need all of its address", page, image)
		}
		file := at.JoinPath() // a copy
		read := func(base *url.URL, ref, kind string) (*url.URL, []byte) {
			u, err := base.Parse(ref)
			if err != nil {
				t.Fatal(err)
			}
			resp, body := do(t, browser(t), "GET", u.String(), nil, nil)
			if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != kind {
				t.Errorf("%s: got %d %s", u, resp.StatusCode, resp.Header.Get("Content-Type"))
			}
			return u, []byte(body)
		}
		_, picture := read(file, content(`<link rel="apple-touch-icon" href="([^"]+)"`), "image/png")
		if !bytes.HasPrefix(picture, []byte("\x89PNG")) {
			t.Errorf("%s: the picture is none", page)
		}
		where, text := read(file, content(`<link rel="manifest" href="([^"]+)"`), "application/manifest+json")
		var m struct {
			Name     string
			StartURL string `json:"start_url"`
			Icons    []struct{ Src, Sizes, Type string }
		}
		if err := json.Unmarshal(text, &m); err != nil || m.Name == "" || m.StartURL == "" || len(m.Icons) != 2 {
			t.Fatalf("%s: got %+v, %v", page, m, err)
		}
		read(where, m.StartURL, "text/html; charset=UTF-8")
		for _, icon := range m.Icons {
			read(where, icon.Src, icon.Type)
		}
	}
}

func TestPagesSayWhatTheyAreToSearchEngines(t *testing.T) {
	site, _ := serving(t)
	for _, path := range []string{"/", "/poll/top", "/gallery"} {
		_, body := do(t, browser(t), "GET", site+path, nil, nil)
		if !regexp.MustCompile(`<meta name="description" content="[^"]{20,}">`).MatchString(body) {
			t.Errorf("%s has no description", path)
		}
	}
}

// What a page begins with must say so: browsers may show that before the rest is there.
func TestAPageWithALayoutSaysSoAtItsBeginning(t *testing.T) {
	site, _ := serving(t)
	_, body := do(t, browser(t), "GET", site+"/gallery", nil, nil)
	root, _, _ := strings.Cut(body, `<div class="live-page">`)
	if !strings.Contains(root, "data-layout") {
		t.Errorf("got %s", root)
	}
}
