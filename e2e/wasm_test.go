package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"lockstep/internal/testserver"
)

// clickFast clicks on increment n times in one moment.
func (p *page) clickFast(n int) {
	p.t.Helper()
	p.evaluate(fmt.Sprintf(`(() => {
		const button = document.querySelector('[data-action=increment]');
		for (let i = 0; i < %d; i++) button.click();
		return '';
	})()`, n))
}

// isKept waits until the browser needs no network for the application.
func (p *page) isKept() {
	p.t.Helper()
	p.evaluate(`navigator.serviceWorker.ready.then(() => '')`)
}

// forgetCache empties the cache that a browser has for all sites: it may do so
// at any time. What the service worker keeps is not in it.
func (p *page) forgetCache() {
	p.t.Helper()
	if _, err := chromedp.Call(p.ctx, network.ClearBrowserCache, cdp.Empty{}); err != nil {
		p.t.Fatal(err)
	}
}

// startWasm starts a server, and Chromium.
func startWasm(t *testing.T) (*process, context.Context) {
	t.Helper()
	browser := newBrowser(t) // or there is nothing to do
	return start(t, t.TempDir(), "-addr", address(testserver.FreePort(t))), browser
}

// TestTheApplicationInTheBrowser: loaded once, the whole application works in
// the browser alone. Three tabs stay in step with the server gone, and the
// count is there when all of them have been closed.
func TestTheApplicationInTheBrowser(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	url := p.url + "/wasm/"
	first := visit(t, browser, url)
	first.isKept()
	pages := []*page{first, visit(t, browser, url), visit(t, browser, url)}
	p.kill()
	first.forgetCache()
	replicas := make(map[string]bool)
	for _, p := range pages {
		p.until("to count the tabs", func(s state) bool { return s.Tabs == "3 tabs here" })
		s, err := p.state()
		if err != nil {
			t.Fatal(err)
		}
		replicas[s.Replica] = true
	}
	if len(replicas) != 3 {
		t.Errorf("got replicas %v, want that each tab is one", replicas)
	}
	parallel(pages, func(p *page) { p.clickFast(200) })
	for _, p := range pages {
		p.showsCount(600)
	}
	for name := range replicas {
		pages[0].saysAround(soonAround, []string{name, "1 person", "added 1 via"}, "gone") // each tab is a replica
	}
	for _, p := range pages {
		p.close()
	}
	late := visit(t, browser, url)
	late.showsCount(600)
	late.click("increment")
	late.showsCount(601)
	late.reload()
	late.isLive()
	late.showsCount(601)
	late.navigate(url + "index.html?name=lobby#x")
	late.isLive()
	late.click("reset")
	late.showsCount(0)
}

// TestAReloadInTheMiddleOfClicksLosesNone: the worker is killed while it
// applies them, and the page sends those again that it has no answer to.
func TestAReloadInTheMiddleOfClicksLosesNone(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	tab, other := visit(t, browser, p.url+"/wasm/"), visit(t, browser, p.url+"/wasm/")
	tab.isKept()
	const each = 30
	for i := range 5 {
		tab.clickFast(each)
		tab.reload()
		tab.isLive()
		tab.showsCount(each * (i + 1))
	}
	other.showsCount(5 * each)
	tab.until("to have nothing left", func(s state) bool { return s.Kept == "0" })
}

func TestCountersInTheBrowserAreApart(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	lobby, kitchen := visit(t, browser, p.url+"/wasm/?utm=x#y"), visit(t, browser, p.url+"/wasm/?name=%20Kitchen%20&x=1")
	lobby.click("increment")
	lobby.showsCount(1)
	kitchen.click("decrement")
	kitchen.showsCount(-1)
	lobby.showsCount(1)
	for _, p := range []*page{lobby, kitchen} {
		p.until("to be alone", func(s state) bool { return s.Tabs == "1 tab here" })
	}
	// Another counter in the same tab, and back, whether or not the browser has
	// kept the page.
	lobby.navigate(p.url + "/wasm/?name=kitchen")
	lobby.isLive()
	lobby.showsCount(-1)
	lobby.click("increment")
	kitchen.showsCount(0)
	lobby.evaluate(`history.back(), ''`)
	lobby.until("to show the lobby", func(s state) bool { return s.Count == "1" && s.Open && s.Status == "live" })
	lobby.clickFast(1)
	lobby.showsCount(2)
	kitchen.showsCount(0)
	// A private window has nothing of it.
	private := newPage(t, browser, chromedp.WithNewBrowserContext())
	private.navigate(p.url + "/wasm/")
	private.isLive()
	private.showsCount(0)
	private.click("increment")
	private.showsCount(1)
	lobby.showsCount(2)
}

func TestAHiddenTabInTheBrowserStaysInStep(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	tab, hidden := visit(t, browser, p.url+"/wasm/"), visit(t, browser, p.url+"/wasm/")
	hidden.hide(true)
	tab.click("increment")
	hidden.showsCount(1)
	hidden.clickFast(2)
	tab.showsCount(3)
	hidden.hide(false)
	hidden.isLive()
	hidden.showsCount(3)
}

// socketTest makes sockets as a page may, and returns what is not as it is of a
// WebSocket of a browser.
const socketTest = `(async () => {
	const wrong = [];
	const want = (what, got, wanted) => { if (got !== wanted) wrong.push(what + ': got ' + got + ', want ' + wanted); };
	const thrown = (f) => { try { f(); } catch (e) { return e.name; } };
	const url = 'ws://' + location.host + '/wasm/socket/counter:lobby';
	const on = (s, type) => new Promise((done) => s.addEventListener(type, done, {once: true}));

	let s = new WebSocket(url);
	want('url', s.url, url);
	const path = new WebSocket('/wasm/socket/counter:lobby');
	want('url of a path', path.url, url);
	path.close();
	want('readyState', s.readyState, WebSocket.CONNECTING);
	want('constants', [s.CONNECTING, s.OPEN, s.CLOSING, s.CLOSED].join(), '0,1,2,3');
	want('constants of the class', [WebSocket.CONNECTING, WebSocket.OPEN, WebSocket.CLOSING, WebSocket.CLOSED].join(), '0,1,2,3');
	want('others', [s.bufferedAmount, s.binaryType, s.protocol, s.extensions, s.onopen].join('|'), '0|blob|||');
	want('send too early', thrown(() => s.send('x')), 'InvalidStateError');
	const calls = [];
	s.onopen = (e) => calls.push(e.type, e.target === s);
	const message = new Promise((done) => { s.onmessage = done; });
	await on(s, 'open');
	want('onopen', calls.join(), 'open,true');
	want('open', s.readyState, WebSocket.OPEN);
	want('a message', typeof JSON.parse((await message).data), 'object');
	want('a bad code', thrown(() => s.close(2000)), 'InvalidAccessError');
	want('still open', s.readyState, WebSocket.OPEN);
	s.close(3001, 'bye');
	want('closing', s.readyState, WebSocket.CLOSING);
	want('send too late', thrown(() => s.send('x')), undefined);
	s.onmessage = () => wrong.push('a message after close');
	let closed = new Promise((done) => { s.onclose = done; });
	s.close();
	let e = await closed;
	want('close event', [e.code, e.reason, e.wasClean, s.readyState].join(), '3001,bye,true,3');

	s = new WebSocket(url);
	let errors = 0;
	s.onerror = () => errors++;
	closed = on(s, 'close');
	s.close();
	want('closing before open', s.readyState, WebSocket.CLOSING);
	e = await closed;
	want('close before open', [e.code, e.wasClean, errors].join(), '1006,false,1');

	s = new WebSocket(url);
	await on(s, 'open');
	closed = on(s, 'close');
	s.close();
	want('close without a code', (await closed).code, 1005);

	const page = await (await fetch('/')).text();
	const real = new WebSocket('ws://' + location.host + page.match(/hx-ws:connect="([^"]+)"/)[1].replaceAll('&amp;', '&'));
	want('another address', real.constructor.name, 'WebSocket');
	await on(real, 'open');
	real.close();
	want('no address', thrown(() => new WebSocket('ws://[')), 'SyntaxError');
	for (let i = 0; i < 300; i++) {
		const s = new WebSocket(url);
		await on(s, 'open');
		s.close();
		await on(s, 'close');
	}
	want('marks left behind', performance.getEntriesByName('live').length, 1);
	return wrong.join('\n');
})()`

// TestTheStandInIsAWebSocket: for whatever a page's scripts do with one.
func TestTheStandInIsAWebSocket(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	tab := visit(t, browser, p.url+"/wasm/")
	if wrong := tab.evaluate(socketTest); wrong != "" {
		t.Error(wrong)
	}
	tab.until("to be alone again", func(s state) bool { return strings.HasPrefix(s.Tabs, "1 ") })
	tab.click("increment")
	tab.showsCount(1)
}
