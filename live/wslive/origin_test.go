package wslive_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"

	"lockstep/live"
	"lockstep/live/wslive"
)

func TestWhoMayConnect(t *testing.T) {
	const own = "example.com"
	for _, c := range []struct {
		name    string
		origins []string
		host    string
		tls     bool
		allow   []string // Options.Origins
		want    bool
	}{
		{"no browser", nil, own, false, nil, true},
		{"the own page", []string{"http://example.com"}, own, false, nil, true},
		{"the own page behind a proxy that has TLS", []string{"https://example.com"}, own, false, nil, true},
		{"the own page with TLS", []string{"https://example.com"}, own, true, nil, true},
		{"the same host without TLS", []string{"http://example.com"}, own, true, nil, false},
		{"a port", []string{"http://example.com:8000"}, "example.com:8000", false, nil, true},
		{"another port", []string{"http://example.com:8001"}, "example.com:8000", false, nil, false},
		{"a port that the origin has not", []string{"http://example.com"}, "example.com:8000", false, nil, false},
		{"a port that the host has not", []string{"http://example.com:8000"}, own, false, nil, false},
		{"the port of https", []string{"https://example.com:443"}, own, false, nil, true},
		{"the port of https in the host", []string{"https://example.com"}, "example.com:443", false, nil, true},
		{"the port of http", []string{"http://example.com:80"}, own, false, nil, true},
		{"the port of http with https", []string{"https://example.com:80"}, own, false, nil, false},
		{"upper case", []string{"HTTPS://EXAMPLE.COM"}, own, false, nil, true},
		{"upper case in the host", []string{"https://example.com"}, "Example.COM", false, nil, true},
		{"an address", []string{"http://[::1]:8000"}, "[::1]:8000", false, nil, true},
		{"an address that ends like a port", []string{"http://[fe80::80]"}, "[fe80::80]", false, nil, true},

		{"another page", []string{"https://evil.example"}, own, false, nil, false},
		{"null", []string{"null"}, own, false, nil, false},
		{"null to a host that is not named", []string{"null"}, "", false, nil, false},
		{"an origin that is empty", []string{""}, own, false, nil, false},
		{"two origins, the own first", []string{"https://example.com", "https://evil.example"}, own, false, nil, false},
		{"two origins, the own last", []string{"https://evil.example", "https://example.com"}, own, false, nil, false},
		{"two origins in one", []string{"https://example.com, https://evil.example"}, own, false, nil, false},
		{"two origins by space", []string{"https://example.com https://evil.example"}, own, false, nil, false},
		{"a suffix", []string{"https://example.com.evil.example"}, own, false, nil, false},
		{"a prefix", []string{"https://evilexample.com"}, own, false, nil, false},
		{"a host below", []string{"https://evil.example.com"}, own, false, nil, false},
		{"the host above", []string{"https://com"}, own, false, nil, false},
		{"a dot behind", []string{"https://example.com."}, own, false, nil, false},
		{"the host as a user", []string{"https://example.com@evil.example"}, own, false, nil, false},
		{"a user at the host", []string{"https://evil@example.com"}, own, false, nil, false},
		{"a path", []string{"https://example.com/"}, own, false, nil, false},
		{"the host as a path", []string{"https://evil.example/example.com"}, own, false, nil, false},
		{"a query", []string{"https://example.com?x"}, own, false, nil, false},
		{"a fragment", []string{"https://example.com#x"}, own, false, nil, false},
		{"a back slash", []string{`https://example.com\.evil.example`}, own, false, nil, false},
		{"no scheme", []string{"example.com"}, own, false, nil, false},
		{"no scheme, with a port", []string{"example.com:80"}, "example.com:80", false, nil, false},
		{"no scheme but slashes", []string{"//example.com"}, own, false, nil, false},
		{"a file", []string{"file://example.com"}, own, false, nil, false},
		{"an extension", []string{"chrome-extension://example.com"}, own, false, nil, false},
		{"a socket", []string{"wss://example.com"}, own, false, nil, false},
		{"a zero", []string{"https://example.com%00.evil.example"}, own, false, nil, false},
		{"an escape", []string{"https://example%2ecom"}, own, false, nil, false},
		{"an empty port", []string{"https://example.com:"}, own, false, nil, false},

		{"a host that is listed", []string{"https://app.example.org"}, own, false, []string{"*.example.org"}, true},
		{"a host that is listed in another case", []string{"https://APP.example.org"}, own, false, []string{"*.Example.org"}, true},
		{"one with another scheme", []string{"http://app.example.org"}, own, false, []string{"https://*.example.org"}, false},
		{"one with its scheme", []string{"https://app.example.org"}, own, false, []string{"https://*.example.org"}, true},
		{"one that only ends so", []string{"https://app.example.org.evil.example"}, own, false, []string{"*.example.org"}, false},
		{"one behind a pattern that is none", []string{"https://evil.example"}, own, false, []string{"[", "example.org"}, false},
		{"null when all are listed", []string{"null"}, own, false, []string{"*"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			rt := live.NewRuntime(nil)
			rt.Start()
			defer rt.Stop()
			h := wslive.NewHandler(rt, func(*http.Request) live.View { return echo{} }, &wslive.Options{Plain: true, Origins: c.allow})
			defer h.Close()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Host, r.Header["Origin"] = c.host, c.origins
			if c.tls {
				r.TLS = new(tls.ConnectionState)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			want := http.StatusForbidden
			if c.want {
				want = http.StatusUpgradeRequired // it is asked to upgrade, which it did not
			}
			if w.Code != want {
				t.Errorf("got %d, want %d", w.Code, want)
			}
			if got := h.Stats().Foreign; (got == 1) == c.want {
				t.Errorf("got %d foreign origins counted", got)
			}
		})
	}
}
