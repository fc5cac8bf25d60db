package e2e_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestOnePageOnEachReplicaSideBySide has a person click in the view of one replica, by the
// keyboard, and all views show it.
func TestOnePageOnEachReplicaSideBySide(t *testing.T) {
	t.Parallel()
	port := freePorts(t, 4)
	start(t, t.TempDir(), "-addr", address(port), "-replicas", "3", "-replica", "r", "-store", "mem:")
	chromium := newBrowser(t)
	ann := visit(t, chromium, "http://"+address(port+1)+"/")
	split := newPage(t, chromium)
	split.navigate("http://" + address(port) + "/split")
	ann.saysAround(soonAround, []string{"r-1 this tab 2 tabs", "r-2 1 tab", "r-3 1 tab"})
	split.evaluate(`document.querySelectorAll('iframe')[1].focus(); ''`)
	for _, k := range []key{keyTab, keyTab, keyEnter} { // past −
		split.press(k)
	}
	ann.showsCount(1)
	ann.saysAround(soonAround, []string{"added 1 via r-2"})
	split.fits("the views")
	split.looksRightInBoth("the views")

	small := visit(t, chromium, "http://"+address(port+2)+"/?view=small")
	small.showsCount(1)
	if shown := small.evaluate(`document.body.innerText.replace(/\s+/g, ' ')`); strings.Contains(shown, "Replicas") || !strings.Contains(shown, "served by r-2") {
		t.Errorf("a small view has %q", shown)
	}
	small.size(320, 478)
	if got := small.evaluate(`String(document.documentElement.scrollHeight <= innerHeight)`); got != "true" {
		t.Error("a small view is higher than its frame")
	}
	small.looksRightInBoth("a small view")
}

// TestReplicasBehindAProxyAreShownSideBySide though no browser can ask for one of them.
func TestReplicasBehindAProxyAreShownSideBySide(t *testing.T) {
	t.Parallel()
	w := newCluster(t, demo(), redis, counters(), false)
	w.startReplicas(2)
	p := newPage(t, newBrowser(t))
	p.navigate(w.ps[0].url + "/split?topic=poll:lobby")
	eventually(t, "both views to be live", func() error {
		got := p.evaluate(`[...document.querySelectorAll('iframe')].map((f) => f.contentDocument.querySelector('#status')?.dataset.state).join()`)
		if got != "live,live" {
			return fmt.Errorf("they are %s", got)
		}
		return nil
	})
}
