package web_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/app"
	"lockstep/app/web"
	"lockstep/internal/short"
	"lockstep/precondition"
	"lockstep/pubsub/mempubsub"
	"lockstep/serve"
	"lockstep/state"
	"lockstep/state/memstate"
	"lockstep/upload"
)

// failing is a store that can be away.
type failing struct {
	state.Store
	away  atomic.Bool
	hangs atomic.Bool // when it is away, it says so when it is given up
}

var errAway = errors.New("the store is away")

func (f *failing) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	if f.away.Load() {
		if f.hangs.Load() {
			<-ctx.Done()
		}
		return state.Failed(len(steps), errAway)
	}
	return f.Store.Commit(ctx, steps...)
}

func (f *failing) Read(ctx context.Context, topics ...string) ([]state.Record, error) {
	if f.away.Load() {
		return nil, errAway
	}
	return f.Store.Read(ctx, topics...)
}

// serve starts a replica until the test ends.
func serving(t *testing.T) (url string, store *failing) {
	t.Helper()
	srv, store := serveWith(t, nil)
	srv.Start()
	return srv.URL, store
}

// serveWith makes a replica with options, whose server is to be started.
func serveWith(t *testing.T, opts *serve.Options) (srv *httptest.Server, store *failing) {
	t.Helper()
	store = &failing{Store: memstate.New(nil)}
	srv = httptest.NewUnstartedServer(newServer(t, store, opts))
	t.Cleanup(srv.Close)
	return srv, store
}

// newServer makes what answers for a replica, called "<one>", until the test
// ends.
func newServer(t testing.TB, store state.Store, opts *serve.Options) *web.Server {
	t.Helper()
	a := app.New(mempubsub.NewBus(), store, &app.Options{Replica: "<one>"})
	if err := a.Start(context.Background()); err != nil { // a fuzz test has no context of its own
		t.Fatal(err)
	}
	var o web.Options
	if opts != nil {
		o.Options = *opts
	}
	h := web.New(a, assetsWithProgram(t), &o)
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
	url, _ := serving(t)
	resp, body := do(t, browser(t), "GET", url+"/", nil, nil)
	if resp.StatusCode != 200 {
		t.Fatalf("got %d", resp.StatusCode)
	}
	for _, want := range []string{
		`hx-ws:connect="/ws/rooms?in=counter%3Alobby&amp;of=`, `id="counter"`, `data-topic="counter:lobby"`, `data-count="0"`, `data-version="0"`, `data-epoch="`,
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
	url, _ := serving(t)
	for _, path := range []string{"/", "/c/other", "/poll/x", "/bank/x", "/c/BAD", "/nothing", "/readyz", "/static/none.js", "/wasm/sw.js"} {
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
	url, _ := serving(t)
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
		{"GET", "/poll/a-1", 200, ""},
		{"GET", "/poll/A", 301, "/poll/a"},
		{"GET", "/poll/a/", 301, "/poll/a"},
		{"GET", "/poll/lobby", 200, ""},
		{"GET", "/poll/A_B", 404, ""},
		{"GET", "/poll?name=Lunch", 303, "/poll/lunch"},
		{"GET", "/poll", 303, "/poll/lobby"},
		{"GET", "/poll?name=", 404, ""},
		{"GET", "/c", 303, "/"},
		{"GET", "/list", 303, "/list/todos"},
		{"GET", "/list/a-1", 200, ""},
		{"GET", "/list/A", 301, "/list/a"},
		{"GET", "/list/a-1?id=x&text=y", 200, ""},
		{"GET", "/log", 303, "/log/lobby"},
		{"GET", "/log/a-1?before=7", 200, ""},
		{"GET", "/log/a-1?before=x", 200, ""},
		{"GET", "/bank/a-1", 200, ""},
		{"GET", "/bank/" + strings.Repeat("a", 65), 404, ""},
		{"GET", "/bank?name=%21", 404, ""},
		{"GET", "/bank/a/transfer", 405, ""},
		{"GET", "/counter/a", 404, ""},
		{"GET", "/nothing/a", 404, ""},
		{"GET", rooms(t, url, "/"), 426, ""},
		{"GET", rooms(t, url, "/poll/x"), 426, ""},
		{"GET", "/ws/rooms", 403, ""},
		{"GET", "/ws/rooms?in=counter%3Alobby", 403, ""},
		{"GET", "/ws/c/lobby", 404, ""},
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

func TestThePageStaysUpWhileTheStoreIsAway(t *testing.T) {
	url, store := serving(t)
	c := browser(t)
	address := form(t, c, url)
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
	if resp, body = do(t, c, "GET", url+"/readyz/draining", nil, nil); resp.StatusCode != 200 {
		t.Errorf("got %d %q for a balancer, want 200: all replicas are so", resp.StatusCode, body)
	}
	short.Skip(t, "waits until a form is given up")
	store.hangs.Store(true)
	began := time.Now()
	resp, body = press(t, c, url+address)
	if took := time.Since(began); took > 4800*time.Millisecond {
		t.Errorf("a form took %s, want less than the 5 s after which a front gives the replica up", took)
	}
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "2" || strings.Contains(body, errAway.Error()) {
		t.Errorf("got %d after %q s, %q; want 503, 2 s and not the inner error", resp.StatusCode, resp.Header.Get("Retry-After"), body)
	}
}

func TestAssetsAreImmutableAndCompressed(t *testing.T) {
	url, _ := serving(t)
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
	url, _ := serving(t)
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
	files, err := upload.New(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	server := newServer(t, memstate.New(nil), &serve.Options{Uploads: files})
	store := precondition.NewPart("store", nil)
	store.Saw("", "one", precondition.Unmet{Name: "evicts", Text: "<1> evicts"})
	srv := httptest.NewServer(serve.NewAdmin([]*serve.Server{server.Server}, &serve.AdminOptions{
		Version: "v<1>", Refused: func() (uint64, uint64) { return 7, 8 }, Preconditions: []*precondition.Part{nil, store},
	}))
	defer srv.Close()
	for path, want := range map[string]string{
		"/metrics": `lockstep_sessions{replica="<one>"} 0`, "/metrics?": `lockstep_connections_turned_away_total{limit="address"} 8`,
		"/metrics?closed": `lockstep_sessions_closed_total{reason="left",replica="<one>"} 0`,
		"/metrics?x":      `lockstep_turned_away_total{reason="requests_of_address",replica="<one>"} 0`, "/debug/": "&lt;one&gt;", "/debug/?unmet": "store: evicts</b> &lt;1&gt; evicts",
		"/metrics?times":  `lockstep_pubsub_handler_duration_seconds_bucket{replica="<one>",le="0.001"} `,
		"/metrics?calls":  `lockstep_store_call_duration_seconds_count{method="commit",replica="<one>"} 0`,
		"/metrics?failed": `lockstep_store_call_failures_total{method="read",replica="<one>"} 0`,
		"/metrics?files":  `lockstep_uploads_unfinished{replica="<one>"} 0`, "/metrics?readers": `lockstep_log_readers{replica="<one>"} 0`,
		"/metrics?wholes": `lockstep_wholes_total{replica="<one>"} 0`, "/metrics?entries": `lockstep_log_entries_total{replica="<one>"} 0`,
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
	f.Add("sid=x.y", "a.b", "a=b")
	f.Add("sid=.", "%zz", "%zz")
	f.Add("", strings.Repeat("A", 32)+"."+strings.Repeat("A", 43), "")
	h := newServer(f, memstate.New(nil), &serve.Options{Limits: serve.Limits{RequestRate: -1}})
	f.Fuzz(func(t *testing.T, cookie, lane, body string) {
		r := httptest.NewRequest("POST", "/c/lobby/increment?"+url.Values{"lane": {lane}}.Encode(), strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Cookie", cookie)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 403 && w.Code != 413 && w.Code != 400 {
			t.Fatalf("got %d for a forged form", w.Code)
		}
	})
}

func TestEveryClientGetsItsOwnForms(t *testing.T) {
	base, _ := serving(t)
	seen := make(map[string]bool)
	own := func(what, value string) {
		if value == "" || seen[value] {
			t.Errorf("%s %q has been given to another client, or for something else", what, value)
		}
		seen[value] = true
	}
	for range 3 {
		for path, forms := range map[string]int{"/": 3, "/poll/x": 1, "/bank/x": 1} {
			p := open(t, browser(t), base+path)
			if strings.Contains(p.body, "slot-") {
				t.Fatal("a slot is left in the page")
			}
			if len(p.forms) != forms || len(p.grants) != 1 {
				t.Fatalf("%s: got the forms %v and the grants %v", path, p.forms, p.grants)
			}
			here := make(map[string]bool) // lanes of this page
			own("the person", p.user)
			own("the socket", p.socket)
			for _, grant := range p.grants {
				own("the grant", grant)
			}
			for _, address := range p.forms {
				if seen[lane(t, address)] && !here[lane(t, address)] {
					t.Errorf("the lane of %s has been given to another client, or for another topic", address)
				}
				seen[lane(t, address)], here[lane(t, address)] = true, true
			}
		}
	}
}
