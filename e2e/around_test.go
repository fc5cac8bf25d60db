package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// aroundOf is what a page says of replicas, people and acts; and its title, and whether its icon is
// a picture of its own.
const aroundOf = `['#replicas', '#visitors', '#acts'].map((s) => document.querySelector(s).innerText.replace(/\s+/g, ' ').trim())
	.concat(document.title, document.querySelector('link[rel=icon]').href.slice(0, 14)).join(' | ')`

// saysAround waits until a page says something beside what it is about, and something not.
func (p *page) saysAround(patience time.Duration, want []string, not ...string) {
	p.t.Helper()
	within(p.t, patience, fmt.Sprintf("the page to say %q", want), func() error {
		got := p.evaluate(aroundOf)
		for _, text := range want {
			if !strings.Contains(got, text) {
				return fmt.Errorf("it says %q", got)
			}
		}
		for _, text := range not {
			if strings.Contains(got, text) {
				return fmt.Errorf("it says %q in %q", text, got)
			}
		}
		return nil
	})
}

// Times that people were promised: of who comes and leaves, and of those of a killed replica. Those
// that are waited for are longer: the machine may be busy.
const (
	soonAround = 20 * time.Second
	killedGone = 30 * time.Second
)

// TestAStrangerSeesWhatHappens: which replica serves whom, who is here, what they do, that a
// replica was killed, and that it is back.
func TestAStrangerSeesWhatHappens(t *testing.T) {
	t.Parallel()
	w := newCluster(t, demo(), redis, counters(), false)
	w.startReplicas(3)
	chromium := newBrowser(t)
	var tabs []*page
	for _, url := range w.urls() {
		p := newPage(t, chromium, chromedp.WithNewBrowserContext()) // each another person
		p.navigate(url)
		p.isLive()
		tabs = append(tabs, p)
	}
	all := []string{"replica-1", "replica-2", "replica-3", "3 people"}
	for i, p := range tabs {
		p.saysAround(soonAround, append(all, fmt.Sprintf("replica-%d this tab 1 tab", i+1)), "gone")
	}
	tabs[1].click("increment")
	for _, p := range tabs {
		p.saysAround(soonAround, []string{"added 1 via replica-2", "1 · lobby · Lockstep", "data:image/svg"})
	}
	const whose = `getComputedStyle(document.querySelector('#acts b'), '::after').content`
	if own, others := tabs[1].evaluate(whose), tabs[0].evaluate(whose); own != `" (you)"` || others == own {
		t.Errorf("whose click it was is marked %s for them, and %s for others", own, others)
	}

	w.ps[1].kill()
	for _, p := range []*page{tabs[0], tabs[2]} {
		p.saysAround(killedGone, []string{"replica-2 gone", "2 people", "added 1 via replica-2"}, "⚠")
	}
	tabs[1].saysAround(soonAround, []string{"⚠ 1 · lobby"})
	if text := tabs[1].evaluate(`document.querySelector('.explain[data-for=offline]').innerText`); !strings.Contains(text, "In step until ") {
		t.Errorf("a tab that is not in step says %q, and not since when", text)
	}

	w.ps[1].restart()
	for i, p := range tabs {
		p.isLive()
		p.saysAround(soonAround, append(all, fmt.Sprintf("replica-%d this tab 1 tab", i+1)), "gone", "⚠")
	}
	tabs[0].looksRightInBoth("a page and what is around it")
}

// TestWhoPrefersLessIsShownLess, also after a reload.
func TestWhoPrefersLessIsShownLess(t *testing.T) {
	t.Parallel()
	w := newCluster(t, demo(), embedded, counters(), false)
	w.startReplicas(1)
	p := visit(t, newBrowser(t), w.ps[0].url)
	const shown = `String(document.querySelector('#acts').checkVisibility())`
	if p.evaluate(shown) != "true" {
		t.Error("what was done lately is not shown")
	}
	p.clickOn("#quiet")
	p.reload()
	p.isLive()
	if p.evaluate(shown) != "false" {
		t.Error("after a reload it is shown again")
	}

	p.clickOn("[popovertarget=share]")
	within(t, soonAround, "a picture of the address", func() error {
		if n := p.evaluate(`String(document.querySelector('#share img').naturalWidth)`); n == "0" {
			return fmt.Errorf("it is not there")
		}
		return nil
	})
	if got := p.evaluate(`document.querySelector('#share-link').innerText`); got != w.ps[0].url+"/" {
		t.Errorf("the page is shared as %q, want %q", got, w.ps[0].url+"/")
	}
}
