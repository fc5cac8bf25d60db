package web_test

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"lockstep/app/web"
	"lockstep/serve"
)

// A latch lets requests go on when as many have come as it waits for.
type latch struct {
	http.Handler
	all sync.WaitGroup
}

func (l *latch) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && r.Header.Get("Upgrade") == "" && r.Header.Get("Cookie") == "" {
		l.all.Done()
		l.all.Wait() // none has an answer before all have asked
	}
	l.Handler.ServeHTTP(w, r)
}

// Pages that are opened together, as when a browser starts with those of last time, have no cookie
// yet that they could share: the last one wins.
func TestTenFirstVisitsAtOnceAllHaveSocketsAndForms(t *testing.T) {
	for name, header := range map[string]http.Header{
		"plain": nil, "below a path": {"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Prefix": {"/x"}},
	} {
		t.Run(name, func(t *testing.T) {
			const visits = 10
			gate := &latch{}
			gate.all.Add(visits)
			srv, store := serveWith(t, &serve.Options{TrustedProxies: loopback})
			gate.Handler = srv.Config.Handler
			srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for name, values := range header {
					r.Header[name] = values
				}
				gate.ServeHTTP(w, r)
			})
			srv.Start()
			base := ""
			if header != nil {
				base = "/x"
			}
			c := browser(t)
			var pages [visits]page
			var done sync.WaitGroup
			for i := range pages {
				done.Go(func() { pages[i] = open(t, c, srv.URL+base+"/") })
			}
			done.Wait()
			for i, p := range pages {
				if _, got := dial(t, c, srv.URL+p.socket, http.Header{"Origin": {srv.URL}}); got != 101 {
					t.Errorf("page %d: got %d for its socket, want 101", i, got)
				}
				if resp, body := press(t, c, srv.URL+p.forms["increment"]); resp.StatusCode != 303 {
					t.Errorf("page %d: got %d for its form, want 303: %s", i, resp.StatusCode, body)
				}
			}
			if n := counted(t, store, "lobby"); n != visits {
				t.Errorf("got %d in the store, want %d", n, visits)
			}
			do(t, c, "GET", srv.URL+base+"/", nil, nil) // says what became of the last form
			resp, _ := do(t, c, "GET", srv.URL+base+"/", nil, nil)
			if set := resp.Header.Values("Set-Cookie"); len(set) > 0 {
				t.Errorf("got %q for a visitor who has a session, want that it stays", set)
			}
		})
	}
}

func TestASpareCookieIsOfNoUseWithoutItsToken(t *testing.T) {
	base, _ := serving(t)
	victim, thief := browser(t), browser(t)
	first := open(t, victim, base)
	own := open(t, thief, base)
	bare, _, _ := strings.Cut(first.socket, "&t=")
	u, _ := url.Parse(base)
	for _, cookie := range victim.Jar.Cookies(u) {
		header := http.Header{"Cookie": {cookie.String()}}
		if _, got := dial(t, &http.Client{}, base+own.socket, header); got != 403 {
			t.Errorf("%s: got %d with the token of another session, want 403", cookie.Name, got)
		}
		if _, got := dial(t, &http.Client{}, base+bare, header); got != 403 {
			t.Errorf("%s: got %d without a token, want 403", cookie.Name, got)
		}
		if _, got := dial(t, &http.Client{}, base+first.socket, header); got != 101 {
			t.Errorf("%s: got %d with its own token, want 101", cookie.Name, got)
		}
	}
	if n := len(victim.Jar.Cookies(u)); n != 2 {
		t.Errorf("got %d cookies, want the main one and a spare", n)
	}
}

// at makes a request with a Host and headers, and returns the answer's status and text.
func at(t *testing.T, method, url, host string, header http.Header, form url.Values) (*http.Response, string) {
	t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header, req.Host = header.Clone(), host
	if req.Header == nil {
		req.Header = http.Header{}
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return resp, "" // the body is the socket
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// upgrading are the headers of a websocket that is asked for.
func upgrading(more ...string) http.Header {
	h := http.Header{
		"Connection": {"keep-alive, Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"bm90IGEgc2VjcmV0IGtleQ=="},
	}
	for i := 0; i < len(more); i += 2 {
		h.Add(more[i], more[i+1])
	}
	return h
}

func TestAPageWhoseProxyChangesTheHostMayConnectWhenTheServerIsTold(t *testing.T) {
	const inner, origin = "app:8000", "https://counter.example"
	for _, tc := range []struct {
		name   string
		opts   serve.Options
		header []string // of the proxy
		want   bool
	}{
		{"nobody says anything", serve.Options{}, nil, false},
		{"it is listed", serve.Options{Origins: []string{"https://counter.example"}}, nil, true},
		{"it is below one that is listed", serve.Options{Origins: []string{"https://*.example"}}, nil, true},
		{"another one is listed", serve.Options{Origins: []string{"https://other.example"}}, nil, false},
		{"another scheme is listed", serve.Options{Origins: []string{"http://counter.example"}}, nil, false},
		{"a trusted proxy says it", serve.Options{TrustedProxies: loopback}, []string{"X-Forwarded-Host", "counter.example"}, true},
		{"a trusted proxy says it with TLS", serve.Options{TrustedProxies: loopback}, []string{"X-Forwarded-Host", "counter.example", "X-Forwarded-Proto", "https"}, true},
		{"by RFC 7239", serve.Options{TrustedProxies: loopback}, []string{"Forwarded", "for=192.0.2.1;host=counter.example;proto=https"}, true},
		{"a proxy that is not trusted says it", serve.Options{}, []string{"X-Forwarded-Host", "counter.example"}, false},
		{"a trusted proxy says another", serve.Options{TrustedProxies: loopback}, []string{"X-Forwarded-Host", "other.example"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv, _ := serveWith(t, &tc.opts)
			srv.Start()
			_, body := at(t, "GET", srv.URL, inner, nil, nil)
			p, _ := readPage(t, body)
			socket, _, _ := strings.Cut(p.socket, "&t=")
			resp, _ := at(t, "GET", srv.URL+socket, inner, upgrading(append(tc.header, "Origin", origin)...), nil)
			if got := resp.StatusCode == 101; got != tc.want {
				t.Errorf("got %d for a socket, want %v", resp.StatusCode, tc.want)
			}
			h := http.Header{}
			for i := 0; i < len(tc.header); i += 2 {
				h.Add(tc.header[i], tc.header[i+1])
			}
			resp, body = at(t, "GET", srv.URL, inner, h, nil)
			p, _ = readPage(t, body)
			cookie, _, _ := strings.Cut(resp.Header.Get("Set-Cookie"), ";")
			h.Set("Cookie", cookie)
			h.Set("Origin", origin)
			if resp, _ = at(t, "POST", srv.URL+p.forms["increment"], inner, h, url.Values{}); (resp.StatusCode == 303) != tc.want {
				t.Errorf("got %d for a form, want %v", resp.StatusCode, tc.want)
			}
			h.Del("Origin")
			h.Set("Referer", origin+"/c/lobby")
			resp, _ = at(t, "GET", srv.URL+p.socket, inner, h, nil)
			why := resp.Header.Get("Lockstep-Problem")
			if told := strings.Contains(why, "https://counter.example") && strings.Contains(why, inner); told == tc.want {
				t.Errorf("got %q for the page that asks why (%d)", why, resp.StatusCode)
			}
		})
	}
}

// A browser that says itself that a form came from another site is believed, whatever proxies say
// of hosts; an origin that is listed is of this site.
func TestSecFetchSiteStandsAboveWhatProxiesSay(t *testing.T) {
	for origin, want := range map[string]string{"https://counter.example": "another site", "https://listed.example": "no cookie"} {
		srv, _ := serveWith(t, &serve.Options{TrustedProxies: loopback, Origins: []string{"https://listed.example"}})
		srv.Start()
		h := http.Header{"X-Forwarded-Host": {"counter.example"}, "Origin": {origin}, "Sec-Fetch-Site": {"cross-site"}}
		resp, body := at(t, "POST", srv.URL+"/c/lobby/increment", "app:8000", h, url.Values{})
		if resp.StatusCode != 403 || !strings.Contains(body, want) {
			t.Errorf("%s: got %d %s, want that it says %q", origin, resp.StatusCode, body, want)
		}
	}
}

func TestTheLogNamesTheFlagThatHelpsAndIsBounded(t *testing.T) {
	var log bytes.Buffer
	var mu sync.Mutex
	srv, _ := serveWith(t, &serve.Options{Logger: slog.New(slog.NewTextHandler(&syncWriter{mu: &mu, w: &log}, nil))})
	srv.Start()
	_, body := at(t, "GET", srv.URL, "app:8000", nil, nil)
	p, _ := readPage(t, body)
	socket, _, _ := strings.Cut(p.socket, "&t=")
	for i := range 20 {
		at(t, "GET", srv.URL+socket, "app:8000", upgrading("Origin", fmt.Sprintf("https://%d.example", i)), nil)
		at(t, "POST", srv.URL+"/c/lobby/increment", "app:8000", http.Header{"Origin": {"https://counter.example"}}, url.Values{})
	}
	mu.Lock()
	defer mu.Unlock()
	text := log.String()
	for _, want := range []string{"-origins", "-trusted-proxies", "https://0.example", "host=app:8000"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log says nothing of %s: %s", want, text)
		}
	}
	if n := strings.Count(text, "another origin"); n != 3 {
		t.Errorf("got %d lines for 40 refusals, want 3", n)
	}
}

// A syncWriter is a log that may be read.
type syncWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (s *syncWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

func TestAllNamesThatARequestCameByMustBeKnown(t *testing.T) {
	var log bytes.Buffer
	var mu sync.Mutex
	srv, _ := serveWith(t, &serve.Options{
		Hosts: []string{"counter.example", "app"}, TrustedProxies: loopback,
		Logger: slog.New(slog.NewTextHandler(&syncWriter{mu: &mu, w: &log}, nil)),
	})
	srv.Start()
	for _, tc := range []struct {
		host, forwarded string
		want            int
	}{
		{"counter.example", "", 200},
		{"counter.example.", "", 200}, // a name may end with a dot
		{"Counter.example:8000", "", 200},
		{"app:8000", "counter.example", 200},
		{"app:8000", "counter.example, app:8000", 200},
		{"app:8000", "evil.example", 421},                  // a name that was made to point here, by way of the proxy
		{"evil.example", "counter.example", 421},           // the page of such a name says so itself, and the proxy lets it
		{"app:8000", "evil.example, counter.example", 421}, // and another proxy appends
	} {
		h := http.Header{}
		if tc.forwarded != "" {
			h.Set("X-Forwarded-Host", tc.forwarded)
		}
		if resp, _ := at(t, "GET", srv.URL, tc.host, h, nil); resp.StatusCode != tc.want {
			t.Errorf("%s for %q: got %d, want %d", tc.host, tc.forwarded, resp.StatusCode, tc.want)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if text := log.String(); strings.Count(text, "-hosts") != 1 || !strings.Contains(text, "evil.example") {
		t.Errorf("got the log %s, want one line that names the flag and the host", text)
	}
}

func TestStrictTransportIsForTheNameThatTheBrowserUses(t *testing.T) {
	srv, _ := serveWith(t, &serve.Options{TrustedProxies: loopback})
	srv.Start()
	for _, tc := range []struct {
		host, forwarded string
		want            bool
	}{
		{"counter.example", "", true}, {"localhost:8001", "counter.example", true}, {"app:8000", "localhost:8443", false}, {"localhost", "", false},
	} {
		h := http.Header{"X-Forwarded-Proto": {"https, http"}}
		if tc.forwarded != "" {
			h.Set("X-Forwarded-Host", tc.forwarded)
		}
		resp, _ := at(t, "GET", srv.URL, tc.host, h, nil)
		if got := resp.Header.Get("Strict-Transport-Security") != ""; got != tc.want {
			t.Errorf("%s for %q: got %v, want %v", tc.host, tc.forwarded, got, tc.want)
		}
		if cookie := resp.Header.Get("Set-Cookie"); !strings.Contains(cookie, "Secure") {
			t.Errorf("got cookie %q, want that it is for TLS only", cookie)
		}
	}
}

// address finds what a page leads to, loads, or asks for.
var address = regexp.MustCompile(`(?:href|src|action|hx-ws:connect|data-worker|data-program|data-progress)="(/[^"]*)"`)

// relativeAddress finds those of the page that loads the program, which any server may have.
var relativeAddress = regexp.MustCompile(`(?:href|src|data-worker|data-program|data-script|data-offline|data-server)="([^/"][^"]*)"`)

func TestNothingLeadsOutOfTheBasePath(t *testing.T) {
	configured := &serve.Options{BasePath: "/shop/counter"}
	automatic := &serve.Options{TrustedProxies: loopback}
	says := http.Header{"X-Forwarded-Prefix": {"/shop/counter"}}
	for _, tc := range []struct {
		name   string
		opts   *serve.Options
		header http.Header
		strips bool // the proxy takes the path off
	}{
		{"configured, path kept", configured, nil, false},
		{"configured, path stripped", configured, nil, true},
		{"said by a trusted proxy, path stripped", automatic, says, true},
		{"said by a trusted proxy, path kept", automatic, says, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const base = "/shop/counter"
			srv, _ := serveWith(t, tc.opts)
			srv.Start()
			get := func(path string) (*http.Response, string) {
				if tc.strips {
					path = strings.TrimPrefix(path, base)
				}
				return at(t, "GET", srv.URL+path, "shop.example", tc.header, nil)
			}
			seen := map[string]bool{}
			for _, path := range []string{"/", "/c/kitchen", "/poll/lunch", "/bank/vault", "/wasm/", "/c/BAD", "/nothing"} {
				resp, body := get(base + path)
				for _, cookie := range resp.Cookies() {
					if cookie.Path != base {
						t.Errorf("%s: got cookie %s for %s, want %s", path, cookie.Name, cookie.Path, base)
					}
				}
				for _, m := range address.FindAllStringSubmatch(body, -1) {
					seen[html.UnescapeString(m[1])] = true
				}
			}
			if len(seen) < 10 {
				t.Errorf("got %d addresses on the pages, want more: %v", len(seen), seen)
			}
			for link := range seen {
				if !strings.HasPrefix(link, base+"/") {
					t.Errorf("%s leads outside", link)
					continue
				}
				if strings.Contains(link, "?lane=") {
					continue // a form posts there
				}
				want := 200
				switch {
				case strings.Contains(link, "/ws/"):
					want = http.StatusUpgradeRequired // no cookie was sent
				case strings.HasSuffix(link, "/c"), strings.HasSuffix(link, "/poll"), strings.HasSuffix(link, "/bank"):
					link, want = link+"?name=kitchen", http.StatusSeeOther
				}
				if resp, _ := get(link); resp.StatusCode != want {
					t.Errorf("%s: got %d, want %d", link, resp.StatusCode, want)
				}
			}
			for _, path := range []string{"/c?name=kitchen", "/wasm", "/docs", "/favicon.ico"} {
				resp, _ := get(base + path)
				if !strings.HasPrefix(resp.Header.Get("Location"), base+"/") {
					t.Errorf("%s leads to %q", path, resp.Header.Get("Location"))
				}
				if resp.StatusCode == http.StatusMovedPermanently && resp.Header.Get("Cache-Control") != "no-cache" {
					t.Errorf("%s: a cache may give this visitor's path to others", path)
				}
			}
			for _, path := range []string{"/wasm/", "/docs/tutorial/"} {
				here, _ := url.Parse("http://shop.example" + base + path)
				_, page := get(here.Path)
				relative := relativeAddress.FindAllStringSubmatch(page, -1)
				if len(relative) < 6 {
					t.Errorf("got %d relative addresses at %s, want more", len(relative), path)
				}
				for _, m := range relative {
					link, err := here.Parse(html.UnescapeString(m[1]))
					if err != nil || !strings.HasPrefix(link.Path, base+"/") {
						t.Errorf("%s leads outside (%v)", m[1], err)
						continue
					}
					if resp, _ := get(link.Path); resp.StatusCode != 200 {
						t.Errorf("%s: got %d, want 200", link.Path, resp.StatusCode)
					}
				}
			}
			if _, body := get(base + "/wasm/progress"); !strings.Contains(body, `"worker":"`+base+"/static/") {
				t.Errorf("got %s, want addresses below the base path", body)
			}
			if resp, _ := get(base); resp.StatusCode != 200 {
				t.Errorf("got %d for the base path itself, want 200", resp.StatusCode)
			}
			for _, path := range []string{"/readyz", "/healthz"} {
				if resp, _ := at(t, "GET", srv.URL+path, "10.0.0.1:8000", nil, nil); resp.StatusCode != 200 {
					t.Errorf("%s: got %d for a probe that knows no base path, want 200", path, resp.StatusCode)
				}
			}
		})
	}
}

func TestABasePathThatIsNoneIsRefused(t *testing.T) {
	for path, want := range map[string]bool{
		"": true, "/x": true, "/shop/counter-1.0_a": true,
		"/": false, "x": false, "/x/": false, "//x": false, "/x//y": false, "/.": false, "/x/..": false, "/a b": false, "/a;b": false, "/ä": false, "/a~b": false, "/c": false, "/poll": false, "/bank/x": false, "/static/x": false, "/cx": true, `/"`: false,
	} {
		if got := web.ValidBasePath(path); got != want {
			t.Errorf("%q: got %v, want %v", path, got, want)
		}
	}
}

func TestTwoServersOfOneHostKeepTheirSessionsApart(t *testing.T) {
	for name, proto := range map[string]string{"plain": "http", "TLS": "https"} {
		t.Run(name, func(t *testing.T) {
			opts := serve.Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
			names := map[string]bool{}
			for _, base := range []string{"/a", "/b"} {
				opts.BasePath = base
				srv, _ := serveWith(t, &opts)
				srv.Start()
				resp, _ := at(t, "GET", srv.URL+base+"/", "counter.example", http.Header{"X-Forwarded-Proto": {proto}}, nil)
				cookie := resp.Cookies()[0]
				names[cookie.Name+cookie.Path] = true
				if strings.HasPrefix(cookie.Name, "__Host-") != (proto == "https") || strings.HasPrefix(cookie.Name, "__Host-") && cookie.Path != "/" {
					t.Errorf("got cookie %s for %s", cookie.Name, cookie.Path)
				}
			}
			if len(names) != 2 {
				t.Errorf("got %v, want a cookie each", names)
			}
		})
	}
}

// TestRequestsAsOldAndOddProxiesSendThem.
func TestRequestsAsOldAndOddProxiesSendThem(t *testing.T) {
	srv, _ := serveWith(t, &serve.Options{Hosts: []string{"counter.example", "2001:db8::1"}})
	srv.Start()
	_, body := at(t, "GET", srv.URL, "counter.example", nil, nil)
	p, _ := readPage(t, body)
	socket, _, _ := strings.Cut(p.socket, "&t=")
	const upgrade = "Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bm90IGEgc2VjcmV0IGtleQ==\r\n"
	for _, tc := range []struct {
		name, request string
		want          string
	}{
		{"HTTP/1.0", "GET / HTTP/1.0\r\nHost: counter.example\r\n\r\n", "HTTP/1.0 200"},
		{"HTTP/1.0 without a name", "GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 421"},
		{"an absolute address", "GET http://counter.example/c/x HTTP/1.1\r\nHost: other.example\r\n\r\n", "HTTP/1.1 200"},
		{"an absolute address of another", "GET http://other.example/c/x HTTP/1.1\r\nHost: counter.example\r\n\r\n", "HTTP/1.1 421"},
		{"IPv6 with a port", "GET / HTTP/1.1\r\nHost: [2001:DB8::1]:8000\r\n\r\n", "HTTP/1.1 200"},
		{"Connection: close, upgrade", "GET " + socket + " HTTP/1.1\r\nHost: counter.example\r\nConnection: close, upgrade\r\n" + upgrade + "\r\n", "HTTP/1.1 101"},
		{"Connection in two lines", "GET " + socket + " HTTP/1.1\r\nHost: counter.example\r\nConnection: keep-alive\r\nConnection: Upgrade\r\n" + upgrade + "\r\n", "HTTP/1.1 101"},
		{"Upgrade without Connection", "GET " + socket + " HTTP/1.1\r\nHost: counter.example\r\n" + upgrade + "\r\n", "HTTP/1.1 426"},
		{"an upgrade in HTTP/1.0", "GET " + socket + " HTTP/1.0\r\nHost: counter.example\r\nConnection: Upgrade\r\n" + upgrade + "\r\n", "HTTP/1.0 426"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := speak(t, srv, tc.request); !strings.HasPrefix(got, tc.want) {
				t.Errorf("got %q, want %s", got, tc.want)
			}
		})
	}
}

// speak sends bytes, and returns the first line of the answer.
func speak(t *testing.T, srv *httptest.Server, request string) string {
	t.Helper()
	c := dialTCP(t, srv.Listener.Addr().String())
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 512)
	n, err := c.Read(head)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(head[:n]), "\r\n")
	return line
}

func dialTCP(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
