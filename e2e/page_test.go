package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// A tab is what a page needs of its browser.
type tab interface {
	// navigate opens an address, and reload the same again; both wait until
	// the document is loaded.
	navigate(ctx context.Context, url string) error
	reload(ctx context.Context) error
	// evaluate runs a script whose value is a string, or a promise of one.
	evaluate(ctx context.Context, script string) (string, error)
	// click and press do what a person does with the mouse and the keyboard.
	click(ctx context.Context, selector string) error
	press(ctx context.Context, k key) error
	// close ends the tab, and returns what has been written on its console:
	// "level: text".
	close() (console []string)
}

// A key of the keyboard.
type key string

// The keys that a page needs.
const (
	keyTab   key = "Tab"
	keyBack  key = "Shift and Tab"
	keyEnter key = "Enter"
	keySpace key = "Space"
)

// A page is one real browser tab, in a window of its own so that it is
// visible.
type page struct {
	t   testing.TB
	ctx context.Context // the tab's life; in Chromium, what chromedp needs
	tab tab
	// strict: nothing may go wrong on the console, not even a connection. For
	// tests that kill no server.
	strict bool

	end     sync.Once
	console []string // when the page has been closed
}

// pageOf makes a page of a tab, which it closes when the test ends.
func pageOf(ctx context.Context, t testing.TB, tab tab) *page {
	p := &page{t: t, ctx: ctx, tab: tab}
	t.Cleanup(func() {
		outbox := ""
		if t.Failed() && ctx.Err() == nil {
			outbox, _ = p.tab.evaluate(ctx, outboxOf)
		}
		p.close()
		if t.Failed() {
			t.Logf("console: %q, outbox: %s", p.console, outbox)
		}
	})
	return p
}

// outboxOf is all that waits in the browser, and whose pages are open.
const outboxOf = `(async () => {
	const held = (await navigator.locks?.query())?.held.map(({name}) => name);
	return JSON.stringify({held, ops: await ` + readOutbox + `, left: {...localStorage}});
})()`

// close closes the tab, if that has not been done, and judges its console.
func (p *page) close() {
	p.end.Do(func() {
		p.console = p.tab.close()
		p.checkConsole()
	})
}

// visit opens a page in a new tab of Chromium and waits until it is live.
func visit(t testing.TB, browser context.Context, url string) *page {
	t.Helper()
	p := newPage(t, browser)
	p.navigate(url)
	p.isLive()
	return p
}

// isLive waits until the page is live.
func (p *page) isLive() {
	p.t.Helper()
	p.until("to be live", func(s state) bool { return s.Status == "live" && s.Open })
}

// checkConsole finds violations of the content security policy and scripts
// that failed. A socket that could not connect is among them only if the page
// is strict: tests kill servers.
func (p *page) checkConsole() {
	for _, m := range p.console {
		if !p.strict && strings.HasPrefix(m, "exception") && strings.Contains(m, " ws://") {
			continue // Firefox calls a socket that can't connect one
		}
		if strings.Contains(m, "status of 426") {
			continue // the answer to a page that asks why its socket does not connect, as on a busy machine
		}
		if strings.Contains(m, "Content Security Policy") || strings.Contains(m, "Content-Security-Policy") ||
			strings.Contains(m, "Refused to") || strings.Contains(m, "Uncaught") ||
			strings.HasPrefix(m, "exception") || p.strict && strings.HasPrefix(m, "error") {
			p.t.Errorf("on the console: %s", m)
		}
	}
}

// try gives what a tab does its time, and fails the test when it fails.
func (p *page) try(do func(ctx context.Context) error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := do(ctx); err != nil {
		p.t.Fatal(err)
	}
}

func (p *page) navigate(url string) {
	p.t.Helper()
	p.try(func(ctx context.Context) error { return p.tab.navigate(ctx, url) })
}

func (p *page) reload() {
	p.t.Helper()
	p.try(p.tab.reload)
}

// evaluate runs a script whose value is a string, or a promise of one.
func (p *page) evaluate(script string) (value string) {
	p.t.Helper()
	p.try(func(ctx context.Context) (err error) {
		value, err = p.tab.evaluate(ctx, script)
		return err
	})
	return value
}

// click presses a button as a person does, who is asked before a reset and says yes.
func (p *page) click(action string) {
	p.t.Helper()
	if action == "reset" {
		p.clickOn(".asker")
		p.isArmed()
	}
	p.clickOn(`[data-action="` + action + `"]`)
}

// isArmed waits until a press answers the question before a reset: at once it may be half a double
// click.
func (p *page) isArmed() {
	p.t.Helper()
	eventually(p.t, "the question to take an answer", func() error {
		if got := p.evaluate(`getComputedStyle(document.querySelector('[data-action=reset]')).pointerEvents`); got != "auto" {
			return fmt.Errorf("pointer-events is %s", got)
		}
		return nil
	})
}

// clickOn clicks on an element as a person does.
func (p *page) clickOn(selector string) {
	p.t.Helper()
	p.try(func(ctx context.Context) error { return p.tab.click(ctx, selector) })
}

// press presses a key as a person does.
func (p *page) press(k key) {
	p.t.Helper()
	p.try(func(ctx context.Context) error { return p.tab.press(ctx, k) })
}

// state is what a person, or a test, sees of a page.
type state struct {
	Count, Epoch, Version               string
	Status, Replica, Notice, Tabs, Kept string
	Waiting                             bool
	Open, Hidden, Renders               bool
	Buttons                             int
}

const readState = `JSON.stringify({
  Count: document.querySelector('#counter')?.dataset.count ?? '',
  Epoch: document.querySelector('#counter')?.dataset.epoch ?? '',
  Version: document.querySelector('#counter')?.dataset.version ?? '',
  Kept: document.querySelector('#waiting')?.dataset.n ?? '',
  Status: document.querySelector('#status')?.dataset.state ?? '',
  Replica: document.querySelector('#replica')?.textContent.trim() ?? '',
  Notice: document.querySelector('#notice')?.textContent.trim() ?? '',
  Tabs: document.querySelector('#tabs')?.textContent.trim() ?? '',
  Waiting: document.querySelector('#waiting') ? !document.querySelector('#waiting').hidden : false,
  Open: document.querySelector('[hx-ws\\:connect]')?._htmx?.ws?.connection?.socket?.readyState === 1,
  Hidden: document.hidden,
  Renders: document.querySelector('#renderer[aria-checked=true]:not([aria-busy])') !== null,
  Buttons: document.querySelectorAll('[data-action]').length,
})`

func (p *page) state() (s state, err error) {
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	raw, err := p.tab.evaluate(ctx, readState)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal([]byte(raw), &s)
}

// until waits until the page is as cond wants it.
func (p *page) until(what string, cond func(state) bool) {
	p.t.Helper()
	eventually(p.t, "the page "+what, func() error {
		s, err := p.state()
		if err != nil {
			return err
		}
		if !cond(s) {
			return fmt.Errorf("it is %+v", s)
		}
		return nil
	})
}

// badge is what a person reads on it.
func (p *page) badge() string {
	p.t.Helper()
	return p.evaluate(`document.querySelector('#status').innerText.trim()`)
}

func (p *page) showsCount(n int) {
	p.t.Helper()
	p.until(fmt.Sprintf("to show %d with nothing waiting", n), func(s state) bool { return s.Count == fmt.Sprint(n) && !s.Waiting })
}

// parallel runs f for each page at the same time.
func parallel(pages []*page, f func(p *page)) {
	var wg sync.WaitGroup
	for _, p := range pages {
		wg.Go(func() { f(p) })
	}
	wg.Wait()
}
