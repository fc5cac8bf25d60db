package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"lockstep/internal/testserver"
)

// switchOn flips the switch, and waits until the tab renders itself.
func (p *page) switchOn() {
	p.t.Helper()
	p.clickOn("#renderer")
	p.until("to render itself", func(s state) bool { return s.Renders })
}

// switchOff flips it back.
func (p *page) switchOff() {
	p.t.Helper()
	p.clickOn("#renderer")
	p.until("not to render itself", func(s state) bool { return !s.Renders })
}

// shows waits until a page shows a count, whatever waits.
func (p *page) shows(n int) {
	p.t.Helper()
	p.until(fmt.Sprintf("to show %d", n), func(s state) bool { return s.Count == strconv.Itoa(n) })
}

func (p *page) isOffline() {
	p.t.Helper()
	p.until("to be offline", func(s state) bool { return s.Status == "offline" && !s.Open })
}

// everybody waits until all pages show what has been counted.
func everybody(pages []*page, n int) {
	for _, p := range pages {
		p.t.Helper()
		p.hasCounted(n)
	}
}

// TestATabThatRendersItself is in step with one that does not, shows clicks at
// once when it is offline, and counts them once when it is back.
func TestATabThatRendersItself(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	link := testserver.NewProxy(t, p.addr())
	plain := visit(t, browser, p.url)
	one, two := visit(t, browser, "http://"+link.Addr), visit(t, browser, "http://"+link.Addr)
	pages := []*page{plain, one, two}
	one.switchOn()
	two.switchOn()
	for _, p := range pages {
		p.click("increment")
	}
	everybody(pages, 3)
	link.Refuse(true)
	one.isOffline()
	two.isOffline()
	for range 3 {
		one.click("increment")
	}
	two.click("increment")
	two.click("increment")
	one.shows(6)
	two.shows(5)
	plain.showsCount(3)
	link.Refuse(false)
	everybody(pages, 8)

	// A server that restarts, and a reset with clicks behind it.
	p.kill()
	one.isOffline()
	one.click("reset")
	one.click("increment")
	one.shows(1)
	p.restart()
	everybody(pages, 1)

	// A reload renders itself again, and so does one with clicks that wait.
	one.reload()
	one.until("to render itself after a reload", func(s state) bool { return s.Renders && s.Status == "live" && s.Open })
	one.click("increment")
	everybody(pages, 2)

	// Switched on and off while it is offline.
	link.Refuse(true)
	one.isOffline()
	two.isOffline()
	one.click("increment")
	one.shows(3)
	one.switchOff()
	one.until("to show what has been counted", func(s state) bool { return s.Count == "2" && s.Kept == "1" })
	one.click("increment")
	one.until("to keep the clicks", func(s state) bool { return s.Count == "2" && s.Kept == "2" })
	one.switchOn()
	one.shows(4)
	one.click("decrement")
	one.shows(3)
	link.Refuse(false)
	everybody(pages, 3)
	one.switchOff()
	one.click("increment")
	everybody(pages, 4)
}

// TestATabThatIsSwitchedOnAgainKnowsWhatItHasClicked since its state came, though it was sent and
// nobody has answered: it need not wait for that.
func TestATabThatIsSwitchedOnAgainKnowsWhatItHasClicked(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	tab := visit(t, browser, p.url)
	tab.switchOn()
	tab.click("increment")
	tab.hasCounted(1)
	tab.evaluate(`(() => { WebSocket.prototype.send = () => {}; return ''; })()`)
	tab.click("increment")
	tab.click("increment")
	tab.shows(3)
	tab.switchOff()
	tab.shows(1)
	took, err := strconv.ParseFloat(tab.evaluate(`(async () => {
		const count = () => document.getElementById('counter').dataset.count;
		document.getElementById('renderer').click();
		let began;
		while (count() !== '3') {
			await new Promise((done) => setTimeout(done, 10));
			if (!document.getElementById('renderer').ariaBusy) began ??= performance.now();
		}
		return String(performance.now() - began);
	})()`), 64)
	if err != nil || took > 3000 {
		t.Errorf("it took %v ms, %v: it has waited for an answer", took, err)
	}
}

// TestATabThatHasNoStateSaysWhenItBegins to render itself: it was switched on without a connection,
// and until there is one it goes on as a tab that the server renders.
func TestATabThatHasNoStateSaysWhenItBegins(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	link := testserver.NewProxy(t, p.addr())
	other := visit(t, browser, "http://"+link.Addr)
	other.switchOn() // the browser has the program
	tab := visit(t, browser, "http://"+link.Addr)
	link.Refuse(true)
	tab.isOffline()
	tab.clickOn("#renderer")
	tab.saysAt("#renderer .wait", "It begins with the next connection.")
	tab.click("increment")
	tab.until("to keep the click", func(s state) bool { return s.Count == "0" && s.Kept == "1" })
	link.Refuse(false)
	tab.hasCounted(1)
	if got := tab.evaluate(`document.querySelector('#renderer .wait').textContent`); got != "" {
		t.Errorf("it has begun, and says %q", got)
	}
	link.Refuse(true)
	tab.isOffline()
	tab.click("increment")
	tab.shows(2)
}

// TestTheSwitchMayBeFlippedQuickly, by a person who clicks on the count, too.
func TestTheSwitchMayBeFlippedQuickly(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	tab, other := visit(t, browser, p.url), visit(t, browser, p.url)
	for i := range 3 {
		tab.evaluate(`(async () => {
			const plus = document.querySelector('[data-action=increment]'), flip = document.getElementById('renderer');
			for (let i = 0; i < 21; i++) {
				flip.click();
				plus.click();
				await new Promise((done) => setTimeout(done, 23 * (i % 4) * (i % 3)));
			}
			return '';
		})()`)
		everybody([]*page{tab, other}, 21*(i+1))
		tab.until("to be as the switch says", func(s state) bool { return s.Renders == (i%2 == 0) && s.Notice == "" })
	}
	tab.switchOff()
	tab.click("increment")
	everybody([]*page{tab, other}, 64)
}

// watched counts the clicks of a page and keeps what it shows with each: a
// count that goes back, or ahead of the clicks, has been wrong for a moment.
const watched = `(() => {
	window.shown = [];
	window.clicks = 0;
	const look = () => {
		const count = Number(document.getElementById('counter').dataset.count);
		if (shown.at(-1)?.[0] !== count) shown.push([count, clicks]);
	};
	new MutationObserver(look).observe(document.body, {subtree: true, childList: true, attributes: true});
	look();
	return '';
})()`

// late has a page get what has a text in it 250 ms late, and all behind it.
func late(text string) string {
	return `(() => {
		const real = EventTarget.prototype.addEventListener;
		WebSocket.prototype.addEventListener = function (type, listener, options) {
			if (type !== 'message') return real.call(this, type, listener, options);
			let last = Promise.resolve();
			real.call(this, type, (e) => {
				const slow = e.data.includes('` + text + `');
				const its = new Promise((done) => setTimeout(done, slow ? 250 : 0));
				last = Promise.all([last, its]);
				last.then(() => options?.signal?.aborted || listener.call(this, e));
			}, options);
		};
	})()`
}

// TestAClickThatShowsAtOnceNeverShowsTwice: also when the state that has it
// comes long before its acknowledgement, and when that is lost with the
// connection.
func TestAClickThatShowsAtOnceNeverShowsTwice(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"acknowledgements late": `"ack"`, "states late": `"state"`, "nothing late": `"nothing"`} {
		t.Run(name, func(t *testing.T) {
			p, browser := startWasm(t)
			link := testserver.NewProxy(t, p.addr())
			tab := newPage(t, browser)
			tab.beforeItsScripts(late(text))
			tab.navigate("http://" + link.Addr)
			tab.isLive()
			tab.switchOn()
			tab.evaluate(watched)
			const n = 24
			for i := range n {
				tab.evaluate(`clicks++, document.querySelector('[data-action=increment]').click(), ''`)
				if i%8 == 7 {
					link.Cut() // what has been counted may not be known to be
				}
				tab.shows(i + 1)
			}
			tab.showsCount(n)
			tab.until("to have no click left", func(s state) bool { return s.Kept == "0" })
			neverWrong(t, tab, n)
		})
	}
}

// trickling has a page get one acknowledgement at a time, 100 ms after the one
// before, and none on a socket that is deaf. Until the first of them time stands
// still for the page when it is told so: how long it takes to connect again is
// not to matter.
const trickling = `(() => {
	const real = EventTarget.prototype.addEventListener;
	const clock = performance.now.bind(performance);
	let behind = 0, stopped;
	performance.now = () => stopped ?? clock() - behind;
	window.standStill = () => { stopped = performance.now(); };
	const goOn = () => {
		if (stopped === undefined) return;
		behind = clock() - stopped;
		stopped = undefined;
	};
	WebSocket.prototype.addEventListener = function (type, listener, options) {
		if (type !== 'message') return real.call(this, type, listener, options);
		let last = Promise.resolve();
		real.call(this, type, (e) => {
			const {ack, ...rest} = JSON.parse(e.data);
			if (!ack) return void last.then(() => listener.call(this, e));
			if (e.target === window.deaf) return;
			for (const op of ack) {
				last = last.then(() => new Promise((done) => setTimeout(done, 100)));
				last.then(() => {
					goOn();
					listener.call(this, new MessageEvent('message', {data: JSON.stringify({...rest, ack: [op]})}));
				});
			}
		}, options);
	};
})()`

// TestClicksInDoubtAreNotShownTwice: a connection ends when several clicks have
// been counted, and before the tab knows; the state of the next one has them
// all, and its acknowledgements come one by one.
func TestClicksInDoubtAreNotShownTwice(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	link := testserver.NewProxy(t, p.addr())
	tab, other := newPage(t, browser), visit(t, browser, p.url)
	tab.beforeItsScripts(trickling)
	tab.navigate("http://" + link.Addr)
	tab.isLive()
	tab.switchOn()
	tab.evaluate(watched + `, standStill(), window.deaf = document.querySelector('main')._htmx.ws.connection.socket, ''`)
	const n = 5
	for i := range n {
		tab.evaluate(`clicks++, document.querySelector('[data-action=increment]').click(), ''`)
		other.hasCounted(i + 1)
	}
	link.Cut()
	tab.hasCounted(n)
	neverWrong(t, tab, n)
}

// TestSwitchingOnShowsNoOldCount: what the server renders until then, and the
// clicks that are on their way.
func TestSwitchingOnShowsNoOldCount(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	tab := newPage(t, browser)
	tab.beforeItsScripts(late(`"ack"`))
	tab.navigate(p.url)
	tab.isLive()
	tab.evaluate(watched)
	for range 3 {
		tab.evaluate(`window.busy = setInterval(() => {
			clicks++;
			document.querySelector('[data-action=increment]').click();
		}, 15), ''`)
		tab.switchOn()
		before, err := tab.state()
		if err != nil {
			t.Fatal(err)
		}
		then, _ := strconv.Atoi(before.Count)
		tab.until("to count on", func(s state) bool { n, _ := strconv.Atoi(s.Count); return n > then+20 })
		tab.evaluate(`clearInterval(window.busy), ''`)
		tab.until("to have no click left", func(s state) bool { return s.Kept == "0" })
		tab.switchOff()
	}
	n, err := strconv.Atoi(tab.evaluate(`String(clicks)`))
	if err != nil {
		t.Fatal(err)
	}
	tab.hasCounted(n)
	neverWrong(t, tab, n)
}

// neverWrong judges what a watched page has shown.
func neverWrong(t *testing.T, tab *page, clicks int) {
	t.Helper()
	var shown [][2]int
	if err := json.Unmarshal([]byte(tab.evaluate(`JSON.stringify(shown)`)), &shown); err != nil {
		t.Fatal(err)
	}
	for i, s := range shown {
		if s[0] > s[1] || i > 0 && s[0] < shown[i-1][0] {
			t.Errorf("it has shown %d after %d clicks: %v", s[0], s[1], shown)
			return
		}
	}
	if last := shown[len(shown)-1][0]; last != clicks {
		t.Errorf("it has shown %v, want %d in the end", shown, clicks)
	}
}

// TestOthersAreSeenWhileAClickWaits: what they count is shown, though the store
// leaves this tab's click without an answer.
func TestOthersAreSeenWhileAClickWaits(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	link := testserver.NewProxy(t, p.addr())
	tab, other := newPage(t, browser), visit(t, browser, p.url)
	tab.beforeItsScripts(`(() => {
		const send = WebSocket.prototype.send;
		WebSocket.prototype.send = function (data) {
			if (!window.mute || !data.includes('"op"')) send.call(this, data);
		};
	})()`)
	tab.navigate("http://" + link.Addr)
	tab.isLive()
	tab.switchOn()
	tab.evaluate(`window.mute = true, ''`)
	tab.click("increment")
	tab.shows(1)
	// As fast as they may come, so that none is older than a moment.
	other.evaluate(`window.busy = setInterval(() => document.querySelector('[data-action=increment]').click(), 20), ''`)
	tab.until("to show others' clicks", func(s state) bool { n, _ := strconv.Atoi(s.Count); return n > 20 && s.Kept == "1" })
	other.evaluate(`clearInterval(window.busy), ''`)
	other.until("to have no click left", func(s state) bool { return s.Kept == "0" })
	s, err := other.state()
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(s.Count)
	tab.shows(n + 1)
	tab.evaluate(`window.mute = false, ''`)
	link.Cut()
	everybody([]*page{tab, other}, n+1)
}

// TestARefusedClickIsTakenBack: nobody could know in the tab, which had no connection, that there
// is not enough any more. What was clicked an hour ago and never sent is not too old.
func TestARefusedClickIsTakenBack(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	link := testserver.NewProxy(t, p.addr())
	other, tab := visit(t, browser, p.url+"/bank/vault"), visit(t, browser, "http://"+link.Addr+"/bank/vault")
	tab.switchOn()
	other.transfers(10)
	tab.reads("Account 1 90Account 2 110")
	link.Refuse(true)
	tab.isOffline()
	tab.transfers(60)
	tab.transfers(10)
	tab.reads("Account 1 20Account 2 180")
	tab.evaluate(`(() => { const now = Date.now; Date.now = () => now.call(Date) + 3600e3; return ''; })()`)
	other.transfers(75)
	other.reads("Account 1 15Account 2 185")
	link.Refuse(false)
	tab.refuses("account 1 has only 15")
	for _, p := range []*page{tab, other} {
		p.reads("Account 1 5Account 2 195")
	}
	tab.until("to have nothing waiting", func(s state) bool { return s.Kept == "0" && !s.Waiting && s.Renders })
}

// TestAStoreThatBeginsAnewIsShown: smaller numbers of a later epoch.
func TestAStoreThatBeginsAnewIsShown(t *testing.T) {
	t.Parallel()
	browser := newBrowser(t)
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)), "-store", "mem:")
	tab := visit(t, browser, p.url)
	tab.switchOn()
	tab.clickFast(5)
	tab.hasCounted(5)
	p.kill()
	tab.isOffline()
	tab.click("increment")
	tab.shows(6)
	p.restart()
	tab.hasCounted(1)
	tab.until("to render itself still", func(s state) bool { return s.Renders && s.Status == "live" })
}

// TestADegradedServerIsSaidByATabThatRendersItself: its click shows, waits, and
// is counted once.
func TestADegradedServerIsSaidByATabThatRendersItself(t *testing.T) {
	t.Parallel()
	browser := newBrowser(t)
	redis := testserver.Redis(t)
	p := startCluster(t, 1, redis.URL)[0]
	tab := visit(t, browser, p.url)
	tab.switchOn()
	tab.click("increment")
	tab.showsCount(1)
	redis.Freeze()
	tab.click("increment")
	tab.until("to show the click, and that all is not well", func(s state) bool {
		return s.Count == "2" && s.Waiting && s.Kept == "1" && s.Status == "degraded"
	})
	redis.Thaw()
	tab.showsCount(2)
	tab.until("to be live", func(s state) bool { return s.Status == "live" && s.Kept == "0" })
}

func TestAHiddenTabThatRendersItselfStaysInStep(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	tab, hidden := visit(t, browser, p.url), visit(t, browser, p.url)
	hidden.switchOn()
	hidden.hide(true)
	tab.click("increment")
	hidden.showsCount(1)
	p.kill()
	p.restart()
	tab.click("increment")
	hidden.showsCount(2)
	hidden.clickFast(1)
	everybody([]*page{tab, hidden}, 3)
}

// TestATabThatCanNotRenderItselfIsRenderedByTheServer: whatever fails, and
// whenever, it says so and goes on.
func TestATabThatCanNotRenderItselfIsRenderedByTheServer(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	const later = `const post = postMessage; let second = false; globalThis.postMessage = (m) => {
		second ||= m.html?.includes('data-count="2"'); // that of the second click, and all later ones
		if (!second) return post(m); `
	missing := func(name string) func(string, *reply) {
		return func(path string, a *reply) {
			if isFile(path, name) {
				a.status, a.body = http.StatusNotFound, nil
			}
		}
	}
	for name, c := range map[string]struct {
		edit  func(string, *reply)
		later bool // it renders itself for a while
	}{
		"no WebAssembly":             {edit: prefixed("worker.js", "delete globalThis.WebAssembly")},
		"no program":                 {edit: missing("lockstep.wasm")},
		"no worker":                  {edit: missing("worker.js")},
		"the worker dies":            {later: true, edit: prefixed("worker.js", later+`setTimeout(() => { throw new Error('killed'); }); }`)},
		"a render fails":             {later: true, edit: prefixed("worker.js", later+`post({failure: 'no'}); }`)},
		"the worker does not answer": {later: true, edit: prefixed("worker.js", later+`}`)},
	} {
		t.Run(name, func(t *testing.T) {
			f := newInterceptor(t, p)
			f.setEdit(c.edit)
			tab := troubled(t, browser)
			tab.navigate(f.url + "/c/" + strings.ReplaceAll(strings.ToLower(name), " ", "-"))
			tab.isLive()
			clicks := 1
			if c.later {
				tab.switchOn()
				tab.click("increment")
				tab.hasCounted(1)
				tab.click("increment")
				clicks = 3
			} else {
				tab.clickOn("#renderer")
			}
			tab.until("to say that it can not", func(s state) bool { return !s.Renders && s.Notice != "" && s.Open })
			tab.click("increment")
			tab.showsCount(clicks)
		})
	}
}

// TestWhatATabSaysOfItselfIsNotBelieved: it is sent its own counter's states
// only, and what it sends beside an action has no effect.
func TestWhatATabSaysOfItselfIsNotBelieved(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	tab, other := visit(t, browser, p.url), visit(t, browser, p.url+"/c/other")
	other.click("increment")
	other.showsCount(1)
	got := tab.evaluate(`new Promise((done) => {
		const s = new WebSocket(location.origin.replace('http', 'ws') + document.querySelector('main').getAttribute('hx-ws:connect')), topics = new Set();
		s.onopen = () => {
			const far = {'counter:lobby': [9e15, 9e15], 'counter:other': [9e15, 9e15]};
			s.send(JSON.stringify({hello: 2, at: far, as: 'data', t: 'counter:other', topics: ['counter:other']}));
			s.send(JSON.stringify({...` + clickText(newOp()) + `, n: 99, delta: 99, in: {n: '99', delta: '99'}, topic: 'counter:other', state: '1 99', s: '1 99'}));
			setInterval(() => s.readyState === 1 && s.send('` + nothing() + `'), 100);
		};
		s.onmessage = ({data}) => {
			const m = JSON.parse(data);
			if (m.state) topics.add(m.t + ' ' + JSON.parse(m.state).s);
			if (m.t === 'nothing:here' && topics.size > 1) {
				s.close();
				done([...topics].join());
			}
		};
	})`)
	if got != "counter:lobby ,counter:lobby 1 1" {
		t.Errorf("got states %s", got)
	}
	tab.showsCount(1)
	other.showsCount(1)
}
