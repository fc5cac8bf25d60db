package serve_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"lockstep/serve"
)

// Networks of proxies that the tests trust: the clouds' own are as good as these.
func trustedNetworks() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8:ff::/48"),
	}
}

// asked is a request of a proxy with headers, which are by name and value in turn.
func asked(peer string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://app.internal:8000/", nil)
	r.RemoteAddr = peer
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func TestWhoAProxySpeaksForIsReadAsProxiesWriteIt(t *testing.T) {
	const xff, lb = "X-Forwarded-For", "10.0.0.9:31337"
	for _, tc := range []struct {
		name, peer string
		headers    []string
		want       string
	}{
		{"nginx, $proxy_add_x_forwarded_for", lb, []string{xff, "203.0.113.7"}, "203.0.113.7"},
		{"nginx, of a client that lies", lb, []string{xff, "198.51.100.1, 203.0.113.7"}, "203.0.113.7"},
		{"AWS ALB", lb, []string{xff, "203.0.113.7", "X-Forwarded-Port", "443"}, "203.0.113.7"},
		{"AWS ALB with client ports kept", lb, []string{xff, "203.0.113.7:46532"}, "203.0.113.7"},
		{"AWS ALB with client ports kept, IPv6", lb, []string{xff, "[2001:db8:85a3:8d3:1319:8a2e:370:7348]:8080"}, "2001:db8:85a3:8d3:1319:8a2e:370:7348"},
		{"Azure Application Gateway", lb, []string{xff, "203.0.113.7:50432"}, "203.0.113.7"},
		{"Azure Application Gateway behind Front Door", lb, []string{xff, "203.0.113.7, 10.1.2.3:57344"}, "203.0.113.7"},
		{"Azure App Service, IPv6 with a port", lb, []string{xff, "[2001:db8::7]:57344"}, "2001:db8::7"},
		{"Google, with the address of the balancer", lb, []string{xff, "198.51.100.1,203.0.113.7,192.0.2.44"}, "203.0.113.7"},
		{"Cloudflare", lb, []string{xff, "203.0.113.7", "Cf-Connecting-Ip", "203.0.113.7"}, "203.0.113.7"},
		{"Cloudflare before a balancer of one's own", lb, []string{xff, "203.0.113.7, 192.0.2.18"}, "203.0.113.7"},
		{"Fly.io", lb, []string{xff, "203.0.113.7, 192.0.2.80", "Fly-Client-Ip", "203.0.113.7"}, "203.0.113.7"},
		{"Heroku", lb, []string{xff, "198.51.100.1,203.0.113.7"}, "203.0.113.7"},
		{"Akamai", lb, []string{xff, "203.0.113.7, 192.0.2.5, 192.0.2.6"}, "203.0.113.7"},
		{"HAProxy, which adds a line", lb, []string{xff, "198.51.100.1", xff, "203.0.113.7"}, "203.0.113.7"},
		{"several lines with several each", lb, []string{xff, "198.51.100.1, 203.0.113.7", xff, "10.1.1.1 ,\t10.1.1.2"}, "203.0.113.7"},
		{"no spaces", lb, []string{xff, "203.0.113.7,10.1.1.1"}, "203.0.113.7"},
		{"nothing between commas", lb, []string{xff, "203.0.113.7, , ,10.1.1.1,"}, "203.0.113.7"},
		{"quotes", lb, []string{xff, `"203.0.113.7"`}, "203.0.113.7"},
		{"IPv6", lb, []string{xff, "2001:db8::7"}, "2001:db8::7"},
		{"IPv6 in brackets", lb, []string{xff, "[2001:db8::7]"}, "2001:db8::7"},
		{"IPv6 with a zone", lb, []string{xff, "fe80::1%eth0"}, "fe80::1"},
		{"IPv6 with a zone and a port", lb, []string{xff, "[fe80::1%eth0]:443"}, "fe80::1"},
		{"IPv4 in IPv6", lb, []string{xff, "::ffff:203.0.113.7"}, "203.0.113.7"},
		{"IPv4 in IPv6, with a port", lb, []string{xff, "[::ffff:203.0.113.7]:443"}, "203.0.113.7"},
		{"a trusted proxy by IPv6, with a port", "[2001:db8:ff::1]:1", []string{xff, "203.0.113.7, [2001:db8:ff::2]:443"}, "203.0.113.7"},
		{"a trusted proxy in IPv6 clothes", "[::ffff:10.0.0.9]:1", []string{xff, "203.0.113.7, ::ffff:10.0.0.8"}, "203.0.113.7"},
		{"somebody inside, by way of proxies only", lb, []string{xff, "10.4.4.4, 10.1.1.1"}, "10.4.4.4"},

		{"unknown", lb, []string{xff, "unknown"}, "10.0.0.9"},
		{"unknown before a proxy", lb, []string{xff, "203.0.113.7, unknown, 10.1.1.1"}, "10.1.1.1"},
		{"hidden", lb, []string{xff, "_hidden"}, "10.0.0.9"},
		{"a name", lb, []string{xff, "client.example"}, "10.0.0.9"},
		{"nonsense", lb, []string{xff, "203.0.113.7:99999999, ]["}, "10.0.0.9"},
		{"nonsense of a client", lb, []string{xff, `", 1.2.3, 203.0.113.7`}, "203.0.113.7"},
		{"IPv4 in brackets", lb, []string{xff, "[203.0.113.7]"}, "10.0.0.9"},
		{"empty", lb, []string{xff, ""}, "10.0.0.9"},
		{"nothing", lb, nil, "10.0.0.9"},
		{"a peer that is not trusted", "203.0.113.9:1", []string{xff, "198.51.100.1", "Forwarded", "for=198.51.100.1"}, "203.0.113.9"},

		{"RFC 7239", lb, []string{"Forwarded", "for=203.0.113.7;proto=http;by=10.0.0.9"}, "203.0.113.7"},
		{"RFC 7239, IPv6", lb, []string{"Forwarded", `For="[2001:db8:cafe::17]:4711"`}, "2001:db8:cafe::17"},
		{"RFC 7239, a list", lb, []string{"Forwarded", "for=198.51.100.1, for=203.0.113.7, for=10.1.1.1"}, "203.0.113.7"},
		{"RFC 7239, several lines", lb, []string{"Forwarded", "for=198.51.100.1", "Forwarded", `by=_x; FOR = "203.0.113.7:1234" ;secret=","`}, "203.0.113.7"},
		{"RFC 7239, a hidden port", lb, []string{"Forwarded", `for="203.0.113.7:_port"`}, "203.0.113.7"},
		{"RFC 7239, escapes", lb, []string{"Forwarded", `for="203\.0.113.7";host="a\"b, c"`}, "203.0.113.7"},
		{"RFC 7239, unknown", lb, []string{"Forwarded", "for=203.0.113.7, for=unknown"}, "10.0.0.9"},
		{"RFC 7239, hidden", lb, []string{"Forwarded", `for="_SEVKISEK"`}, "10.0.0.9"},
		{"RFC 7239, no for", lb, []string{"Forwarded", "proto=https"}, "10.0.0.9"},
		{"RFC 7239, a client's quote without an end", lb, []string{"Forwarded", `for="198.51.100.1, for=203.0.113.7`}, "203.0.113.7"},
		{"RFC 7239, a client's back slash at the end", lb, []string{"Forwarded", `for="x\, for="203.0.113.7:80"`}, "203.0.113.7"},
		{"both: almost all proxies set the first, and pass on a client's other", lb, []string{"Forwarded", "for=198.51.100.1", xff, "203.0.113.7"}, "203.0.113.7"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := serve.NewForwarding(trustedNetworks()).Of(asked(tc.peer, tc.headers...)).Addr; got.String() != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestWhatProxiesSayOfSchemeHostAndPath(t *testing.T) {
	const own = "app.internal:8000"
	for _, tc := range []struct {
		name    string
		headers []string
		secure  bool
		hosts   string
		prefix  string
	}{
		{"nothing", nil, false, own, ""},
		{"a scheme", []string{"X-Forwarded-Proto", "https"}, true, own, ""},
		{"a scheme in upper case", []string{"X-Forwarded-Proto", "HTTPS"}, true, own, ""},
		{"the scheme of a websocket (Traefik)", []string{"X-Forwarded-Proto", "wss"}, true, own, ""},
		{"TLS that ends at the first proxy", []string{"X-Forwarded-Proto", "https, http"}, true, own, ""},
		{"TLS between proxies only", []string{"X-Forwarded-Proto", "http,https"}, false, own, ""},
		{"two lines", []string{"X-Forwarded-Proto", "https", "X-Forwarded-Proto", "http"}, true, own, ""},
		{"the scheme by its older name", []string{"X-Forwarded-Scheme", "https"}, true, own, ""},
		{"no scheme but TLS", []string{"X-Forwarded-Ssl", "on"}, true, own, ""},
		{"TLS of a client that lies", []string{"X-Forwarded-Ssl", "on", "X-Forwarded-Proto", "http"}, false, own, ""},
		{"another scheme", []string{"X-Forwarded-Proto", "ftp"}, false, own, ""},
		{"a host", []string{"X-Forwarded-Host", "counter.example"}, false, "counter.example", ""},
		{"a host with its port", []string{"X-Forwarded-Host", "counter.example:8443"}, false, "counter.example:8443", ""},
		{"a host and a port", []string{"X-Forwarded-Host", "counter.example", "X-Forwarded-Port", "8443"}, false, "counter.example counter.example:8443", ""},
		{"a host and a port that is none", []string{"X-Forwarded-Host", "counter.example", "X-Forwarded-Port", "x@evil"}, false, "counter.example", ""},
		{"an IPv6 host and a port", []string{"X-Forwarded-Host", "[2001:db8::1]", "X-Forwarded-Port", "81"}, false, "[2001:db8::1] [2001:db8::1]:81", ""},
		{"a host for each proxy (Apache)", []string{"X-Forwarded-Host", "counter.example, inner.example"}, false, "counter.example inner.example", ""},
		{"a path (Traefik, Spring)", []string{"X-Forwarded-Prefix", "/shop/counter"}, false, own, "/shop/counter"},
		{"a path that ends with a slash", []string{"X-Forwarded-Prefix", "/counter/"}, false, own, "/counter"},
		{"paths of two proxies", []string{"X-Forwarded-Prefix", "/shop", "X-Forwarded-Prefix", "/counter"}, false, own, "/shop/counter"},
		{"the root", []string{"X-Forwarded-Prefix", "/"}, false, own, ""},
		{"a path to another host", []string{"X-Forwarded-Prefix", "//evil.example"}, false, own, ""},
		{"a path upwards", []string{"X-Forwarded-Prefix", "/a/../b"}, false, own, ""},
		{"a path that is markup", []string{"X-Forwarded-Prefix", `/"><script>`}, false, own, ""},
		{"a path that is a header", []string{"X-Forwarded-Prefix", "/a;b"}, false, own, ""},
		{"a path that is too long", []string{"X-Forwarded-Prefix", "/" + strings.Repeat("a", 200)}, false, own, ""},
		{"RFC 7239", []string{"Forwarded", `for=203.0.113.7;proto=https;host="counter.example:8443"`}, true, "counter.example:8443", ""},
		{"RFC 7239, two proxies", []string{"Forwarded", "for=203.0.113.7;proto=https;host=counter.example, for=10.0.0.1;proto=http;host=inner"}, true, "inner counter.example", ""},
		{"RFC 7239, a client that lies", []string{"Forwarded", "for=10.0.0.1;proto=https;host=evil, for=203.0.113.7;proto=http"}, false, own, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := serve.NewForwarding(trustedNetworks()).Of(asked("10.0.0.9:1", tc.headers...))
			if got.Secure != tc.secure || strings.Join(got.Hosts, " ") != tc.hosts || got.Prefix != tc.prefix {
				t.Errorf("got %v %q %q, want %v %q %q", got.Secure, got.Hosts, got.Prefix, tc.secure, tc.hosts, tc.prefix)
			}
			stranger := serve.NewForwarding(trustedNetworks()).Of(asked("203.0.113.1:1", tc.headers...))
			if stranger.Secure || !slices.Equal(stranger.Hosts, []string{own}) || stranger.Prefix != "" || stranger.Proxied {
				t.Errorf("got %+v from a peer that is not trusted, want nothing of it", stranger)
			}
		})
	}
}

// FuzzForwarded: whatever a client sends before it, the address that a trusted proxy has appended
// is found, and what may stand in a page is fit for it.
func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"", "203.0.113.9", `for="`, `for="\`, "unknown, _x", `"`, "[::1]:80,,", ";;=;", "/a/b"} {
		f.Add(seed, seed)
	}
	forwarding := serve.NewForwarding(trustedNetworks())
	f.Fuzz(func(t *testing.T, before, other string) {
		if strings.ContainsAny(before+other, "\r\n\x00") {
			return // it is no header
		}
		for _, headers := range [][]string{
			{"X-Forwarded-For", before + ", 203.0.113.7:443"},
			{"X-Forwarded-For", before, "X-Forwarded-For", "203.0.113.7", "Forwarded", other},
			{"Forwarded", before + `, for="203.0.113.7:443";proto=https`},
			{"Forwarded", before, "Forwarded", "proto=https;for=203.0.113.7"},
		} {
			headers = append(headers, "X-Forwarded-Host", other, "X-Forwarded-Prefix", other, "X-Forwarded-Port", other)
			got := forwarding.Of(asked("10.0.0.9:1", headers...))
			if got.Addr.String() != "203.0.113.7" || !got.Proxied {
				t.Errorf("%q: got %s", headers, got.Addr)
			}
			if !serve.ValidBasePath(got.Prefix) || len(got.Prefix) > 128 || len(got.Hosts) > 16 {
				t.Errorf("%q: got prefix %q and %d hosts", headers, got.Prefix, len(got.Hosts))
			}
		}
	})
}
