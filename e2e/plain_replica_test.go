package e2e_test

import (
	"errors"
	"testing"
)

// TestATabWithoutAWebsocketRendersItself: it is in step with others, which render themselves, have
// a socket, or neither; and goes on when its network lets websockets through.
func TestATabWithoutAWebsocketRendersItself(t *testing.T) {
	p, browser := startWasm(t)
	n := newMiddlebox(t, refuses, p.addr())
	direct := visit(t, browser, p.url)
	one, two := visit(t, browser, n.url), visit(t, browser, n.url)
	pages := []*page{direct, one, two}
	click := func(tab *page, total int) {
		t.Helper()
		tab.click("increment")
		everybody(pages, total)
	}
	one.switchOn()
	for i, tab := range []*page{one, two, direct, one} {
		click(tab, i+1)
	}
	// Another that has a socket, and one that has none.
	direct.switchOn()
	two.switchOn()
	for i, tab := range []*page{two, direct, one} {
		click(tab, i+5)
	}
	// Clicks that come together count once each, shown before they are counted.
	for range 20 {
		one.click("increment")
		two.click("increment")
	}
	everybody(pages, 47)
	if !one.overPlainHTTP() || !two.overPlainHTTP() {
		t.Error("a tab has a socket")
	}

	// It is offline for a while.
	p.kill()
	one.isOffline()
	one.click("increment")
	one.shows(48)
	p.restart()
	everybody(pages, 48)

	// A reload renders itself again, over plain HTTP.
	one.reload()
	one.until("to render itself after a reload", func(s state) bool { return s.Renders && s.Status == "live" && s.Open })
	click(one, 49)

	one.switchOff()
	two.switchOff()
	for i, tab := range []*page{one, two, direct} {
		click(tab, i+50)
	}
}

// TestATabThatRendersItselfGoesBackToAWebsocket.
func TestATabThatRendersItselfGoesBackToAWebsocket(t *testing.T) {
	p, browser := startWasm(t)
	n := newMiddlebox(t, refuses, p.addr())
	direct, tab := visit(t, browser, p.url), visit(t, browser, n.url)
	tab.switchOn()
	tab.click("increment")
	everybody([]*page{direct, tab}, 1)
	n.sockets.Store(int32(passes))
	within(t, 2*patience, "the tab to have a socket", func() error {
		if tab.overPlainHTTP() {
			return errors.New("it has none")
		}
		return nil
	})
	tab.until("to render itself still", func(s state) bool { return s.Renders && s.Status == "live" && s.Open })
	tab.click("increment")
	everybody([]*page{direct, tab}, 2)
	direct.click("increment")
	everybody([]*page{direct, tab}, 3)
}
