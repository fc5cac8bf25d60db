package e2e_test

import (
	"fmt"
	"strconv"
	"testing"

	"lockstep/internal/testserver"
)

// mostShift is how much of a page may move by itself, from its load on: the cumulative layout
// shift, https://web.dev/articles/cls. Above 0.1 it is a poor page.
const mostShift = 0.02

// watchShifts has a page add up what moves in it, also right after a click, which browsers leave
// out of the sum.
const watchShifts = `const at = ({ x, y, width, height }) => [x, y, width, height].join(' ');
window.shifted = 0;
window.shifts = [];
new PerformanceObserver((list) => list.getEntries().forEach((e) => {
  shifted += e.value;
  shifts.push(e.value + ' ' + e.sources.map((s) => (s.node?.id || s.node?.className || s.node?.nodeName) +
    ' from ' + at(s.previousRect) + ' to ' + at(s.currentRect)).join());
})).observe({ type: 'layout-shift', buffered: true });`

// hardlyMoved judges what has moved so far, once it is drawn.
func (p *page) hardlyMoved(what string) {
	p.t.Helper()
	p.evaluate(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(''), 100))))`)
	got, err := strconv.ParseFloat(p.evaluate(`String(shifted)`), 64)
	if err != nil {
		p.t.Fatal(err)
	}
	if got > mostShift {
		p.t.Errorf("%s: got a layout shift of %.3f: %s", what, got, p.evaluate(`shifts.join('; ')`))
	}
}

// hasDeeds waits until the gallery says that people have done so many things.
func (p *page) hasDeeds(n int) {
	p.t.Helper()
	eventually(p.t, "the gallery to tell of what was done", func() error {
		if got := p.evaluate(`document.querySelectorAll('#live .ls-feed > li').length + ''`); got != strconv.Itoa(n) {
			return fmt.Errorf("it tells of %s deeds, want %d", got, n)
		}
		return nil
	})
}

// hasMessage waits until the gallery shows what somebody has said.
func (p *page) hasMessage(text string) {
	p.t.Helper()
	eventually(p.t, "the gallery to show a message", func() error {
		if got := p.evaluate(`document.querySelector('#live .ls-message p')?.textContent ?? ''`); got != text {
			return fmt.Errorf("it shows %q", got)
		}
		return nil
	})
}

// TestPagesHardlyMove while they load, when somebody clicks, and when somebody else does.
func TestPagesHardlyMove(t *testing.T) {
	t.Parallel()
	chromium := newBrowser(t)
	for _, window := range [][2]int64{{390, 844}, {1440, 900}} {
		server := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)), "-store", "mem:")
		open := func(path string) *page {
			p := newPage(t, chromium)
			p.size(window[0], window[1])
			p.beforeScripts(watchShifts)
			p.navigate(server.url + path)
			p.isLive()
			p.hardlyMoved(path + " while it loads")
			return p
		}
		ann, bob := open("/"), open("/")
		for n := range 10 { // of two digits, in the end
			ann.click("increment")
			bob.showsCount(n + 1)
		}
		ann.hardlyMoved("the counter after clicks")
		bob.hardlyMoved("the counter after clicks of somebody else")
		gallery, other := open("/gallery"), open("/gallery")
		for i, button := range []string{"click", "click", "vote"} {
			gallery.clickOn("#live form[action*='do=" + button + "'] button")
			other.hasDeeds(i + 1)
		}
		gallery.fillsIn(newText, "hello")
		other.hasMessage("hello")
		gallery.hardlyMoved("the gallery after clicks")
		other.hardlyMoved("the gallery after clicks of somebody else")
		gallery.evaluate(`scrollTo(0, document.body.scrollHeight), ''`)
		gallery.hardlyMoved("the gallery at its end")
		for _, p := range []*page{ann, bob, gallery, other} {
			p.close()
		}
	}
}
