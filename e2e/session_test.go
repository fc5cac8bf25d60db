package e2e_test

import (
	"fmt"
	"strconv"
	"testing"

	"lockstep/internal/testserver"
)

// TestAPageWhoseSessionHasEndedIsRenewed: the server comes back, after a while,
// with another key, so that the page's token is worth nothing. The page notices,
// loads itself anew, and the clicks that were made meanwhile count.
func TestAPageWhoseSessionHasEndedIsRenewed(t *testing.T) {
	t.Parallel()
	dir, addr := t.TempDir(), address(testserver.FreePort(t))
	p := start(t, dir, "-addr", addr, "-secret", testSecret)
	chromium := newBrowser(t)
	tab := visit(t, chromium, p.url)
	tab.click("increment")
	tab.showsCount(1)
	p.term()
	for range 3 {
		tab.click("increment")
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
	eventually(t, "the store to have each click once", func() error {
		if s, err := (pageStore{p.url, counters(), "lobby"}).state(t.Context()); err != nil || s.Value != "4" {
			return fmt.Errorf("got %v, %w, want 4", s, err)
		}
		return nil
	})
}
