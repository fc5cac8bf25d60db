package e2e_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"lockstep/internal/testserver"
)

// TestClicksOfASessionThatIsGoneAreSaid: their page was closed, and the browser has no cookie of
// theirs any more. Nobody can tell whether it is the same person: they are not sent, and it is said
// how many they are, until somebody has read it.
func TestClicksOfASessionThatIsGoneAreSaid(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	proxy := testserver.NewProxy(t, p.addr())
	browser := newBrowser(t)
	first, tab := visit(t, browser, p.url+"/c/other"), visit(t, browser, "http://"+proxy.Addr)
	proxy.Refuse(true)
	tab.isOffline()
	for range 3 {
		tab.click("increment")
	}
	tab.saysOfWaiting("3 clicks waiting, kept in this browser")
	tab.close()
	if _, err := chromedp.Call(first.ctx, network.ClearBrowserCookies, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	proxy.Refuse(false)
	late := visit(t, browser, "http://"+proxy.Addr)
	strange := func() string {
		return late.evaluate(`(({ hidden, innerText }) => hidden ? '' : innerText.trim())(document.getElementById('strange'))`)
	}
	const want = "3 clicks wait in this browser and are not sent from here: they are for other pages, or somebody else made them. OK"
	eventually(t, "the page to say what waits", func() error {
		if got := strange(); got != want {
			return fmt.Errorf("it says %q", got)
		}
		return nil
	})
	late.click("increment")
	late.showsCount(1)
	if got := strange(); got != want {
		t.Errorf("after another click the page says %q", got)
	}
	late.clickOn("#strange button")
	if got := strange(); got != "" {
		t.Errorf("the person has read it, and the page says %q", got)
	}
	eventually(t, "the browser to know that", func() error {
		if all := late.evaluate(readOutbox); strings.Count(all, `"told":true`) != 3 {
			return fmt.Errorf("it has %s", all)
		}
		return nil
	})
	late.reload()
	late.isLive()
	late.evaluate(`new Promise((done) => setTimeout(() => done(''), 4000))`)
	if got := strange(); got != "" {
		t.Errorf("it is said again: %q", got)
	}
}

// TestAPageWhoseSessionHasEndedIsRenewed: the server comes back, after a while,
// with another key, so that the page's token is worth nothing. The page notices,
// loads itself anew, and the clicks that were made meanwhile count. So do those of
// a page of another topic, whether or not it comes back first.
func TestAPageWhoseSessionHasEndedIsRenewed(t *testing.T) {
	t.Parallel()
	dir, addr := t.TempDir(), address(testserver.FreePort(t))
	p := start(t, dir, "-addr", addr, "-secret", testSecret)
	chromium := newBrowser(t)
	tab := visit(t, chromium, p.url)
	tab.click("increment")
	tab.showsCount(1)
	other := visit(t, chromium, p.url+"/c/other")
	p.term()
	for range 3 {
		tab.click("increment")
		other.click("increment")
	}
	eventually(t, "the page to have tried in vain several times", func() error {
		n, err := strconv.Atoi(tab.evaluate(`String(document.querySelector('main')._htmx.ws.connection.attempt)`))
		if err == nil && n < 5 {
			err = fmt.Errorf("%d attempts", n)
		}
		return err
	})
	p.args = []string{"-addr", addr, "-secret", "another-secret-of-tests-that-is-long-enough"}
	p.restart()
	tab.isLive()
	tab.showsCount(4)
	other.isLive()
	other.showsCount(3)
	tab.outboxIsEmpty()
	eventually(t, "the store to have each click once", func() error {
		if s, err := (pageStore{p.url, counters(), "lobby"}).state(t.Context()); err != nil || s.Value != "4" {
			return fmt.Errorf("got %v, %w, want 4", s, err)
		}
		return nil
	})
}
