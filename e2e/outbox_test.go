package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"lockstep/internal/testserver"
)

// readWaiting is what a page says of clicks that wait.
const readWaiting = `(({ hidden, innerText }) => hidden ? '' : innerText.trim())(document.getElementById('waiting'))`

// saysOfWaiting waits until a page says something of the clicks that wait.
func (p *page) saysOfWaiting(want string) {
	p.t.Helper()
	eventually(p.t, "the page to say: "+want, func() error {
		if got := p.evaluate(readWaiting); got != want {
			return fmt.Errorf("it says %q", got)
		}
		return nil
	})
}

// outboxIsEmpty waits until nothing is kept in a page's browser.
func (p *page) outboxIsEmpty() {
	p.t.Helper()
	eventually(p.t, "the outbox to be empty", func() error {
		if got := p.evaluate(readOutbox); got != "[]" {
			return fmt.Errorf("there is %s", got)
		}
		return nil
	})
}

// readOutbox is what waits in the browser, of all applications of its address, as JSON.
const readOutbox = `(async () => {
  const all = [], names = (await indexedDB.databases()).map(({name}) => name).filter((name) => name.startsWith('lockstep /'));
  if (!names.length) throw new Error('there is no outbox');
  for (const name of names) {
    const db = await new Promise((done) => { indexedDB.open(name).onsuccess = (e) => done(e.target.result); });
    all.push(...await new Promise((done) => {
      db.transaction('ops').objectStore('ops').getAll().onsuccess = (e) => done(e.target.result);
    }));
    db.close();
  }
  return JSON.stringify(all.filter(({client}) => client));
})()`

// TestAClosedTabLeavesItsClicks: a tab is closed with clicks that its server, which is away, has
// not seen; a page of another topic that is opened later has them counted, once.
func TestAClosedTabLeavesItsClicks(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	browser := newBrowser(t)
	tab, other := visit(t, browser, p.url), visit(t, browser, p.url+"/c/other")
	p.kill()
	tab.until("to be offline", func(s state) bool { return s.Status == "offline" })
	for range 10 {
		tab.click("increment")
	}
	tab.saysOfWaiting("10 clicks waiting, kept in this browser")
	if tab.asks() {
		t.Error("the page asks before it is left, and all is kept")
	}
	tab.close()
	other.close()
	p.restart()
	late := visit(t, browser, p.url+"/poll/later")
	late.outboxIsEmpty()
	visit(t, browser, p.url).showsCount(10)
}

// TestTenClicksOfAnHourAgoCountWhenTheBrowserIsOpenedAgain: they were made while the server was
// away, and the browser, which was closed as a whole, is opened by a person who wants another page.
func TestTenClicksOfAnHourAgoCountWhenTheBrowserIsOpenedAgain(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	profile := shortDir(t)
	browser, closeBrowser := openBrowser(t, profile)
	tab := newPage(t, browser)
	tab.navigate(p.url)
	tab.isLive()
	p.kill()
	tab.until("to be offline", func(s state) bool { return s.Status == "offline" })
	for range 10 {
		tab.click("increment")
	}
	tab.saysOfWaiting("10 clicks waiting, kept in this browser")
	if got := tab.evaluate(ageOutbox); got != "10" {
		t.Fatalf("%s clicks were made an hour older, want 10", got)
	}
	tab.close()
	closeBrowser()
	p.restart()
	browser, closeBrowser = openBrowser(t, profile)
	defer closeBrowser()
	late := newPage(t, browser)
	late.navigate(p.url + "/poll/later")
	late.isLive()
	late.outboxIsEmpty()
	late.navigate(p.url)
	late.showsCount(10)
	late.close()
}

// ageOutbox has all that is kept be an hour older, and returns how much that is.
const ageOutbox = `(async () => {
  const db = await new Promise((done) => { indexedDB.open('lockstep /ws/').onsuccess = (e) => done(e.target.result); });
  const tx = db.transaction('ops', 'readwrite', { durability: 'strict' }), store = tx.objectStore('ops');
  let n = 0;
  store.openCursor().onsuccess = ({ target: { result: cursor } }) => {
    if (!cursor) return;
    if (cursor.value.made > 3600000) n++;
    cursor.update({ ...cursor.value, made: cursor.value.made - 3600000 });
    cursor.continue();
  };
  await new Promise((done) => { tx.oncomplete = done; });
  db.close();
  return String(n);
})()`

// TestATabThatLivesSendsWhatAClosedOneHasLeft, though it has been open all the time.
func TestATabThatLivesSendsWhatAClosedOneHasLeft(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	proxy := testserver.NewProxy(t, p.addr())
	browser := newBrowser(t)
	url := "http://" + proxy.Addr
	tab, other := visit(t, browser, url), visit(t, browser, url+"/c/other")
	other.evaluate(`localStorage['lockstep /ws/ left nobody'] = '{', ''`) // something foreign
	proxy.Refuse(true)
	tab.until("to be offline", func(s state) bool { return s.Status == "offline" })
	tab.click("increment")
	tab.click("increment")
	tab.saysOfWaiting("2 clicks waiting, kept in this browser")
	tab.close()
	proxy.Refuse(false)
	other.isLive()
	other.outboxIsEmpty()
	other.navigate(url)
	other.showsCount(2)
}

// left is what a page of this person has left that was closed while it wrote.
const left = `localStorage['lockstep /ws/ left ' + 'A'.repeat(22)] = JSON.stringify({at: 1795900000000.5, entries: [{
	client: 'A'.repeat(22), topic: 'counter:lobby', seq: 1, do: 'increment', in: {}, made: Date.now(),
	user: document.querySelector('main').dataset.user,
	grant: JSON.parse(document.querySelector('main').dataset.grants)['counter:lobby'],
}]}), ''`

// TestWhatAPageHasLeftIsTakenOnce also if the browser brings it back.
func TestWhatAPageHasLeftIsTakenOnce(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	tab := newPage(t, newBrowser(t))
	tab.beforeItsScripts(`window.ops = '';
		const send = WebSocket.prototype.send;
		WebSocket.prototype.send = function (m) { if (m.includes('"op"')) ops += m; return send.call(this, m); };`)
	tab.navigate(p.url)
	tab.isLive()
	for i, sent := range []string{"true", "false"} {
		tab.evaluate(left)
		tab.reload()
		tab.isLive()
		tab.showsCount(1 + i) // what was left, and a click
		tab.click("increment")
		tab.showsCount(2 + i)
		tab.outboxIsEmpty()
		if got := tab.evaluate(`String(ops.includes('A'.repeat(22)))`); got != sent {
			t.Errorf("round %d: got that it was sent: %s, want %s", i, got, sent)
		}
		if got := tab.evaluate(`Object.keys(localStorage).join()`); got != "" {
			t.Errorf("round %d: %s is there still", i, got)
		}
	}
}

// clicksAndLeaves has a page make twenty clicks that don't leave it, faster than they can be kept,
// and go to another with the last.
const clicksAndLeaves = `(() => {
  WebSocket.prototype.send = () => {};
  const button = document.querySelector('[data-action=increment]');
  (async () => {
    for (let i = 0; i < 20; i++) {
      button.click();
      if (i % 3 && i < 19) await new Promise((done) => setTimeout(done, i % 2));
    }
    location.href = '/c/away';
  })();
  return '';
})()`

// TestAPageThatIsLeftKeepsWhatWasClickedLast: not all of it is written yet, and nothing was sent.
func TestAPageThatIsLeftKeepsWhatWasClickedLast(t *testing.T) {
	t.Parallel()
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
			tab := e.start(t)(t)
			for i := range 5 {
				tab.navigate(p.url)
				tab.isLive()
				tab.showsCount(20 * i)
				tab.evaluate(clicksAndLeaves)
				eventually(t, "the page to be left", func() error {
					// A browser asks neither of two pages while it goes from one to the other.
					at, err := tab.tab.evaluate(tab.ctx, `location.pathname`)
					if err == nil && at != "/c/away" {
						err = fmt.Errorf("it is %s", at)
					}
					return err
				})
				tab.isLive()
				tab.outboxIsEmpty()
			}
			tab.navigate(p.url)
			tab.showsCount(100)
		})
	}
}

// asks reports whether a page asks before it is left.
func (p *page) asks() bool {
	p.t.Helper()
	return p.evaluate(`(() => {
		const e = new Event('beforeunload', { cancelable: true });
		dispatchEvent(e);
		return String(e.defaultPrevented);
	})()`) == "true"
}

// TestABrowserThatKeepsNothingSaysSo, before the first click, and counts clicks nevertheless.
func TestABrowserThatKeepsNothingSaysSo(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	proxy := testserver.NewProxy(t, p.addr())
	tab := newPage(t, newBrowser(t))
	tab.beforeScripts(`Object.defineProperty(window, 'indexedDB', {
	  get() { return { open() { throw new DOMException('blocked', 'SecurityError'); } }; },
	});`)
	tab.navigate("http://" + proxy.Addr)
	tab.isLive()
	eventually(t, "the page to say that nothing is kept", func() error {
		if got := tab.evaluate(`String(document.getElementById('unkept').hidden)`); got != "false" {
			return fmt.Errorf("hidden is %s", got)
		}
		return nil
	})
	tab.click("increment")
	tab.showsCount(1)
	proxy.Refuse(true)
	tab.until("to be offline", func(s state) bool { return s.Status == "offline" })
	tab.click("increment")
	tab.saysOfWaiting("1 click waiting, lost if you leave this page")
	if !tab.asks() {
		t.Error("the page does not ask before the click is lost with it")
	}
	proxy.Refuse(false)
	tab.showsCount(2)
}

// TestFieldsOfAFormAreNotThoseOfTheProtocol: a form sends what it has, whatever its fields are
// called, and a password is not kept.
func TestFieldsOfAFormAreNotThoseOfTheProtocol(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	tab := visit(t, newBrowser(t), p.url)
	got := tab.evaluate(`(async () => {
	  const sent = [], { send } = WebSocket.prototype;
	  WebSocket.prototype.send = function (m) { sent.push(m); return send.call(this, m); };
	  const form = document.createElement('form');
	  Object.assign(form.dataset, { topic: 'counter:lobby', do: 'nothing' });
	  const add = (tag, of) => form.appendChild(Object.assign(document.createElement(tag), of));
	  for (const name of ['age', 'headers', 'op', '_x', 'm', 'm']) add('input', { name, value: 'of ' + name });
	  add('input', { name: 'secret', type: 'password', value: 'of secret' });
	  const button = add('button', { name: 'pressed', value: 'yes' });
	  document.querySelector('main').append(form);
	  button.click();
	  while (!sent.length) await new Promise((done) => setTimeout(done, 10));
	  return JSON.stringify(JSON.parse(sent[0]).in);
	})()`)
	want := `{"age":"of age","headers":"of headers","op":"of op","_x":"of _x","m":["of m","of m"],` +
		`"secret":"of secret","pressed":"yes"}`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	tab.until("to say why it was refused", func(s state) bool { return strings.Contains(s.Notice, "unknown action") })
	if got := tab.evaluate(readOutbox); got != "[]" {
		t.Errorf("the outbox has %s", got)
	}
}

// TestClicksOfTheVersionBeforeAreGivenUpWithTheirNumber, once, until the person has read it.
func TestClicksOfTheVersionBeforeAreGivenUpWithTheirNumber(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	tab := visit(t, newBrowser(t), p.url)
	tab.evaluate(`sessionStorage.setItem('outbox:/ws/c/lobby', '[{"message":{"op":"a"}},{"message":{"op":"b"}}]'); ''`)
	tab.reload()
	tab.isLive()
	lost := func() string {
		return tab.evaluate(`(({ hidden, dataset }) => hidden ? 'nothing' : dataset.n)(document.getElementById('lost'))`)
	}
	if got := lost(); got != "2" {
		t.Errorf("the page says that %s are lost, want 2", got)
	}
	tab.click("increment")
	tab.showsCount(1)
	if got := lost(); got != "2" {
		t.Errorf("after another click the page says that %s are lost", got)
	}
	tab.clickOn("#lost button")
	if got := lost(); got != "nothing" {
		t.Errorf("the person has read it, and the page says that %s are lost", got)
	}
	tab.reload()
	tab.isLive()
	if got := lost(); got != "nothing" {
		t.Errorf("it is said again: %s", got)
	}
}
