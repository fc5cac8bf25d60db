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

// release is the version of the application that the page runs.
func (p *page) release() string {
	p.t.Helper()
	return p.evaluate(`String(window.release)`)
}

// update has the browser look for a new version at once, as it does at every
// navigation, and waits for what comes of it: "activated", or "redundant" if
// it could not be kept.
func (p *page) update() string {
	p.t.Helper()
	return p.evaluate(`(async () => {
		const r = await navigator.serviceWorker.ready;
		const found = new Promise((done) => r.addEventListener('updatefound', () => done(r.installing), {once: true}));
		await r.update();
		const worker = await found;
		while (worker.state !== 'activated' && worker.state !== 'redundant') {
			await new Promise((done) => worker.addEventListener('statechange', done, {once: true}));
		}
		return worker.state;
	})()`)
}

// works demands that a page is of a release, and that a click counts.
func (p *page) works(release string, count int) {
	p.t.Helper()
	p.isLive()
	if got := p.release(); got != release {
		p.t.Errorf("the page is of release %s, want %s", got, release)
	}
	p.click("increment")
	p.showsCount(count)
}

// keepsRelease opens a page of a release and waits until the browser has it.
func keepsRelease(t *testing.T, browser context.Context, f *interceptor, release string) *page {
	t.Helper()
	f.setRelease(release)
	p := visit(t, browser, f.url+"/wasm/")
	p.isKept()
	return p
}

// TestANewVersionTakesThePlaceOfTheOldAsAWhole: a page that is open goes on with
// its own; loaded again it is the new one.
func TestANewVersionTakesThePlaceOfTheOldAsAWhole(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	f := newInterceptor(t, p)
	old := keepsRelease(t, browser, f, "one")
	old.works("one", 1)
	f.setRelease("two")
	old.reload() // the browser learns of the new one by this
	old.works("one", 2)
	eventually(t, "the new version to be kept", func() error {
		if n := old.evaluate(`caches.keys().then((names) => String(names.length))`); n != "2" {
			return fmt.Errorf("%s versions", n)
		}
		return nil
	})
	fresh := visit(t, browser, f.url+"/wasm/?name=lobby")
	fresh.works("two", 3)
	old.works("one", 4)
	// What a page needs that was being loaded when the version changed.
	got := old.evaluate(`fetch(document.querySelector('script[data-worker]').src)
		.then((r) => r.status + ' ' + r.headers.get('content-type'))`)
	if !strings.HasPrefix(got, "200 text/javascript") {
		t.Errorf("a file of the old version: got %s", got)
	}
	f.setDown(true)
	fresh.forgetCache()
	old.reload()
	old.works("two", 5)
	fresh.showsCount(5)
	f.setDown(false)
	f.setRelease("three")
	if got := old.update(); got != "activated" {
		t.Errorf("the third version is %s", got)
	}
	if n := old.evaluate(`caches.keys().then((names) => String(names.length))`); n != "2" {
		t.Errorf("%s versions are kept, want the newest two", n)
	}
	old.reload()
	old.works("three", 6)
}

// TestAVersionThatIsNotWholeIsNotKept: the one before goes on.
func TestAVersionThatIsNotWholeIsNotKept(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	notFound := func(name string) func(string, *reply) {
		return func(path string, a *reply) {
			if isFile(path, name) {
				a.status, a.body = http.StatusNotFound, []byte("no")
			}
		}
	}
	for name, edit := range map[string]func(string, *reply){
		"a file is missing": notFound("favicon.svg"),
		"a file is damaged": func(path string, a *reply) {
			if isFile(path, "app.css") {
				a.body = append(a.body, "/**/"...)
			}
		},
		"a page in the place of a file": func(path string, a *reply) {
			if isFile(path, "wasm.js") {
				a.body = []byte("<!doctype html><title>Not here</title>")
				a.header.Set("Content-Type", "text/html")
			}
		},
		"the page of another version": func(path string, a *reply) {
			if path == "/wasm/" {
				a.body = bytes.ReplaceAll(a.body, []byte("/static/wasm."), []byte("/static/wasm.0"))
			}
		},
		"a login page": func(path string, a *reply) {
			if path == "/wasm/" {
				a.body = []byte("<!doctype html><title>Who are you?</title>")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newInterceptor(t, p)
			tab := keepsRelease(t, browser, f, "one")
			f.setRelease("two")
			f.setEdit(edit)
			tab.forgetCache()
			if got := tab.update(); got != "redundant" {
				t.Errorf("the new version is %s, want that it is not kept", got)
			}
			f.setDown(true)
			tab.reload()
			tab.works("one", 1)
			f.setDown(false)
			f.setEdit(nil)
			if got := tab.update(); got != "activated" {
				t.Errorf("the new version is %s, now that it is whole", got)
			}
			f.setDown(true)
			tab.reload()
			tab.works("two", 2)
		})
	}
}

// TestWhatTheBrowserHasThrownAwayIsLoadedAgain: a part of what was kept.
func TestWhatTheBrowserHasThrownAwayIsLoadedAgain(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	throwAway := func(p *page, name string) {
		p.t.Helper()
		p.evaluate(`(async () => {
			for (const key of await caches.keys()) {
				const cache = await caches.open(key);
				for (const r of await cache.keys()) if (r.url.includes('` + name + `')) await cache.delete(r);
			}
			return '';
		})()`)
		p.forgetCache()
	}
	for _, name := range []string{"/wasm/", "lockstep.", "worker.", "app."} {
		t.Run(name, func(t *testing.T) {
			f := newInterceptor(t, p)
			tab := keepsRelease(t, browser, f, "one")
			const files = `caches.keys().then(([name]) => caches.open(name)).then((c) => c.keys()).then((all) => String(all.length))`
			all := tab.evaluate(files)
			throwAway(tab, name)
			tab.reload()
			tab.works("one", 1)
			eventually(t, "everything to be kept again", func() error {
				if got := tab.evaluate(files); got != all {
					return fmt.Errorf("%s files, want %s", got, all)
				}
				return nil
			})
			f.setDown(true)
			tab.forgetCache()
			tab.reload()
			tab.works("one", 2)
			f.setDown(false)
			throwAway(tab, name)
			f.setRelease("two")
			tab.reload()
			tab.works("two", 3)
		})
	}
}

// TestAHardReloadOfflineDoesNoHarm: it goes past all that is kept, and shows
// the browser's page for that; the next load is as ever.
func TestAHardReloadOfflineDoesNoHarm(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	f := newInterceptor(t, p)
	tab := keepsRelease(t, browser, f, "one")
	tab.works("one", 1)
	hard := func() {
		t.Helper()
		yes := true
		if _, err := chromedp.Call(tab.ctx, cdpage.Reload, cdpage.ReloadParams{IgnoreCache: &yes}); err != nil {
			t.Fatal(err)
		}
	}
	tab.evaluate(`window.before = true, ''`)
	hard()
	tab.until("to be loaded again", func(s state) bool {
		return s.Status == "live" && s.Open && tab.evaluate(`String(window.before)`) == "undefined"
	})
	tab.works("one", 2)
	f.setDown(true)
	hard()
	eventually(t, "the page of the browser", func() error {
		if at := tab.evaluate(`location.href + ' ' + document.querySelectorAll('#counter').length`); !strings.HasSuffix(at, " 0") {
			return fmt.Errorf("%s", at)
		}
		return nil
	})
	tab.navigate(f.url + "/wasm/")
	tab.works("one", 3)
}
