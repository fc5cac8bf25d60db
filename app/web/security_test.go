package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"lockstep/serve"
	"lockstep/state/memstate"
)

// visit loads a page and returns where its socket is.
func visit(t *testing.T, c *http.Client, base string) string {
	t.Helper()
	return open(t, c, base).socket
}

// dial opens a socket, and returns the status of the answer if that fails.
func dial(t *testing.T, c *http.Client, url string, header http.Header) (*websocket.Conn, int) {
	t.Helper()
	ws, resp, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPClient: c, HTTPHeader: header})
	if err == nil {
		t.Cleanup(func() { _ = ws.CloseNow() })
		return ws, http.StatusSwitchingProtocols
	}
	if resp == nil {
		t.Fatal(err)
	}
	return nil, resp.StatusCode
}

// wrongSockets are addresses of sockets that are refused, with who asks for them.
func wrongSockets(t *testing.T, base string) map[string]struct {
	client *http.Client
	path   string
	header http.Header
} {
	c, other := browser(t), browser(t)
	p, elsewhere, foreign := open(t, c, base), open(t, c, base+"/c/elsewhere"), visit(t, other, base)
	own := p.socket
	bare, token, _ := strings.Cut(own, "&t=")
	away, _, _ := strings.Cut(elsewhere.socket, "&t=")
	_, signature, _ := strings.Cut(bare, "&of=")
	type wrong = struct {
		client *http.Client
		path   string
		header http.Header
	}
	return map[string]wrong{
		"a session without a token":               {c, bare, nil},
		"a session with another's token":          {c, foreign, nil},
		"a stolen token without its session":      {other, own, nil},
		"a token with something behind it":        {c, own + "x", nil},
		"another topic's token":                   {c, away + "&t=" + token, nil},
		"a forged session":                        {&http.Client{}, own, http.Header{"Cookie": {"sid=AAAAAAAAAAAAAAAAAAAAAA.1700000000.BBBB"}}},
		"a grant for a token":                     {c, bare + "&t=" + p.grants["counter:lobby"], nil},
		"the lane of a form for a token":          {c, bare + "&t=" + lane(t, p.forms["increment"]), nil},
		"another origin with everything else":     {c, own, http.Header{"Origin": {"https://evil.example"}}},
		"another origin without a session":        {&http.Client{}, bare, http.Header{"Origin": {"https://evil.example"}}},
		"no origin that can be told":              {c, own, http.Header{"Origin": {"null"}}},
		"no topic":                                {&http.Client{}, "/ws/rooms?of=" + signature, nil},
		"no signature":                            {&http.Client{}, "/ws/rooms?in=counter%3Alobby", nil},
		"the signature of another topic":          {&http.Client{}, "/ws/rooms?in=counter%3Aelsewhere&of=" + signature, nil},
		"one more topic than was signed":          {&http.Client{}, "/ws/rooms?in=counter%3Alobby%2Ccounter%3Aelsewhere&of=" + signature, nil},
		"a topic twice":                           {&http.Client{}, "/ws/rooms?in=counter%3Alobby%2Ccounter%3Alobby&of=" + signature, nil},
		"a signature with something behind it":    {&http.Client{}, bare + "x", nil},
		"a signature that is shorter":             {&http.Client{}, bare[:len(bare)-1], nil},
		"the token of a socket for the signature": {&http.Client{}, "/ws/rooms?in=counter%3Alobby&of=" + token, nil},
	}
}

func TestASocketNeedsTheTokenOfItsSession(t *testing.T) {
	base, _ := serving(t)
	c := browser(t)
	own := visit(t, c, base)
	for name, tc := range map[string]struct {
		client *http.Client
		path   string
		header http.Header
	}{
		"a page's own": {c, own, http.Header{"Origin": {base}}},
		"a client without a session, as tools are":        {&http.Client{}, rooms(t, base, "/"), nil},
		"one that has a token and not its session either": {&http.Client{}, own, nil},
	} {
		if _, got := dial(t, tc.client, base+tc.path, tc.header); got != 101 {
			t.Errorf("%s: got %d, want 101", name, got)
		}
	}
	for name, tc := range wrongSockets(t, base) {
		if _, got := dial(t, tc.client, base+tc.path, tc.header); got != 403 {
			t.Errorf("%s: got %d, want 403", name, got)
		}
	}
	// A page asks by HTTP why it can't connect.
	if resp, _ := do(t, browser(t), "GET", base+"/ws/rooms?in=counter%3Alobby&of=x", nil, nil); resp.StatusCode != http.StatusForbidden {
		t.Errorf("got %d for the socket's address by HTTP, want 403", resp.StatusCode)
	}
}

// clock waits for the first clock of a server, in ms since 1970.
func clock(t *testing.T, ws *websocket.Conn) int64 {
	t.Helper()
	for {
		_, m, err := ws.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var status struct{ Clock int64 }
		if err := json.Unmarshal(m, &status); err != nil || status.Clock != 0 {
			return status.Clock
		}
	}
}

func TestWhatAnOldKeyHasSignedStaysValidAndIsSignedAnew(t *testing.T) {
	before, _ := serveWith(t, &serve.Options{Keys: [][]byte{[]byte("old")}})
	after, _ := serveWith(t, &serve.Options{Keys: [][]byte{[]byte("new"), []byte("old")}})
	later, _ := serveWith(t, &serve.Options{Keys: [][]byte{[]byte("new")}})
	for _, s := range []*httptest.Server{before, after, later} {
		s.Start()
	}
	c := browser(t) // cookies are shared by the ports of a host
	old := visit(t, c, before.URL)
	if _, got := dial(t, c, after.URL+old, nil); got != 101 {
		t.Errorf("got %d for a page from before the change, want 101", got)
	}
	if _, got := dial(t, c, later.URL+old, nil); got != 403 {
		t.Errorf("got %d for a key that has been dropped, want 403", got)
	}
	renewed := visit(t, c, after.URL)
	if _, got := dial(t, c, later.URL+renewed, nil); got != 101 {
		t.Errorf("got %d for a page from after the change, want 101", got)
	}
}

// fromProxy makes headers as a proxy sends them.
func fromProxy(addr, proto string) http.Header {
	return http.Header{"X-Forwarded-For": {addr}, "X-Forwarded-Proto": {proto}}
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func TestForwardedHeadersAreBelievedOfTrustedProxiesOnly(t *testing.T) {
	trusting, _ := serveWith(t, &serve.Options{TrustedProxies: loopback})
	wary, _ := serveWith(t, nil)
	trusting.Start()
	wary.Start()
	for _, tc := range []struct {
		base         string
		cookie, hsts string
	}{
		{trusting.URL, "__Host-sid=", "max-age=31536000"},
		{wary.URL, "sid=", ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", tc.base, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header, req.Host = fromProxy("192.0.2.1", "https"), "lockstep.example"
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		cookie := resp.Header.Get("Set-Cookie")
		if !strings.HasPrefix(cookie, tc.cookie) || strings.Contains(cookie, "Secure") != (tc.hsts != "") {
			t.Errorf("%s: got cookie %q, want %s", tc.base, cookie, tc.cookie)
		}
		if got := resp.Header.Get("Strict-Transport-Security"); got != tc.hsts {
			t.Errorf("%s: got HSTS %q, want %q", tc.base, got, tc.hsts)
		}
	}
}

// status sends n requests with headers and returns the last answer's status.
func status(t *testing.T, url string, n int, header http.Header) (code int) {
	t.Helper()
	for range n {
		resp, _ := do(t, &http.Client{}, "GET", url, nil, header)
		code = resp.StatusCode
	}
	return code
}

func TestAnAddressThatAsksTooOftenIsRefusedAndNobodyElse(t *testing.T) {
	srv, _ := serveWith(t, &serve.Options{TrustedProxies: loopback, Limits: serve.Limits{RequestRate: 0.001, RequestBurst: 3}})
	srv.Start()
	if got := status(t, srv.URL, 4, fromProxy("192.0.2.1", "http")); got != http.StatusTooManyRequests {
		t.Errorf("got %d for the fourth request, want 429", got)
	}
	if got := status(t, srv.URL, 1, fromProxy("192.0.2.1, 192.0.2.2", "http")); got != 200 {
		t.Errorf("got %d for another address, which claims to be the first, want 200", got)
	}
	if got := status(t, srv.URL+"/readyz", 9, fromProxy("192.0.2.1", "http")); got != 200 {
		t.Errorf("got %d for a probe, want 200", got)
	}
	if got := status(t, srv.URL, 9, nil); got != 200 {
		t.Errorf("got %d for loopback, which is exempt, want 200", got)
	}
	resp, body := do(t, &http.Client{}, "GET", srv.URL, nil, fromProxy("192.0.2.1", "http"))
	if wait, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || wait < 900 || wait > 1000 || !strings.Contains(body, "Too many requests") {
		t.Errorf("got %v %s, want a page that says it, and when to come again", resp.Header, body)
	}
}

func TestAForgedAddressIsNotBelieved(t *testing.T) {
	srv, _ := serveWith(t, &serve.Options{Limits: serve.Limits{RequestRate: 0.001, RequestBurst: 3, Exempt: []netip.Prefix{}}})
	srv.Start()
	for i := range 3 {
		status(t, srv.URL, 1, fromProxy(fmt.Sprintf("192.0.2.%d", i), "http"))
	}
	if got := status(t, srv.URL, 1, fromProxy("192.0.2.9", "http")); got != http.StatusTooManyRequests {
		t.Errorf("got %d for the fourth request under a fourth name, want 429", got)
	}
}

func TestSocketsAreBoundedAndComeFree(t *testing.T) {
	srv, _ := serveWith(t, &serve.Options{TrustedProxies: loopback, Limits: serve.Limits{Sockets: 3, SocketsPerAddr: 2}})
	srv.Start()
	path := srv.URL + rooms(t, srv.URL, "/")
	first, second := fromProxy("192.0.2.1", "http"), fromProxy("192.0.2.2", "http")
	ws, _ := dial(t, nil, path, first)
	dial(t, nil, path, first)
	if _, got := dial(t, nil, path, first); got != http.StatusTooManyRequests {
		t.Errorf("got %d for the third of an address, want 429", got)
	}
	if got := status(t, path, 3, second); got != http.StatusUpgradeRequired {
		t.Errorf("got %d for what is no upgrade, want 426", got)
	}
	if _, got := dial(t, nil, path, second); got != 101 {
		t.Errorf("got %d for another address, want 101", got)
	}
	if _, got := dial(t, nil, path, second); got != http.StatusServiceUnavailable {
		t.Errorf("got %d for the fourth in all, want 503", got)
	}
	if err := ws.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if _, got := dial(t, nil, path, first); got != 101 {
			return fmt.Errorf("got %d when one has gone, want 101", got)
		}
		return nil
	})
}

func TestATabThatSendsTooMuchIsToldToWait(t *testing.T) {
	for name, limits := range map[string]serve.Limits{
		"of one tab":     {TabRate: 0.001, TabBurst: 3},
		"of one address": {AddrRate: 0.001, AddrBurst: 3, Exempt: []netip.Prefix{}},
	} {
		t.Run(name, func(t *testing.T) {
			srv, store := serveWith(t, &serve.Options{Limits: limits})
			srv.Start()
			ws, _ := dial(t, nil, srv.URL+rooms(t, srv.URL, "/"), nil)
			seen := clock(t, ws)
			for i := range 5 {
				if err := ws.Write(t.Context(), websocket.MessageText, []byte(click("a", "counter:lobby", i+1, seen))); err != nil {
					t.Fatal(err)
				}
			}
			acked, refused := 0, 0
			for acked+refused < 5 {
				_, m, err := ws.Read(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(m), `"ack"`) {
					acked += strings.Count(string(m), clientOf("a"))
				}
				if strings.Contains(string(m), `"retry":true`) && strings.Contains(string(m), "too many messages") {
					refused++
				}
			}
			if acked != 3 || refused != 2 {
				t.Errorf("got %d acknowledged and %d refused, want 3 and 2", acked, refused)
			}
			if n := counted(t, store, "lobby"); n != 3 {
				t.Errorf("got %d in the store, want 3", n)
			}
		})
	}
}

func TestAForeignHostNameIsRefused(t *testing.T) {
	srv, _ := serveWith(t, &serve.Options{Hosts: []string{"Lockstep.example", "::1"}})
	srv.Start()
	for host, want := range map[string]int{
		"lockstep.example": 200, "lockstep.EXAMPLE:8000": 200, "[::1]:80": 200, "[::1]": 200,
		"evil.example": 421, "lockstep.example.evil": 421, "127.0.0.1": 421,
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: got %d, want %d", host, resp.StatusCode, want)
		}
	}
	// Kubernetes asks by the address of the pod.
	if got := status(t, srv.URL+"/readyz", 1, nil); got != 200 {
		t.Errorf("got %d for a probe by address, want 200", got)
	}
}

func TestTheAdminAddressIsNotForOtherPeoplesPages(t *testing.T) {
	h := serve.NewAdmin([]*serve.Server{newServer(t, memstate.New(nil), nil).Server}, nil)
	for _, tc := range []struct {
		path, host, site string
		want             int
	}{
		{"/metrics", "localhost:6060", "", 200},
		{"/metrics", "127.0.0.1:6060", "none", 200},
		{"/metrics", "[::1]:6060", "same-origin", 200},
		{"/metrics", "app1:9090", "", 200},
		{"/metrics", "evil.example", "", 403},
		{"/metrics", "evil.example:6060", "same-origin", 403}, // a name that was made to point here
		{"/debug/pprof/profile", "localhost:6060", "cross-site", 403},
		{"/debug/pprof/cmdline", "localhost:6060", "", 404}, // it may hold secrets
	} {
		r := httptest.NewRequest("GET", tc.path, nil)
		r.Host = tc.host
		r.Header.Set("Sec-Fetch-Site", tc.site)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tc.want {
			t.Errorf("%s at %s from %q: got %d, want %d", tc.path, tc.host, tc.site, w.Code, tc.want)
		}
	}
}

// patience is how long anything may take before a test gives up on it.
const patience = 30 * time.Second

// eventually asks again and again until cond returns nil.
func eventually(t *testing.T, cond func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		err := cond()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatal(errors.Join(ctx.Err(), err))
		}
	}
}
