package livetest

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// maxPage is the longest page that a tab takes, in bytes.
const maxPage = 16 << 20

// A Tab is one tab of a browser. It is closed when the test ends.
type Tab struct {
	// set once
	b *Browser
	t testing.TB
	n int // counts tabs from 1

	// guarded by Browser.mu
	replica int // that it came to last, and tries first
	page    *page
	offline bool
	changed chan struct{} // closed when something has
}

// Go loads a page in the tab, as the address bar does, and follows redirects: path is "/lobby?a=b".
func (tab *Tab) Go(path string) {
	tab.t.Helper()
	u, err := url.Parse(site)
	if err == nil {
		u, err = u.Parse(path)
	}
	if err != nil {
		tab.t.Fatalf("livetest: %q is no address: %v", path, err)
	}
	tab.load(http.MethodGet, u, "")
}

// Reload loads the page anew. What waits is kept by the browser, and the new page sends it.
func (tab *Tab) Reload() {
	tab.t.Helper()
	tab.load(http.MethodGet, tab.current().url, "")
}

// Close closes the tab. What waits is kept by the browser: another tab of it sends it, or the next.
// Closing twice is harmless.
func (tab *Tab) Close() {
	if p := tab.current(); p != nil {
		p.leave()
	}
	tab.b.mu.Lock()
	defer tab.b.mu.Unlock()
	tab.b.forget(tab)
}

// Browser returns the tab's browser, in which more tabs of the same person can be opened.
func (tab *Tab) Browser() *Browser { return tab.b }

// Code returns the HTTP status of the page.
func (tab *Tab) Code() int { return tab.current().code }

// URL returns the address of the page, from its path on.
func (tab *Tab) URL() string { return tab.current().url.RequestURI() }

// User returns who the person is, as actions know them; "": the page has no socket.
func (tab *Tab) User() string { return tab.current().user }

// Replica returns the replica that the tab came to last.
func (tab *Tab) Replica() *Replica {
	tab.b.mu.Lock()
	defer tab.b.mu.Unlock()
	return tab.b.c.replicas[tab.replica]
}

// Offline cuts the tab off from the network, until Online.
func (tab *Tab) Offline() {
	tab.b.mu.Lock()
	tab.offline = true
	p := tab.page
	if p.link != nil {
		p.link.end()
	}
	tab.wake()
	tab.b.mu.Unlock()
	if p.stop != nil {
		tab.must("is not offline yet", func() bool { return p.link == nil })
	}
}

// Online ends Offline.
func (tab *Tab) Online() {
	tab.b.mu.Lock()
	defer tab.b.mu.Unlock()
	tab.offline = false
	tab.wake()
}

// current returns the page.
func (tab *Tab) current() *page {
	tab.b.mu.Lock()
	defer tab.b.mu.Unlock()
	return tab.page
}

// wake tells those who wait for the tab that something has changed. The caller holds Browser.mu.
func (tab *Tab) wake() {
	close(tab.changed)
	tab.changed = make(chan struct{})
}

// wait waits until cond holds, which is called with Browser.mu held, and reports whether it did.
func (tab *Tab) wait(ctx context.Context, cond func() bool) bool {
	for {
		tab.b.mu.Lock()
		holds, changed := cond(), tab.changed
		tab.b.mu.Unlock()
		if holds {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// awaitOnline waits until the tab is not offline; false: ctx has ended.
func (tab *Tab) awaitOnline(ctx context.Context) bool {
	return tab.wait(ctx, func() bool { return !tab.offline }) && ctx.Err() == nil
}

// patience returns a context for what a test waits for.
func (tab *Tab) patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), tab.b.c.opts.Patience)
}

// client returns an HTTP client of the tab, which comes to its replica, or to another one if that
// is down.
func (tab *Tab) client() *http.Client {
	return &http.Client{Jar: tab.b.jar, Transport: &http.Transport{DialContext: tab.dial, DisableKeepAlives: true}}
}

func (tab *Tab) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	tab.b.mu.Lock()
	from, offline := tab.replica, tab.offline
	tab.b.mu.Unlock()
	if offline {
		return nil, errOffline
	}
	at, run, err := tab.b.c.up(from)
	if err != nil {
		return nil, err
	}
	tab.b.mu.Lock()
	tab.replica = at
	tab.b.mu.Unlock()
	return run.line.dial(ctx)
}

// errOffline is why a tab has no connection that was cut off by the test.
var errOffline = &net.OpError{Op: "dial", Net: "tcp", Err: net.UnknownNetworkError("the tab is offline")}

// load makes a request, follows redirects, and shows the page that comes of it in place of the one
// that is there. form is the body of a POST.
func (tab *Tab) load(method string, u *url.URL, form string) {
	tab.t.Helper()
	ctx, cancel := tab.patience()
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(form))
	if err != nil {
		tab.t.Fatalf("livetest: %s %s: %v", method, u, err)
	}
	old := tab.current()
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", site)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if old != nil && (method == http.MethodPost || u != old.url) {
		r.Header.Set("Referer", old.url.String())
	}
	answer, err := tab.client().Do(r)
	if err != nil {
		tab.t.Fatalf("livetest: tab %d can't load a page: %v", tab.n, err)
	}
	root, err := html.ParseWithOptions(io.LimitReader(answer.Body, maxPage), html.ParseOptionEnableScripting(tab.b.script))
	_ = answer.Body.Close() // what was read of it counts
	if err != nil {
		tab.t.Fatalf("livetest: tab %d can't read %s: %v", tab.n, u, err)
	}
	if old != nil {
		old.leave()
	}
	tab.show(newPage(tab, answer.Request.URL, answer.StatusCode, root))
}

// show has a page be the one that is there.
func (tab *Tab) show(p *page) {
	tab.b.mu.Lock()
	defer tab.b.mu.Unlock()
	tab.page = p
	tab.wake()
	if p.socket == "" {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go p.run(ctx) // ends with stop; leave waits for it
}

// must fails the test when cond does not come to hold, which is called with Browser.mu held.
func (tab *Tab) must(problem string, cond func() bool) {
	tab.t.Helper()
	ctx, cancel := tab.patience()
	defer cancel()
	if !tab.wait(ctx, cond) {
		tab.fatalf("%s", problem)
	}
}

// fatalf fails the test, and says what there is on the page.
func (tab *Tab) fatalf(format string, args ...any) {
	tab.t.Helper()
	tab.t.Fatalf("livetest: tab %d "+format+"\n%s", append(append([]any{tab.n}, args...), tab.describe())...)
}

// lookAgain is how often WaitFor looks at what no tab tells of.
const lookAgain = 20 * time.Millisecond

// WaitFor waits until cond holds; what says in a few words what that is, for the failure. cond is
// called after each change of the tab, and from time to time.
func (tab *Tab) WaitFor(what string, cond func(tab *Tab) bool) {
	tab.t.Helper()
	ctx, cancel := tab.patience()
	defer cancel()
	for !cond(tab) {
		tab.b.mu.Lock()
		changed := tab.changed
		tab.b.mu.Unlock()
		select {
		case <-changed:
		case <-time.After(lookAgain):
		case <-ctx.Done():
			tab.fatalf("still waits for %s", what)
		}
	}
}

// Sees waits until the page shows all of texts: in its text, or in its fields. Blanks and line
// breaks are all one blank.
func (tab *Tab) Sees(texts ...string) {
	tab.t.Helper()
	for _, text := range texts {
		tab.must("does not show "+quoted(text), func() bool { return strings.Contains(tab.page.doc.text(), tidy(text)) })
	}
}

// SeesNot waits until the page shows none of texts.
func (tab *Tab) SeesNot(texts ...string) {
	tab.t.Helper()
	for _, text := range texts {
		tab.must("still shows "+quoted(text), func() bool { return !strings.Contains(tab.page.doc.text(), tidy(text)) })
	}
}

// Live waits until the tab is connected to a replica that is well.
func (tab *Tab) Live() {
	tab.t.Helper()
	tab.must("is not live", func() bool { return tab.page.status == "live" })
}

// Answered waits until nothing of what was done in the tab's browser waits any more.
func (tab *Tab) Answered() {
	tab.t.Helper()
	tab.must("has no answer to what was done", func() bool { return len(tab.b.outbox) == 0 })
}

// Text returns what the page shows, as Sees has it.
func (tab *Tab) Text() string {
	tab.b.mu.Lock()
	defer tab.b.mu.Unlock()
	return tab.page.doc.text()
}

// HTML returns the page as it is now.
func (tab *Tab) HTML() string {
	tab.b.mu.Lock()
	defer tab.b.mu.Unlock()
	var b strings.Builder
	if err := html.Render(&b, tab.page.doc.root); err != nil {
		tab.t.Errorf("livetest: %v", err)
	}
	return b.String()
}
