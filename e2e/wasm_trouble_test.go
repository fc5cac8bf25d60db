package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	cdpage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// isFile reports whether a path is that of an asset: "lockstep.wasm".
func isFile(path, name string) bool {
	base, ext, _ := strings.Cut(name, ".")
	return strings.Contains(path, "/static/"+base+".") && strings.HasSuffix(path, "."+ext)
}

// prefixed puts a script before another.
func prefixed(name, script string) func(string, *reply) {
	return func(path string, a *reply) {
		if isFile(path, name) {
			a.body = append([]byte(script+";\n"), a.body...)
		}
	}
}

// troubled opens a page that is expected to go wrong, in a browser that has
// never been there: what its console says is not judged.
func troubled(t *testing.T, browser context.Context) *page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	p := &page{t: t, ctx: ctx, tab: newChromiumTab(ctx, cancel)}
	t.Cleanup(func() {
		if console := p.tab.close(); t.Failed() {
			t.Logf("console: %q", console)
		}
	})
	return p
}

// beforeItsScripts has a page run a script before its own.
func (p *page) beforeItsScripts(script string) {
	p.t.Helper()
	params := cdpage.AddScriptToEvaluateOnNewDocumentParams{Source: script}
	_, err := chromedp.Call(p.ctx, cdpage.AddScriptToEvaluateOnNewDocument, params)
	if err != nil {
		p.t.Fatal(err)
	}
}

// explains waits until the page gives a reason why it does not work.
func (p *page) explains(want string) {
	p.t.Helper()
	eventually(p.t, "the page to say "+want, func() error {
		got := p.evaluate(`(() => {
			const f = document.getElementById('failure');
			return f && f.checkVisibility() ? f.textContent : document.body.innerText;
		})()`)
		if !strings.HasPrefix(got, want) {
			return fmt.Errorf("it says %q", got)
		}
		return nil
	})
}

// TestWhatKeepsTheApplicationFromTheBrowserIsSaid: in a sentence, on the page.
func TestWhatKeepsTheApplicationFromTheBrowserIsSaid(t *testing.T) {
	t.Parallel()
	body := func(name string, change func([]byte) []byte) func(string, *reply) {
		return func(path string, a *reply) {
			if isFile(path, name) {
				a.body = change(a.body)
			}
		}
	}
	status := func(name string, code int) func(string, *reply) {
		return func(path string, a *reply) {
			if isFile(path, name) {
				a.status, a.body = code, nil
			}
		}
	}
	policy := func(name, policy string) func(string, *reply) {
		return func(path string, a *reply) {
			if isFile(path, name) || path == name {
				a.header.Set("Content-Security-Policy", policy)
			}
		}
	}
	hidden := func(name, how string) string {
		return "Object.defineProperty(globalThis, '" + name + "', " + how + ")"
	}
	const (
		noCount  = "Nothing can be kept here: this browser has no IndexedDB"
		notWhole = "The application did not arrive whole."
		noName   = "There is nothing of that name"
		refusal  = "throw new DOMException('no', 'SecurityError')"
	)
	cases := []struct {
		name  string
		edit  func(string, *reply)
		page  string // script that the page runs before its own
		query string
		want  string
	}{
		{
			name: "WebAssembly is turned off", want: "This browser has no WebAssembly",
			edit: prefixed("worker.js", "delete globalThis.WebAssembly"),
		},
		{
			name: "the worker's policy forbids WebAssembly", want: "This page is not allowed to run WebAssembly",
			edit: policy("worker.js", "default-src 'none'; script-src 'self'"),
		},
		{
			name: "no IndexedDB", want: noCount,
			edit: prefixed("worker.js", hidden("indexedDB", "{value: undefined}")),
		},
		{
			name: "IndexedDB can't be looked at", want: noCount,
			edit: prefixed("worker.js", hidden("indexedDB", "{get() { "+refusal+" }}")),
		},
		{
			name: "IndexedDB refuses", want: noCount,
			edit: prefixed("worker.js", "IDBFactory.prototype.open = () => { "+refusal+" }"),
		},
		{
			name: "no BroadcastChannel", want: "The tabs of this browser can not hear each other",
			edit: prefixed("worker.js", "delete globalThis.BroadcastChannel"),
		},
		{name: "no workers", page: "delete window.Worker", want: "This browser has no workers"},
		{
			name: "workers are refused", want: "This page is not allowed to start a worker.",
			page: "window.Worker = class { constructor() { " + refusal + " } }",
		},
		{
			name: "the page's policy forbids workers", want: "The application could not be started.",
			edit: policy("/wasm/", "script-src 'self'; worker-src 'none'"),
		},
		{
			name: "the worker's script is gone", want: "The application could not be started.",
			edit: status("worker.js", http.StatusNotFound),
		},
		{
			name: "the program is gone", want: "There is a new version of the application.",
			edit: status("lockstep.wasm", http.StatusNotFound),
		},
		{
			name: "the server fails", want: "The application could not be loaded.",
			edit: status("lockstep.wasm", http.StatusInternalServerError),
		},
		{
			name: "the program is cut off", want: notWhole,
			edit: body("lockstep.wasm", func(b []byte) []byte { return b[:len(b)/2] }),
		},
		{
			name: "the program is too long", want: notWhole,
			edit: body("lockstep.wasm", func(b []byte) []byte { return append(b, 0) }),
		},
		{
			name: "the program is damaged", want: "The application is damaged.",
			edit: body("lockstep.wasm", func(b []byte) []byte { return bytes.Repeat([]byte{7}, len(b)) }),
		},
		{
			name: "the script of the pages is gone", want: "The application could not be loaded.",
			edit: status("app.js", http.StatusNotFound),
		},
		{name: "a name that is none", query: "?name=a_b", want: noName},
		{name: "a name that attacks", query: "?name=%3Cimg%20src=x%20onerror=alert(1)%3E", want: noName},
		{name: "a name that is too long", query: "?name=" + strings.Repeat("x", 65), want: noName},
	}
	p, browser := startWasm(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := newInterceptor(t, p)
			f.setEdit(c.edit)
			tab := troubled(t, browser)
			if c.page != "" {
				tab.beforeItsScripts(c.page)
			}
			tab.navigate(f.url + "/wasm/" + c.query)
			tab.explains(c.want)
			usable := tab.evaluate(`String([...document.querySelectorAll('form[data-topic]')].some((form) => !form.closest('[inert]')))`)
			if s, err := tab.state(); err != nil || s.Open || usable == "true" {
				t.Errorf("got %+v, %v, and that its buttons are of use is %s: it looks alive", s, err, usable)
			}
		})
	}
}

// TestADownloadThatWasCutOffIsTriedAgain: what the browser has kept of it is not
// used for ever.
func TestADownloadThatWasCutOffIsTriedAgain(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	f := newInterceptor(t, p)
	first := true
	f.setEdit(func(path string, a *reply) {
		if isFile(path, "lockstep.wasm") && first {
			first = false
			a.body = a.body[:len(a.body)-1]
		}
	})
	tab := visit(t, browser, f.url+"/wasm/")
	tab.click("increment")
	tab.showsCount(1)
}

// killable has the worker of a page end when it is told to, store nothing, or
// hear nonsense.
const killable = `(() => {
	let full = false;
	new BroadcastChannel('test').onmessage = ({data}) => {
		if (data === 'leave') for (let i = 0; i < 3; i++) onmessage({data: {leave: true}});
		const nothing = [undefined, null, 1, 'x', [], {}, {connect: 1}, {connect: 'a_b'}, {connect: 'lobby'}, {program: 1}];
		if (data === 'nonsense') for (const data of nothing) onmessage({data, ports: []});
		if (data === 'die') throw new Error('killed');
		full = data === 'full';
	};
	const put = IDBObjectStore.prototype.put;
	IDBObjectStore.prototype.put = function (...args) {
		if (full) throw new DOMException('full', 'QuotaExceededError');
		return put.apply(this, args);
	};
})()`

// tell has something happen in the page's worker.
func (p *page) tell(what string) {
	p.t.Helper()
	p.evaluate(`(() => { const c = new BroadcastChannel('test'); c.postMessage('` + what + `'); c.close(); return ''; })()`)
}

// TestAnApplicationThatEndsIsSaidToHaveEnded: the page does not look alive,
// says why also after further clicks, and counts them when it is loaded again.
func TestAnApplicationThatEndsIsSaidToHaveEnded(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	for _, how := range []string{"leave", "die"} {
		t.Run(how, func(t *testing.T) {
			f := newInterceptor(t, p)
			f.setEdit(prefixed("worker.js", killable))
			tab := troubled(t, browser)
			tab.navigate(f.url + "/wasm/")
			tab.isLive()
			tab.click("increment")
			tab.showsCount(1)
			tab.tell(how)
			tab.explains("The application has stopped.")
			tab.until("to be offline", func(s state) bool { return s.Status == "offline" && !s.Open })
			tab.click("increment")
			tab.click("increment")
			tab.until("to say that clicks wait", func(s state) bool { return s.Waiting && s.Kept == "2" && s.Count == "1" })
			tab.explains("The application has stopped.")
			tab.reload()
			tab.isLive()
			tab.showsCount(3)
		})
	}
}

// TestAFullDiskInTheBrowserCountsLater: the browser has no room left; the page
// says so, keeps the clicks and counts them when there is.
func TestAFullDiskInTheBrowserCountsLater(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	f := newInterceptor(t, p)
	f.setEdit(prefixed("worker.js", killable))
	tab := visit(t, browser, f.url+"/wasm/")
	tab.click("increment")
	tab.showsCount(1)
	tab.tell("full")
	tab.click("increment")
	tab.click("increment")
	tab.until("to say that it is degraded", func(s state) bool {
		return s.Status == "degraded" && s.Waiting && s.Kept == "2"
	})
	tab.tell("empty")
	tab.showsCount(3)
	tab.isLive()
}

// TestTheWorkerIgnoresWhatNoPageSays, and serves on.
func TestTheWorkerIgnoresWhatNoPageSays(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	f := newInterceptor(t, p)
	f.setEdit(prefixed("worker.js", killable))
	tab := visit(t, browser, f.url+"/wasm/")
	for range 3 {
		tab.tell("nonsense")
	}
	tab.click("increment")
	tab.showsCount(1)
}

// TestDataThatIsClearedBeginsAnew: while two tabs are open.
func TestDataThatIsClearedBeginsAnew(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	one, two := visit(t, browser, p.url+"/wasm/"), visit(t, browser, p.url+"/wasm/")
	one.clickFast(5)
	two.showsCount(5)
	one.evaluate(`new Promise((done, fail) => {
		const r = indexedDB.deleteDatabase('lockstep');
		r.onsuccess = () => done('');
		r.onerror = () => fail(r.error);
	})`)
	for _, p := range []*page{one, two} {
		p.showsCount(0)
	}
	two.click("increment")
	for _, p := range []*page{one, two} {
		p.showsCount(1)
	}
}
