package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"lockstep/internal/testserver"
)

func TestTabsInChromiumStayInStep(t *testing.T) {
	t.Parallel()
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
	for _, backend := range allBackends {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			w := newCluster(t, demo(), backend, demo().kinds[0], false)
			w.startReplicas(3)
			stay(t, w.urls())
		})
	}
	t.Run("one process", func(t *testing.T) {
		t.Parallel()
		port := freePorts(t, 4)
		start(t, t.TempDir(), "-addr", address(port), "-replicas", "3")
		stay(t, []string{"http://" + address(port+1), "http://" + address(port+2), "http://" + address(port+3), "http://" + address(port)})
	})
}

func TestATabWhoseReplicaIsKilledMovesToAnother(t *testing.T) {
	t.Parallel()
	ps := startCluster(t, 2, testserver.Redis(t).URL)
	proxy := testserver.NewProxy(t, ps[0].addr(), ps[1].addr())
	browser := newBrowser(t)
	moved, other := visit(t, browser, "http://"+proxy.Addr), visit(t, browser, ps[1].url)
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
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	proxy := testserver.NewProxy(t, p.addr())
	browser := newBrowser(t)
	tab := visit(t, browser, "http://"+proxy.Addr)
	tab.click("increment")
	tab.showsCount(1)
	proxy.Refuse(true)
	tab.until("to say that it is offline", func(s state) bool { return s.Status == "offline" })
	for range 3 {
		tab.click("increment")
	}
	tab.until("to say that clicks wait", func(s state) bool { return s.Waiting })
	proxy.Refuse(false)
	tab.showsCount(4)
	tab.until("to be live", func(s state) bool { return s.Status == "live" })
}

// TestAReloadKeepsUnacknowledgedClicks: the store is frozen, so that clicks
// can't be acknowledged; the tab is reloaded; the clicks are counted once.
func TestAReloadKeepsUnacknowledgedClicks(t *testing.T) {
	t.Parallel()
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

// TestAHiddenTabStaysInStep, also through a restart of its server.
func TestAHiddenTabStaysInStep(t *testing.T) {
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	browser := newBrowser(t)
	with := visit(t, browser, p.url)
	without := newPage(t, browser)
	if _, err := chromedp.Call(without.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	without.do(chromedp.Navigate(p.url))
	if got := without.badge(); got != "As loaded" {
		t.Errorf("without JavaScript the badge says %q, want As loaded", got)
	}
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
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	tab := visit(t, newBrowser(t), p.url)
	tab.do(chromedp.Focus(chromedp.CSS(`[data-action="increment"]`)), chromedp.KeyEvent("\r"), chromedp.KeyEvent(" "), chromedp.KeyEvent("\r"))
	tab.showsCount(3)
}
