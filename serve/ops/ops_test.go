package ops_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep"
	"lockstep/live"
	"lockstep/live/livetest"
	"lockstep/pubsub/mempubsub"
	"lockstep/serve"
	"lockstep/serve/ops"
	"lockstep/state/memstate"
)

// A house is replicas that share a broker.
type house struct {
	t     *testing.T
	apps  []*lockstep.App
	pages []http.Handler
}

func newHouse(t *testing.T, names []string, o ops.Options) *house {
	t.Helper()
	h, bus, store := &house{t: t}, mempubsub.NewBus(), memstate.New(nil)
	log := slog.New(slog.DiscardHandler)
	for _, name := range names {
		a := lockstep.New(bus, store, &lockstep.Options{Replica: name, Logger: log})
		o.Logger = log
		page := ops.New(a, &o)
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := serve.New(a, nil, &serve.Options{Logger: log, Keys: [][]byte{bytes.Repeat([]byte("k"), 32)}, PlainSockets: true})
		h.apps, h.pages = append(h.apps, a), append(h.pages, page.Handler(s))
		t.Cleanup(func() {
			_ = a.Stop(t.Context(), 0) // the test is over
			s.Close()
		})
	}
	return h
}

// ask has the i-th replica answer a request that comes from this machine; change may alter it.
func (h *house) ask(i int, r *http.Request, change func(r *http.Request)) *httptest.ResponseRecorder {
	h.t.Helper()
	r.Host, r.RemoteAddr = "localhost:8000", "127.0.0.1:4711"
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.pages[i].ServeHTTP(w, r)
	return w
}

func (h *house) get(i int, path string) string {
	h.t.Helper()
	w := h.ask(i, httptest.NewRequest(http.MethodGet, path, nil), nil)
	if w.Code != http.StatusOK {
		h.t.Fatalf("GET %s: %d %s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

// page returns a page as soon as it has all texts. A page shows at first what replicas have said
// within a moment: on a busy machine that is not all.
func (h *house) page(i int, path string, texts ...string) string {
	h.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		html := h.get(i, path)
		missing := slices.DeleteFunc(slices.Clone(texts), func(text string) bool { return strings.Contains(html, text) })
		if len(missing) == 0 {
			return html
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("%s has not %q: %s", path, missing, html)
		}
		runtime.Gosched()
	}
}

func (h *house) order(i int, fields url.Values, change func(r *http.Request)) *httptest.ResponseRecorder {
	h.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/ops", strings.NewReader(fields.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "http://localhost:8000")
	return h.ask(i, r, change)
}

func (h *house) idOf(name string) string {
	h.t.Helper()
	html := h.page(0, "/ops", `">`+name+`<`)
	return regexp.MustCompile(`replica=([a-z0-9]+)">` + name + `<`).FindStringSubmatch(html)[1]
}

func TestThePageHasARowOfEachReplica(t *testing.T) {
	h := newHouse(t, []string{"one", "two", "three"}, ops.Options{})
	h.page(0, "/ops", `data-replica="one"`, `data-replica="two"`, `data-replica="three"`)
	html := h.page(1, "/ops?q=T", `data-replica="two"`, `data-replica="three"`)
	if got := strings.Count(html, `data-replica="`); got != 2 {
		t.Errorf("of a filter there are %d rows, want 2", got)
	}
	h.page(2, "/ops?replica="+h.idOf("two"), "Conflicts", "Drain the replica")
	if html := h.get(0, "/ops?topic=hits:lobby"); !strings.Contains(html, "No replica shows this topic") {
		t.Errorf("got %s of a topic that nobody shows", html)
	}
	if w := h.ask(0, httptest.NewRequest(http.MethodGet, "/ops?topic="+strings.Repeat("x", 300), nil), nil); w.Code != http.StatusNotFound {
		t.Errorf("got %d of a topic that is too long, want 404", w.Code)
	}
}

func TestThePageIsForThoseWhoMay(t *testing.T) {
	basic := func(password string) func(r *http.Request) {
		return func(r *http.Request) { r.SetBasicAuth("anybody", password) }
	}
	for name, c := range map[string]struct {
		opts   ops.Options
		change func(r *http.Request)
		want   int
	}{
		"this machine":               {want: http.StatusOK},
		"another machine":            {change: func(r *http.Request) { r.RemoteAddr = "192.0.2.7:4711" }, want: http.StatusForbidden},
		"a proxy on this machine":    {change: func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.7") }, want: http.StatusForbidden},
		"a name that is not ours":    {change: func(r *http.Request) { r.Host = "rebound.example" }, want: http.StatusForbidden},
		"no token":                   {opts: ops.Options{Token: "0123456789abcdef"}, want: http.StatusUnauthorized},
		"another token":              {opts: ops.Options{Token: "0123456789abcdef"}, change: basic("0123456789abcdeg"), want: http.StatusUnauthorized},
		"the token":                  {opts: ops.Options{Token: "0123456789abcdef"}, change: basic("0123456789abcdef"), want: http.StatusOK},
		"the application says no":    {opts: ops.Options{Allow: func(*http.Request) error { return errors.New("log in") }}, want: http.StatusForbidden},
		"the application says where": {opts: ops.Options{Allow: func(*http.Request) error { return serve.Redirect{To: "/login"} }}, want: http.StatusSeeOther},
		"the application says yes": {
			opts: ops.Options{Allow: func(*http.Request) error { return nil }}, change: func(r *http.Request) { r.RemoteAddr = "192.0.2.7:4711" }, want: http.StatusOK,
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, []string{"one"}, c.opts)
			if w := h.ask(0, httptest.NewRequest(http.MethodGet, "/ops", nil), c.change); w.Code != c.want {
				t.Errorf("a page: got %d, want %d", w.Code, c.want)
			}
			want := c.want
			if want == http.StatusOK {
				want = http.StatusBadRequest // it is no order
			}
			if w := h.order(0, url.Values{"do": {"nothing"}}, c.change); w.Code != want {
				t.Errorf("an order: got %d, want %d", w.Code, want)
			}
		})
	}
}

func TestAnOrderReachesTheReplicaThatItIsFor(t *testing.T) {
	h := newHouse(t, []string{"one", "two"}, ops.Options{})
	id := h.idOf("two")
	foreign := func(r *http.Request) {
		r.Header.Set("Origin", "https://evil.example")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	}
	if w := h.order(0, url.Values{"do": {"drain"}, "to": {id}}, foreign); w.Code != http.StatusForbidden {
		t.Errorf("a page of somebody else: got %d, want 403", w.Code)
	}
	if w := h.order(0, url.Values{"do": {"drain"}, "to": {id}}, nil); w.Code != http.StatusSeeOther {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	deadline := time.Now().Add(10 * time.Second)
	for !errors.Is(h.apps[1].Runtime().Err(), live.ErrDraining) && time.Now().Before(deadline) {
		h.get(0, "/ops")
	}
	if err := h.apps[1].Runtime().Err(); !errors.Is(err, live.ErrDraining) {
		t.Errorf("the replica has %v, want that it is shutting down", err)
	}
	if err := h.apps[0].Runtime().Err(); err != nil {
		t.Errorf("the other replica has %v", err)
	}
}

// TestNobodyLooksAtNoCost says that nothing is broadcast then.
func TestNobodyLooksAtNoCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, []string{"one", "two"}, ops.Options{})
		said := func() uint64 { return h.apps[0].Moments().Broadcasts + h.apps[1].Moments().Broadcasts }
		time.Sleep(time.Minute)
		if got := said(); got != 0 {
			t.Errorf("%d broadcasts before anybody has looked", got)
		}
		h.get(0, "/ops")
		time.Sleep(5 * time.Second)
		if got := said(); got < 8 {
			t.Errorf("%d broadcasts while somebody looks, want one a second of each", got)
		}
		time.Sleep(30 * time.Second) // the page had no tab: its glance is over, and all is forgotten
		before := said()
		time.Sleep(time.Minute)
		if got := said() - before; got != 0 {
			t.Errorf("%d broadcasts after everybody has gone", got)
		}
	})
}

// TestATabHasAPageAndCanBeClosed of another replica than the one that is asked.
func TestATabHasAPageAndCanBeClosed(t *testing.T) {
	h := newHouse(t, []string{"one", "two"}, ops.Options{})
	view, err := h.apps[1].View(lockstep.Visitor{}, "ops:all")
	if err != nil {
		t.Fatal(err)
	}
	tab := livetest.Open(t, h.apps[1].Runtime(), view)
	at := h.idOf("two") + ".1"
	h.page(0, "/ops?tab="+at, "It is connected to", ">two</a>")
	if html := h.get(0, "/ops?tab="+h.idOf("two")+".99"); !strings.Contains(html, "There is no such tab") {
		t.Error("a tab that is none has a page")
	}
	id, number, _ := strings.Cut(at, ".")
	if w := h.order(0, url.Values{"do": {"close-tab"}, "to": {id}, "arg": {number}}, nil); w.Code != http.StatusSeeOther {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	deadline := time.Now().Add(10 * time.Second)
	for tab.Reason() == 0 && time.Now().Before(deadline) {
		h.get(0, "/ops")
	}
	if got := tab.Reason(); got != live.ReasonOperator {
		t.Errorf("the tab has ended for %q, want operator", got)
	}
}
