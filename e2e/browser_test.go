package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"lockstep/internal/testserver"
)

// newBrowser starts Chromium, without a window on a screen, until the test
// ends. A machine without it skips the test, unless LOCKSTEP_TEST_REQUIRE=1.
func newBrowser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("LOCKSTEP_TEST_REQUIRE") == "1" {
			t.Fatal("chromium is not installed (Debian package chromium)")
		}
		t.Skip("chromium is not installed (Debian package chromium)")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Env("TMPDIR="+shortDir(t)), // it leaves folders there
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true))
	alloc, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(func() { cancel(); stop() })
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("chromium: %v", err)
	}
	return ctx
}

// shortDir returns a folder for the test whose path is short: Chromium puts a
// unix socket there, of at most 107 bytes, and t.TempDir's path has the name
// of the test in it.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e") //nolint:usetesting // too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// A page is one real browser tab, in a window of its own so that it is
// visible.
type page struct {
	t   *testing.T
	ctx context.Context

	read    sync.WaitGroup
	mu      sync.Mutex // guards console
	console []string
}

// newPage opens a tab and watches its console until the test ends.
func newPage(t *testing.T, browser context.Context) *page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser)
	p := &page{t: t, ctx: ctx}
	messages := chromedp.Console(ctx)
	p.read.Go(func() { // ends with ctx
		for m, err := range messages {
			if err != nil {
				return
			}
			p.mu.Lock()
			p.console = append(p.console, fmt.Sprintf("%s: %s", m.Type, m.Text))
			p.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		cancel()
		p.read.Wait()
		p.checkConsole()
		if t.Failed() {
			t.Logf("console: %q", p.console)
		}
	})
	return p
}

// visit opens a page in a new tab and waits until it is live.
func visit(t *testing.T, browser context.Context, url string) *page {
	t.Helper()
	p := newPage(t, browser)
	p.do(chromedp.Navigate(url))
	p.until("to be live", func(s state) bool { return s.Status == "live" && s.Open })
	return p
}

// checkConsole finds violations of the content security policy and scripts
// that failed. A socket that could not connect is not among them: tests kill
// servers.
func (p *page) checkConsole() {
	for _, m := range p.console {
		if strings.Contains(m, "Content Security Policy") || strings.Contains(m, "Refused to") || strings.HasPrefix(m, "exception") || strings.Contains(m, "Uncaught") {
			p.t.Errorf("on the console: %s", m)
		}
	}
}

func (p *page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// click presses a button as a person does.
func (p *page) click(action string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS(`[data-action="` + action + `"]`)))
}

// state is what a person, or a test, sees of a page.
type state struct {
	Count, Epoch, Version               string
	Status, Replica, Notice, Tabs, Kept string
	Waiting                             bool
	Open, Hidden                        bool
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
  Buttons: document.querySelectorAll('[data-action]').length,
})`

func (p *page) state() (s state, err error) {
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	raw, err := chromedp.Run(ctx, chromedp.Evaluate[string](readState))
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

func TestTabsInChromiumStayInStep(t *testing.T) {
	stay := func(t *testing.T, urls []string) {
		browser := newBrowser(t)
		var pages []*page
		for _, url := range urls {
			pages = append(pages, visit(t, browser, url))
		}
		for i, p := range pages {
			p.until("to count the tabs", func(s state) bool { return strings.Contains(s.Tabs, fmt.Sprint(len(urls))) })
			if s, _ := p.state(); s.Replica == "" || s.Buttons != 3 {
				t.Errorf("tab %d names replica %q and has %d buttons", i, s.Replica, s.Buttons)
			}
		}
		parallel(pages, func(p *page) {
			for range 10 {
				p.click("increment")
			}
		})
		for _, p := range pages {
			p.showsCount(10 * len(pages))
		}
		late := visit(t, browser, urls[0])
		late.showsCount(10 * len(pages))
		late.click("decrement")
		for _, p := range pages {
			p.showsCount(10*len(pages) - 1)
		}
		pages[0].click("reset")
		for _, p := range append(pages, late) {
			p.showsCount(0)
		}
	}
	brokers(t, func(t *testing.T, broker string) {
		var urls []string
		for _, p := range startCluster(t, 3, broker) {
			urls = append(urls, p.url)
		}
		stay(t, urls)
	})
	t.Run("one process", func(t *testing.T) {
		port := freePorts(t, 4)
		start(t, t.TempDir(), "-addr", address(port), "-replicas", "3")
		stay(t, []string{"http://" + address(port+1), "http://" + address(port+2), "http://" + address(port+3), "http://" + address(port)})
	})
}

func TestATabWhoseReplicaIsKilledMovesToAnother(t *testing.T) {
	ps := startCluster(t, 2, testserver.Redis(t).URL)
	front := testserver.NewProxy(t, ps[0].addr(), ps[1].addr())
	browser := newBrowser(t)
	moved, other := visit(t, browser, "http://"+front.Addr), visit(t, browser, ps[1].url)
	moved.until("to name its replica", func(s state) bool { return s.Replica == "replica-1" })
	moved.click("increment")
	ps[0].kill()
	for range 3 {
		moved.click("increment")
	}
	moved.until("to be served by the other replica", func(s state) bool { return s.Replica == "replica-2" && s.Status == "live" })
	moved.showsCount(4)
	other.showsCount(4)
}

func TestClicksMadeOfflineAreCountedOnce(t *testing.T) {
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	front := testserver.NewProxy(t, p.addr())
	browser := newBrowser(t)
	tab := visit(t, browser, "http://"+front.Addr)
	tab.click("increment")
	tab.showsCount(1)
	front.Refuse(true)
	tab.until("to say that it is offline", func(s state) bool { return s.Status == "offline" })
	for range 3 {
		tab.click("increment")
	}
	tab.until("to say that clicks wait", func(s state) bool { return s.Waiting })
	front.Refuse(false)
	tab.showsCount(4)
	tab.until("to be live", func(s state) bool { return s.Status == "live" })
}

// TestAReloadKeepsUnacknowledgedClicks: the store is frozen, so that clicks
// can't be acknowledged; the tab is reloaded; the clicks are counted once.
func TestAReloadKeepsUnacknowledgedClicks(t *testing.T) {
	redis := testserver.Redis(t)
	p := startCluster(t, 1, redis.URL)[0]
	browser := newBrowser(t)
	tab := visit(t, browser, p.url)
	tab.click("increment")
	tab.showsCount(1)
	redis.Freeze()
	tab.click("increment")
	tab.click("increment")
	tab.until("to say that clicks wait", func(s state) bool { return s.Waiting })
	tab.do(chromedp.Reload())
	tab.until("to say that it is degraded", func(s state) bool { return s.Status == "degraded" })
	tab.until("to say that clicks wait after the reload", func(s state) bool { return s.Waiting })
	redis.Thaw()
	tab.showsCount(3)
	tab.until("to be live", func(s state) bool { return s.Status == "live" })
}

// hide minimises the window of a page, or shows it again.
func (p *page) hide(yes bool) {
	p.t.Helper()
	c := chromedp.FromContext(p.ctx)
	window, err := cdp.Call(p.ctx, c.Browser, browser.GetWindowForTarget, browser.GetWindowForTargetParams{TargetID: c.Target.TargetID})
	if err != nil {
		p.t.Fatal(err)
	}
	bounds := browser.WindowStateNormal
	if yes {
		bounds = browser.WindowStateMinimized
	}
	_, err = cdp.Call(p.ctx, c.Browser, browser.SetWindowBounds, browser.SetWindowBoundsParams{
		WindowID: window.WindowID, Bounds: &browser.Bounds{WindowState: bounds},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.until(fmt.Sprintf("to be hidden: %v", yes), func(s state) bool { return s.Hidden == yes })
}

// TestAHiddenTabStaysInStep, also through a restart of its server.
func TestAHiddenTabStaysInStep(t *testing.T) {
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	chromium := newBrowser(t)
	tab, hidden := visit(t, chromium, p.url), visit(t, chromium, p.url)
	hidden.hide(true)
	tab.click("increment")
	hidden.showsCount(1)
	if s, err := hidden.state(); err != nil || !s.Hidden || !s.Open {
		t.Errorf("got %+v, %v; want a hidden tab with its socket", s, err)
	}
	p.term()
	p.restart()
	tab.click("increment")
	tab.showsCount(2)
	hidden.showsCount(2)
	hidden.hide(false)
	hidden.until("to be live", func(s state) bool { return s.Status == "live" && s.Open })
}

// TestGoingBackFindsTheCountOfNow: the browser may restore the page as it was
// left, socket closed.
func TestGoingBackFindsTheCountOfNow(t *testing.T) {
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	chromium := newBrowser(t)
	tab, other := visit(t, chromium, p.url), visit(t, chromium, p.url)
	tab.click("increment")
	tab.showsCount(1)
	tab.do(chromedp.Navigate(p.url + "/c/elsewhere"))
	tab.showsCount(0)
	other.click("increment")
	other.showsCount(2)
	tab.do(chromedp.Evaluate[chromedp.Void](`history.back()`))
	tab.showsCount(2)
	tab.until("to be live", func(s state) bool { return s.Status == "live" && s.Open })
	// chromedp does not find its way in a restored page: no real click.
	tab.do(chromedp.Evaluate[chromedp.Void](`document.querySelector('[data-action=increment]').click()`))
	other.showsCount(3)
}

func TestFormsWorkWithoutJavaScript(t *testing.T) {
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	browser := newBrowser(t)
	with := visit(t, browser, p.url)
	without := newPage(t, browser)
	if _, err := chromedp.Call(without.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	without.do(chromedp.Navigate(p.url))
	for i, action := range []string{"increment", "increment", "decrement"} {
		without.click(action)
		with.showsCount([]int{1, 2, 1}[i])
		without.until("to show the count", func(s state) bool { return s.Count == []string{"1", "2", "1"}[i] })
	}
	if s, err := without.state(); err != nil || s.Open {
		t.Errorf("got %+v, %v: a page without JavaScript has no socket", s, err)
	}
}

func TestTheKeyboardIsEnough(t *testing.T) {
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	tab := visit(t, newBrowser(t), p.url)
	tab.do(chromedp.Focus(chromedp.CSS(`[data-action="increment"]`)), chromedp.KeyEvent("\r"), chromedp.KeyEvent(" "), chromedp.KeyEvent("\r"))
	tab.showsCount(3)
}
