package web_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestTheBookIsServed(t *testing.T) {
	url, _ := serving(t)
	for _, test := range []struct {
		path string
		code int
		want string
	}{
		{"/docs/", http.StatusOK, "The book"},
		{"/docs", http.StatusMovedPermanently, ""},
		{"/docs/tutorial", http.StatusMovedPermanently, ""},
		{"/docs/tutorial/", http.StatusOK, "From an empty folder"},
		{"/docs/adr/0009-dependencies/", http.StatusOK, "goldmark"},
		{"/docs/search/?q=kubernetes", http.StatusOK, "#kubernetes"},
		{"/docs/nothing", http.StatusNotFound, "Nothing here"},
		{"/", http.StatusOK, `href="/docs/"`},
	} {
		resp, body := do(t, browser(t), http.MethodGet, url+test.path, nil, nil)
		if resp.StatusCode != test.code || !strings.Contains(body, test.want) {
			t.Errorf("%s: got %d, and no %q", test.path, resp.StatusCode, test.want)
		}
		if got := resp.Header.Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'none'") {
			t.Errorf("%s: got the policy %q", test.path, got)
		}
	}
}
