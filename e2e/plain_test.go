package e2e_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/internal/testserver"
)

// A trouble is what a network does to websockets.
type trouble int32

const (
	passes   trouble = iota // nothing
	refuses                 // answers an upgrade with an error
	strips                  // takes the upgrade out of the request
	swallows                // answers an upgrade with nothing
	cuts                    // ends a socket as soon as it is open
)

// A middlebox is a proxy between browsers and replicas, which it asks in turn, one for each
// request. It may be told to make trouble at any time.
type middlebox struct {
	url     string
	sockets atomic.Int32 // a trouble
	buffers atomic.Bool  // holds an answer back until it is whole
	full    atomic.Bool  // has no room for streams
	opened  atomic.Int64 // sockets that went through
	streams atomic.Int64 // streams that were asked for

	next  atomic.Uint64
	mu    sync.Mutex // guards the rest
	addrs []string
}

// newMiddlebox starts a middlebox in front of replicas, until the test ends.
func newMiddlebox(t *testing.T, how trouble, addrs ...string) *middlebox {
	n := &middlebox{addrs: addrs}
	n.sockets.Store(int32(how))
	proxy := &httputil.ReverseProxy{
		Transport: n, ErrorLog: stdlog.New(io.Discard, "", 0), // of tabs that are closed
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", n.pick(), r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	closed := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" && !n.upgrades(w, r, closed) {
			return
		}
		if r.URL.Query().Get("stream") != "" {
			if n.full.Load() {
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			n.streams.Add(1)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { close(closed); srv.CloseClientConnections(); srv.Close() })
	n.url = srv.URL
	return n
}

// upgrades reports whether an upgrade may go on; otherwise it has been dealt with.
func (n *middlebox) upgrades(w http.ResponseWriter, r *http.Request, closed <-chan struct{}) bool {
	switch trouble(n.sockets.Load()) {
	case refuses:
		w.WriteHeader(http.StatusBadGateway)
		return false
	case strips:
		r.Header.Del("Upgrade")
		r.Header.Del("Connection")
		return true
	case swallows:
		select {
		case <-closed:
		case <-r.Context().Done():
		}
		return false
	}
	n.opened.Add(1)
	return true
}

// pick returns the address whose turn it is.
func (n *middlebox) pick() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.addrs[n.next.Add(1)%uint64(len(n.addrs))]
}

// RoundTrip implements http.RoundTripper.
func (n *middlebox) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusSwitchingProtocols && trouble(n.sockets.Load()) == cuts:
		_ = resp.Body.Close()
		resp.Body = cut{}
	case n.buffers.Load():
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return nil, err
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	return resp, nil
}

// cut is a socket that has ended.
type cut struct{}

func (cut) Read([]byte) (int, error)    { return 0, io.EOF }
func (cut) Write(b []byte) (int, error) { return len(b), nil }
func (cut) Close() error                { return nil }

// overPlainHTTP reports whether a page's socket is none.
func (p *page) overPlainHTTP() bool {
	return p.evaluate(`String(document.querySelector('main')._htmx?.ws?.connection?.socket?.constructor.name)`) != "WebSocket"
}

func TestClicksCountWhereThereAreNoWebsockets(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]trouble{"refused": refuses, "stripped": strips, "swallowed": swallows, "cut at once": cuts} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
			n := newMiddlebox(t, how, p.addr())
			chromium := newBrowser(t)
			one, direct := newPage(t, chromium), visit(t, chromium, p.url)
			began := time.Now()
			one.navigate(n.url)
			one.click("increment") // before there is any connection
			one.showsCount(1)
			one.isLive()
			t.Logf("the first page was live after %s", time.Since(began).Round(10*time.Millisecond))
			if !one.overPlainHTTP() {
				t.Error("it has a socket")
			}
			began = time.Now()
			two := newPage(t, chromium)
			two.navigate(n.url)
			two.isLive()
			t.Logf("the next page was live after %s", time.Since(began).Round(10*time.Millisecond))
			for range 10 {
				one.click("increment")
				two.click("increment")
				direct.click("increment")
			}
			for _, tab := range []*page{one, two, direct} {
				tab.showsCount(31)
			}
			one.until("to count the tabs", func(s state) bool { return strings.HasPrefix(s.Tabs, "3 ") })
			inStep(t, direct, one, two)
		})
	}
}

func TestFirefoxDoesWithoutWebsockets(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	n := newMiddlebox(t, refuses, p.addr())
	firefox := newFirefox(t)
	tabs := []*page{firefox.newPage(t), firefox.newPage(t)}
	for _, tab := range tabs {
		tab.navigate(n.url)
		tab.isLive()
	}
	for range 5 {
		for _, tab := range tabs {
			tab.click("increment")
		}
	}
	for _, tab := range tabs {
		tab.showsCount(10)
	}
	n.sockets.Store(int32(passes))
	tabs[0].reload()
	within(t, 3*patience, "a socket", func() error { // Firefox lets a host wait whose sockets have failed
		if tabs[0].overPlainHTTP() {
			return errors.New("there is none")
		}
		return nil
	})
	tabs[0].isLive()
	inStep(t, tabs[0], tabs[1])
}

// inStep clicks in one tab and wants the others to show it soon.
func inStep(t *testing.T, one *page, others ...*page) {
	t.Helper()
	s, err := one.state()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	_, _ = fmt.Sscan(s.Count, &n)
	one.click("increment")
	began := time.Now()
	for _, p := range others {
		p.showsCount(n + 1)
	}
	t.Logf("the others showed a click after %s", time.Since(began).Round(time.Millisecond))
}

// TestATabGoesBackToAWebsocket that clicks all the time.
func TestATabGoesBackToAWebsocket(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	n := newMiddlebox(t, refuses, p.addr())
	chromium := newBrowser(t)
	tab, direct := visit(t, chromium, n.url), visit(t, chromium, p.url)
	n.sockets.Store(int32(passes))
	clicks := 0
	within(t, 2*patience, "the tab to have a socket", func() error {
		tab.click("increment")
		clicks++
		if tab.overPlainHTTP() {
			return fmt.Errorf("it has none; %d went through", n.opened.Load())
		}
		return nil
	})
	tab.isLive()
	tab.click("increment")
	for _, p := range []*page{tab, direct} {
		p.showsCount(clicks + 1)
	}
	tab.reload()
	tab.isLive()
	if tab.overPlainHTTP() {
		t.Error("the next page begins without a socket")
	}
}

// TestAReplicaDiesUnderTabsWithoutWebsockets: requests go to any of three replicas.
func TestAReplicaDiesUnderTabsWithoutWebsockets(t *testing.T) {
	t.Parallel()
	ps := startCluster(t, 3, testserver.Redis(t).URL)
	n := newMiddlebox(t, refuses, ps[0].addr(), ps[1].addr(), ps[2].addr())
	chromium := newBrowser(t)
	tabs := []*page{visit(t, chromium, n.url), visit(t, chromium, n.url), visit(t, chromium, n.url)}
	clicks := 0
	round := func() {
		for _, tab := range tabs {
			tab.click("increment")
			clicks++
		}
	}
	for i := range 3 {
		for range 5 {
			round()
		}
		if i == 1 {
			ps[i].term() // it sends its tabs away
		} else {
			ps[i].kill()
		}
		for range 10 {
			round()
		}
		ps[i].restart()
		for range 5 {
			round()
		}
	}
	for _, tab := range tabs {
		tab.showsCount(clicks)
		tab.isLive()
	}
	inStep(t, tabs[0], tabs[1:]...)
	late := visit(t, chromium, ps[0].url)
	late.showsCount(clicks + 1)
}

// TestTabsStayInStepWhereStreamsAreHeldBack: by a proxy that passes on whole answers only.
func TestTabsStayInStepWhereStreamsAreHeldBack(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	n := newMiddlebox(t, refuses, p.addr())
	n.buffers.Store(true)
	chromium := newBrowser(t)
	tab, direct := visit(t, chromium, n.url), visit(t, chromium, p.url)
	tab.click("increment")
	tab.showsCount(1)
	eventually(t, "a stream to be tried", func() error {
		if n.streams.Load() == 0 {
			return fmt.Errorf("none was")
		}
		return nil
	})
	for i := range 10 {
		direct.click("increment")
		tab.showsCount(2 + i)
	}
	if got := n.streams.Load(); got != 1 {
		t.Errorf("got %d streams, want one that was given up", got)
	}
}

// TestATabForWhoseStreamThereIsNoRoomAsks, and has a stream when there is room again.
func TestATabForWhoseStreamThereIsNoRoomAsks(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	n := newMiddlebox(t, refuses, p.addr())
	n.full.Store(true)
	chromium := newBrowser(t)
	tab, direct := visit(t, chromium, n.url), visit(t, chromium, p.url)
	tab.evaluate(`document.querySelector('main')._htmx.ws.connection.socket.addEventListener('close', () => { document.title = 'lost' }); ''`)
	for i := range 5 {
		direct.click("increment")
		tab.showsCount(1 + i)
	}
	if got := tab.evaluate(`document.title`); got == "lost" {
		t.Error("its connection was lost")
	}
	n.full.Store(false)
	eventually(t, "a stream", func() error {
		if n.streams.Load() == 0 {
			return errors.New("there is none")
		}
		return nil
	})
}

// TestManyTabsWithoutWebsocketsDoNotStarveEachOther: a browser has six connections to a server.
func TestManyTabsWithoutWebsocketsDoNotStarveEachOther(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	_, port, err := net.SplitHostPort(strings.TrimPrefix(newMiddlebox(t, refuses, p.addr()).url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	chromium := newBrowser(t)
	var tabs []*page
	for range 8 {
		tabs = append(tabs, visit(t, chromium, "http://127.0.0.1:"+port))
	}
	for _, tab := range tabs {
		tab.click("increment")
	}
	for _, tab := range tabs {
		tab.showsCount(len(tabs))
	}
	tabs[0].reload()
	tabs[0].isLive()
	inStep(t, tabs[7], tabs[:7]...)
}

// TestStreamsComeThroughNginx at once, as it is set up for production.
func TestStreamsComeThroughNginx(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, streamAt(t, testserver.Nginx(t, p.addr()).URL), strings.NewReader(`{"hello":2}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "gzip")
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Encoding"); got != "" {
		t.Errorf("it is compressed: %s", got)
	}
	heard := make(chan string)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer resp.Body.Close()
	reading.Go(func() {
		defer close(heard)
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if strings.Contains(lines.Text(), "#live") {
				heard <- lines.Text()
			}
		}
	})
	for n := range 3 {
		select {
		case m := <-heard:
			if !strings.Contains(m, fmt.Sprintf(`data-count=\"%d\"`, n)) {
				t.Fatalf("got %s, want the count %d", m, n)
			}
		case <-time.After(patience):
			t.Fatal("a frame is held back")
		}
		if n < 2 {
			click(t, p.url)
		}
	}
}

// streamAt is the address of a stream of the home page, for a client without a cookie.
func streamAt(t *testing.T, base string) string {
	t.Helper()
	return socketAt(t, base, "/") + "&stream=1"
}

// click counts once, over plain HTTP.
func click(t *testing.T, url string) {
	t.Helper()
	resp, err := http.Post(socketAt(t, url, "/"), "", strings.NewReader(clickText(newOp())))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), `"ack"`) {
		t.Fatalf("got %s, %v", body, err)
	}
}
