package web_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"lockstep/app"
	"lockstep/app/web"
	"lockstep/counter"
	"lockstep/counter/memcounter"
	"lockstep/internal/short"
	"lockstep/precondition"
	"lockstep/pubsub/mempubsub"
)

// failing is a store that can be away.
type failing struct {
	counter.Store
	away atomic.Bool
}

var errAway = errors.New("the store is away")

func (f *failing) Apply(ctx context.Context, name string, ops ...counter.Op) (counter.Value, []bool, error) {
	if f.away.Load() {
		return counter.Value{}, nil, errAway
	}
	return f.Store.Apply(ctx, name, ops...)
}

func (f *failing) Get(ctx context.Context, names ...string) ([]counter.Value, error) {
	if f.away.Load() {
		return nil, errAway
	}
	return f.Store.Get(ctx, names...)
}

// serve starts a replica until the test ends.
func serve(t *testing.T) (url string, store *failing) {
	t.Helper()
	srv, store := serveWith(t, nil)
	srv.Start()
	return srv.URL, store
}

// serveWith makes a replica with options, whose server is to be started.
func serveWith(t *testing.T, opts *web.Options) (srv *httptest.Server, store *failing) {
	t.Helper()
	store = &failing{Store: memcounter.New(nil)}
	srv = httptest.NewUnstartedServer(newServer(t, store, opts))
	t.Cleanup(srv.Close)
	return srv, store
}

// newServer makes what answers for a replica, called "<one>", until the test
// ends.
func newServer(t testing.TB, store counter.Store, opts *web.Options) *web.Server {
	t.Helper()
	a := app.New(mempubsub.NewBus(), store, &app.Options{Replica: "<one>"})
	if err := a.Start(context.Background()); err != nil { // a fuzz test has no context of its own
		t.Fatal(err)
	}
	h := web.New(a, assetsWithProgram(t), opts)
	t.Cleanup(func() {
		if err := a.Stop(context.Background(), 0); err != nil {
			t.Error(err)
		}
		h.Close()
	})
	return h
}

// browser is a client that keeps cookies and follows no redirect.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func do(t *testing.T, c *http.Client, method, url string, form url.Values, header http.Header) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestThePageHasWhatTheContractPromises(t *testing.T) {
	url, _ := serve(t)
	resp, body := do(t, browser(t), "GET", url+"/", nil, nil)
	if resp.StatusCode != 200 {
		t.Fatalf("got %d", resp.StatusCode)
	}
	for _, want := range []string{
		`hx-ws:connect="/ws/c/lobby?t=`, `id="counter"`, `data-topic="counter:lobby"`, `data-count="0"`, `data-version="0"`, `data-epoch="`,
		`id="status"`, `data-state="connecting"`, `data-action="increment"`, `data-action="decrement"`, `data-action="reset"`, `&lt;one&gt;`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not have %s", want)
		}
	}
	if strings.Contains(body, "<one>") {
		t.Error("the replica's name is not escaped")
	}
	if n := strings.Count(body, "hx-ws:connect="); n != 1 {
		t.Errorf("got %d sockets on the page, want one", n)
	}
}

func TestEveryResponseIsHardened(t *testing.T) {
	url, _ := serve(t)
	for _, path := range []string{"/", "/c/other", "/c/BAD", "/nothing", "/readyz", "/static/none.js", "/wasm/sw.js"} {
		resp, body := do(t, browser(t), "GET", url+path, nil, nil)
		h := resp.Header
		if !strings.HasPrefix(h.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data:; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'") {
			t.Errorf("%s: got policy %q", path, h.Get("Content-Security-Policy"))
		}
		if !strings.HasSuffix(h.Get("Content-Security-Policy"), "; require-trusted-types-for 'script'; trusted-types htmx lockstep") {
			t.Errorf("%s: the policy says nothing of trusted types: %q", path, h.Get("Content-Security-Policy"))
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
			"Strict-Transport-Security": "", "Server": "", "X-Powered-By": "",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: got %s %q, want %q", path, name, got, want)
			}
		}
		if !strings.Contains(h.Get("Permissions-Policy"), "camera=()") {
			t.Errorf("%s: got Permissions-Policy %q", path, h.Get("Permissions-Policy"))
		}
		if regexp.MustCompile(`(?i)<script(?: [^>]*)?>[^<]|<style| style="| on[a-z]+="`).MatchString(body) {
			t.Errorf("%s: there is something inline", path)
		}
	}
	resp, _ := do(t, browser(t), "GET", url+"/", nil, nil)
	if got := resp.Header.Get("Cache-Control"); got != "no-cache" {
		t.Errorf("got Cache-Control %q for a page, want no-cache", got)
	}
	cookie := resp.Header.Get("Set-Cookie")
	for _, want := range []string{"sid=", "HttpOnly", "SameSite=Lax", "Path=/"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("the cookie %q does not have %s", cookie, want)
		}
	}
}

func TestTheStatusOfAddresses(t *testing.T) {
	url, _ := serve(t)
	for _, c := range []struct {
		method, path string
		want         int
		location     string
	}{
		{"GET", "/", 200, ""},
		{"GET", "/c/a-1", 200, ""},
		{"GET", "/c/" + strings.Repeat("a", 64), 200, ""},
		{"GET", "/c/" + strings.Repeat("a", 65), 404, ""},
		{"GET", "/c/A", 301, "/c/a"},
		{"GET", "/c/a/", 301, "/c/a"},
		{"GET", "/c/Lobby", 301, "/"},
		{"HEAD", "/c/A/", 301, "/c/a"},
		{"GET", "/c/A_B", 404, ""},
		{"GET", "/c/%2F%2Fevil.example", 404, ""},
		{"GET", "/app.webmanifest", 200, ""},
		{"GET", "/wasm/app.webmanifest", 200, ""},
		{"GET", "/c/%3Cscript%3E", 404, ""},
		{"GET", "/c/..%2f..%2fetc", 404, ""},
		{"GET", "/c?name=Kitchen", 303, "/c/kitchen"},
		{"GET", "/c?name=%0d%0aX:y", 404, ""},
		{"GET", "/ws/c/lobby", 426, ""},
		{"GET", "/ws/c/A", 404, ""},
		{"GET", "/healthz", 200, ""},
		{"GET", "/readyz", 200, ""},
		{"GET", "/metrics", 404, ""},
		{"GET", "/debug/pprof/", 404, ""},
		{"GET", "/static/../web.go", 404, ""},
		{"GET", "/favicon.ico", 301, ""},
		{"HEAD", "/", 200, ""},
		{"HEAD", "/readyz", 200, ""},
		{"DELETE", "/", 405, ""},
	} {
		resp, _ := do(t, browser(t), c.method, url+c.path, nil, nil)
		if resp.StatusCode != c.want || c.location != "" && resp.Header.Get("Location") != c.location {
			t.Errorf("%s %s: got %d to %q, want %d to %q", c.method, c.path, resp.StatusCode, resp.Header.Get("Location"), c.want, c.location)
		}
	}
}

var hidden = regexp.MustCompile(`name="(_csrf|_op)" value="([^"]+)"`)

// form returns the hidden fields of the page's first form.
func form(t *testing.T, c *http.Client, page string) url.Values {
	t.Helper()
	_, body := do(t, c, "GET", page, nil, nil)
	v := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(body, 2) {
		v.Set(m[1], m[2])
	}
	if v.Get("_csrf") == "" || v.Get("_op") == "" {
		t.Fatalf("the form has %v", v)
	}
	return v
}

func TestAFormCountsOnceAndLeadsBack(t *testing.T) {
	url, _ := serve(t)
	c := browser(t)
	fields := form(t, c, url+"/c/a")
	for _, outcome := range []string{"One click was counted.", "That click came twice, and was counted once."} {
		resp, _ := do(t, c, "POST", url+"/c/a/increment", fields, nil) // the second is a repeated post: the same op
		if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/c/a" {
			t.Fatalf("got %d to %q, want 303 to /c/a", resp.StatusCode, resp.Header.Get("Location"))
		}
		if _, body := do(t, c, "GET", url+"/c/a", nil, nil); !strings.Contains(body, outcome) {
			t.Errorf("the page does not say %q", outcome)
		}
		if _, body := do(t, c, "GET", url+"/c/a", nil, nil); strings.Contains(body, `class="outcome"`) {
			t.Error("the page says it again")
		}
	}
	if _, body := do(t, c, "GET", url+"/c/a", nil, nil); !strings.Contains(body, `data-count="1"`) {
		t.Error("a form that was posted twice did not count once")
	}
	resp, _ := do(t, c, "POST", url+"/c/lobby/reset", form(t, c, url), nil)
	if got := resp.Header.Get("Location"); got != "/" {
		t.Errorf("the lobby's form leads to %q, want /", got)
	}
}

func TestAFormThatWouldMakeTooManyCountersIsRefused(t *testing.T) {
	srv, store := serveWith(t, &web.Options{Limits: web.Limits{NamesPerAddr: 2, Exempt: []netip.Prefix{}}})
	srv.Start()
	if _, _, err := store.Apply(t.Context(), "old", counter.Op{ID: "an-op-of-a-test-xx", Kind: counter.Increment}); err != nil {
		t.Fatal(err)
	}
	c := browser(t)
	for _, step := range []struct {
		name string
		want int
	}{{"a", http.StatusSeeOther}, {"b", http.StatusTooManyRequests}, {"a", http.StatusSeeOther}, {"old", http.StatusSeeOther}} {
		resp, body := do(t, c, "POST", srv.URL+"/c/"+step.name+"/increment", form(t, c, srv.URL+"/c/"+step.name), nil)
		if resp.StatusCode != step.want {
			t.Errorf("%s: got %d, want %d", step.name, resp.StatusCode, step.want)
		}
		if step.want == http.StatusTooManyRequests && !strings.Contains(body, "as many new counters as it may for now; those that exist can be used. Another can be made in 24 hours.") {
			t.Errorf("the page does not say why: %s", body)
		}
	}
	if values, err := store.Get(t.Context(), "b"); err != nil || values[0].Version != 0 {
		t.Errorf("got %+v, %v for a counter that was refused, want none", values, err)
	}
}

// A person without JavaScript who shares an address with many learns that, and how long it takes.
func TestAFormOfAnAddressThatClicksTooMuchSaysWhenItMayAgain(t *testing.T) {
	for _, tc := range []struct {
		name        string
		perAddr     int
		least, most int // seconds
		says        string
		again       bool // the same click may be sent again
	}{
		{"soon", 18, 80, 100, "Try again in ", true},
		{"later", 6, 250, 300, "Try again in 5 minutes: this click counts once", true},
		{"when the click is too old", 2, 860, 900, "Try again in 15 minutes.", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv, _ := serveWith(t, &web.Options{Limits: web.Limits{ClicksPerAddr: tc.perAddr, Exempt: []netip.Prefix{}}})
			srv.Start()
			c := browser(t)
			for range tc.perAddr / 2 {
				if resp, _ := do(t, c, "POST", srv.URL+"/c/a/increment", form(t, c, srv.URL+"/c/a"), nil); resp.StatusCode != http.StatusSeeOther {
					t.Fatalf("got %d for a click that an address may make, want 303", resp.StatusCode)
				}
			}
			fields := form(t, c, srv.URL+"/c/a")
			resp, body := do(t, c, "POST", srv.URL+"/c/a/increment", fields, nil)
			wait, err := strconv.Atoi(resp.Header.Get("Retry-After"))
			if resp.StatusCode != http.StatusTooManyRequests || err != nil || wait < tc.least || wait > tc.most {
				t.Errorf("got %d to be sent again after %q s, want 429 and %d to %d s", resp.StatusCode, resp.Header.Get("Retry-After"), tc.least, tc.most)
			}
			if !strings.Contains(body, "too many clicks from your network") || !strings.Contains(body, tc.says) || !strings.Contains(body, `href="/c/a"`) {
				t.Errorf("the page does not say why, when, or lead back: %s", body)
			}
			if got := strings.Contains(body, fields.Get("_op")); got != tc.again {
				t.Errorf("the page can send the click again: %v, want %v", got, tc.again)
			}
		})
	}
}

func TestAForgedFormIsRefusedAndCountsNothing(t *testing.T) {
	url, _ := serve(t)
	c := browser(t)
	good := form(t, c, url)
	foreign := form(t, browser(t), url) // another session's token
	with := func(token string) (v map[string][]string) {
		return map[string][]string{"_csrf": {token}, "_op": {"an-op-of-a-test-xx"}}
	}
	for _, tc := range []struct {
		name   string
		client *http.Client
		fields map[string][]string
		header http.Header
		want   int
	}{
		{"no token", c, with(""), nil, 403},
		{"another session's token", c, with(foreign.Get("_csrf")), nil, 403},
		{"no session", browser(t), good, nil, 403},
		{"a page of another origin", c, good, http.Header{"Origin": {"https://evil.example"}}, 403},
		{"another site by fetch metadata", c, good, http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403},
		{"a forged cookie", &http.Client{}, good, http.Header{"Cookie": {"sid=AAAAAAAAAAAAAAAAAAAAAA.BBBB"}}, 403},
		{"an op that is none", c, map[string][]string{"_csrf": good["_csrf"], "_op": {"<script>"}}, nil, 400},
		{"a huge form", c, map[string][]string{"_csrf": good["_csrf"], "x": {strings.Repeat("x", 20000)}}, nil, 413},
	} {
		t.Run(tc.name, func(t *testing.T) {
			resp, body := do(t, tc.client, "POST", url+"/c/lobby/increment", tc.fields, tc.header)
			if resp.StatusCode != tc.want {
				t.Errorf("got %d, want %d", resp.StatusCode, tc.want)
			}
			if strings.Contains(body, "<script>") || strings.Contains(body, "goroutine") {
				t.Errorf("the answer shows what it must not: %s", body)
			}
		})
	}
	resp, _ := do(t, c, "POST", url+"/c/lobby/explode", good, nil)
	if resp.StatusCode != 400 {
		t.Errorf("an unknown action: got %d, want 400", resp.StatusCode)
	}
	if _, body := do(t, c, "GET", url, nil, nil); !strings.Contains(body, `data-count="0"`) || !strings.Contains(body, `data-version="0"`) {
		t.Error("something was counted")
	}
}

func TestThePageStaysUpWhileTheStoreIsAway(t *testing.T) {
	url, store := serve(t)
	c := browser(t)
	fields := form(t, c, url)
	store.away.Store(true)
	resp, body := do(t, c, "GET", url+"/", nil, nil)
	if resp.StatusCode != 200 || !strings.Contains(body, `data-state="degraded"`) || !strings.Contains(body, `data-count=""`) {
		t.Errorf("got %d and a page that does not say that it knows nothing: %s", resp.StatusCode, body)
	}
	resp, body = do(t, c, "GET", url+"/readyz", nil, nil)
	if resp.StatusCode != 503 || !strings.Contains(body, "store") || strings.Contains(body, errAway.Error()) {
		t.Errorf("got %d %q, want 503 and the reason without the inner error", resp.StatusCode, body)
	}
	if resp, _ = do(t, c, "GET", url+"/healthz", nil, nil); resp.StatusCode != 200 {
		t.Errorf("got %d for the process, want 200: it is well", resp.StatusCode)
	}
	short.Skip(t, "waits until the batcher gives a click up")
	resp, body = do(t, c, "POST", url+"/c/lobby/increment", fields, nil)
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "2" || strings.Contains(body, errAway.Error()) {
		t.Errorf("got %d after %q s, %q; want 503, 2 s and not the inner error", resp.StatusCode, resp.Header.Get("Retry-After"), body)
	}
}

func TestAssetsAreImmutableAndCompressed(t *testing.T) {
	url, _ := serve(t)
	_, body := do(t, browser(t), "GET", url, nil, nil)
	script := regexp.MustCompile(`src="(/static/app\.[0-9a-f]+\.js)"`).FindStringSubmatch(body)
	if script == nil {
		t.Fatal("the page has no script")
	}
	resp, _ := do(t, browser(t), "GET", url+script[1], nil, http.Header{"Accept-Encoding": {"gzip, br"}})
	h := resp.Header
	if resp.StatusCode != 200 || h.Get("Content-Encoding") != "br" || !strings.Contains(h.Get("Cache-Control"), "immutable") ||
		!strings.HasPrefix(h.Get("Content-Type"), "text/javascript") || h.Get("Vary") != "Accept-Encoding" {
		t.Errorf("got %d %v", resp.StatusCode, h)
	}
	resp, _ = do(t, browser(t), "GET", url+script[1], nil, http.Header{"Accept-Encoding": {"br"}, "If-None-Match": {h.Get("ETag")}})
	if resp.StatusCode != http.StatusNotModified {
		t.Errorf("got %d for what the browser has, want 304", resp.StatusCode)
	}
}

// A page that a server of another version has rendered asks for that version's files.
func TestASubstituteForAnotherVersionIsNotKept(t *testing.T) {
	url, _ := serve(t)
	for _, prefix := range []string{"/static/", "/wasm/static/"} {
		resp, body := do(t, browser(t), "GET", url+prefix+"app.0123456789.js", nil, http.Header{"If-None-Match": {`"0123456789"`, `""`}})
		h := resp.Header
		if resp.StatusCode != 200 || !strings.Contains(body, "htmx") || h.Get("Cache-Control") != "no-store" || h.Get("ETag") != "" {
			t.Errorf("got %d, %d bytes and %v; want the script, not to be kept", resp.StatusCode, len(body), h)
		}
		if resp, _ := do(t, browser(t), "GET", url+prefix+"other.0123456789.js", nil, nil); resp.StatusCode != http.StatusNotFound {
			t.Errorf("got %d for a file that no version has", resp.StatusCode)
		}
	}
}

func TestTheAdminAddressHasMetricsAndProfiles(t *testing.T) {
	server := newServer(t, memcounter.New(nil), nil)
	store := precondition.NewPart("store", nil)
	store.Saw("", "one", precondition.Unmet{Name: "evicts", Text: "<1> evicts"})
	srv := httptest.NewServer(web.NewAdmin([]*web.Server{server}, &web.AdminOptions{
		Version: "v<1>", Refused: func() (uint64, uint64) { return 7, 8 }, Preconditions: []*precondition.Part{nil, store},
	}))
	defer srv.Close()
	for path, want := range map[string]string{
		"/metrics": `lockstep_sessions{replica="<one>"} 0`, "/metrics?": `lockstep_connections_refused_total{limit="address"} 8`,
		"/metrics?closed": `lockstep_sessions_closed_total{reason="left",replica="<one>"} 0`,
		"/metrics?x":      `lockstep_refused_total{reason="requests_of_address",replica="<one>"} 0`, "/debug/": "&lt;one&gt;", "/debug/?unmet": "store: evicts</b> &lt;1&gt; evicts",
		"/metrics?unmet": `lockstep_precondition_unmet{name="evicts",part="store"} 1`, "/debug/pprof/": "goroutine", "/healthz": "ok",
	} {
		resp, body := do(t, browser(t), "GET", srv.URL+path, nil, nil)
		if resp.StatusCode != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: got %d, want 200 with %s", path, resp.StatusCode, want)
		}
	}
	if _, body := do(t, browser(t), "GET", srv.URL+"/debug/", nil, nil); strings.Contains(body, "<one>") || strings.Contains(body, "<1>") {
		t.Error("the admin page does not escape")
	}
}

func FuzzCookieAndForm(f *testing.F) {
	f.Add("sid=x.y", "_csrf=a&_op=b")
	f.Add("sid=.", "%zz")
	h := newServer(f, memcounter.New(nil), &web.Options{Limits: web.Limits{RequestRate: -1}})
	f.Fuzz(func(t *testing.T, cookie, body string) {
		r := httptest.NewRequest("POST", "/c/lobby/increment", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Cookie", cookie)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 403 && w.Code != 413 {
			t.Fatalf("got %d for a forged form", w.Code)
		}
	})
}

func TestEveryClientGetsItsOwnForms(t *testing.T) {
	url, _ := serve(t)
	seen := make(map[string]bool)
	hidden := regexp.MustCompile(`name="(_csrf|_op)" value="([^"]+)"`)
	for range 3 {
		_, body := do(t, browser(t), "GET", url, nil, nil)
		if strings.Contains(body, "slot-") {
			t.Fatal("a slot is left in the page")
		}
		fields := hidden.FindAllStringSubmatch(body, -1)
		if len(fields) != 6 {
			t.Fatalf("got %d fields in three forms, want a token and an id in each", len(fields))
		}
		mine := make(map[string]bool)
		for _, f := range fields {
			if mine[f[2]] = true; seen[f[2]] {
				t.Errorf("%s %s has been given to another client", f[1], f[2])
			}
		}
		if len(mine) != 4 {
			t.Errorf("got %d different values, want one token and three ids", len(mine))
		}
		for v := range mine {
			seen[v] = true
		}
	}
}
