package origin_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"lockstep/internal/origin"
)

// What one host allows is tested where it is used, in live/wslive.
func TestASiteMayHaveSeveralHosts(t *testing.T) {
	site := origin.Site{Hosts: []string{"counter.example", "app:8000"}, Others: []string{"https://*.example.org"}}
	for from, want := range map[string]bool{
		"https://counter.example": true, "http://app:8000": true, "https://a.example.org": true, "https://b.a.example.org": true,
		"http://app": false, "https://example.org": false, "http://a.example.org": false, "https://counter.example.org.evil": false,
		"null": false, "": false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Origin", from)
		if got := site.Has(r); got != want {
			t.Errorf("%q: got %v, want %v", from, got, want)
		}
	}
	site.Secure = true
	if site.HasOrigin("http://counter.example") || !site.HasOrigin("https://counter.example") {
		t.Error("with TLS a page without is not of another origin, or one with TLS is")
	}
	if (origin.Site{}).HasOrigin("http://") {
		t.Error("a page of no host is of a site without any")
	}
}

func TestPatternsAreOriginsAndWhatIsBelowThem(t *testing.T) {
	for text, matches := range map[string]string{
		"https://counter.example":         "https://counter.example",
		"https://counter.example/":        "https://counter.example",
		"HTTPS://Counter.example:8443":    "https://counter.example:8443",
		"http://*.counter.example":        "http://a.counter.example",
		"https://*.counter.example:8443/": "https://a.b.counter.example:8443",
		"http://192.0.2.1:8000":           "http://192.0.2.1:8000",
		"http://[2001:db8::1]:8000":       "http://[2001:db8::1]:8000",
	} {
		pattern, err := origin.ParsePattern(text)
		if err != nil {
			t.Errorf("%s: got %v", text, err)
			continue
		}
		if !(origin.Site{Others: []string{pattern}}).Lists(matches) {
			t.Errorf("%s: %s does not match %s", text, pattern, matches)
		}
	}
	for _, text := range []string{
		"", "*", "counter.example", "//counter.example", "https://", "https://*", "https://*.", "ftp://counter.example", "null",
		"https://counter.*", "https://*counter.example", "https://a.*.example", "https://*.*.example", "https://[a-z].example",
		"https://counter.example/path", "https://counter.example?x", "https://me@counter.example", "https://*.[::1]",
		"https://counter.example https://other.example", `https://counter\.example`, "https://counter.exa?ple",
	} {
		if pattern, err := origin.ParsePattern(text); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %q, %v, want an error of one line", text, pattern, err)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, seed := range []string{"https://counter.example", "https://*.counter.example", "http://[::1]:8000", "*"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pattern, err := origin.ParsePattern(text)
		if err == nil && (origin.Site{Others: []string{pattern}}).Lists("https://evil.invalid") && !strings.Contains(strings.ToLower(text), "invalid") {
			t.Fatalf("%q lets everybody in", text)
		}
	})
}
