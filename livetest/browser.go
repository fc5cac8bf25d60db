package livetest

import (
	"net/http/cookiejar"
	"slices"
	"sync"
)

// site is the origin of all pages.
const site = "http://app.test"

// A Browser is one person's: its tabs share cookies, and what waits to be answered outlives each of
// them. Its methods are for the goroutine of the test.
type Browser struct {
	// set once
	c      *Cluster
	script bool
	home   int // the replica that its tabs come to; -1: they take turns
	jar    *cookiejar.Jar

	mu     sync.Mutex // guards the rest, and what its tabs have
	tabs   []*Tab     // that are open
	outbox []*op      // the oldest first
	lanes  map[laneKey]*lane
}

func newBrowser(c *Cluster, script bool) *Browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		c.t.Fatalf("livetest: %v", err) // without options there is none
	}
	return &Browser{c: c, script: script, home: -1, jar: jar, lanes: make(map[laneKey]*lane)}
}

// Open opens a page in a new tab, as the address bar does: path is "/lobby?a=b".
func (b *Browser) Open(path string) *Tab {
	b.c.t.Helper()
	n := b.c.count()
	tab := &Tab{b: b, t: b.c.t, n: n, replica: b.home, changed: make(chan struct{})}
	if tab.replica < 0 {
		tab.replica = (n - 1) % len(b.c.replicas)
	}
	b.mu.Lock()
	b.tabs = append(b.tabs, tab)
	b.mu.Unlock()
	tab.t.Cleanup(tab.Close)
	tab.Go(path)
	return tab
}

// Waiting returns how much of what was done in this browser has no answer yet.
func (b *Browser) Waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.outbox)
}

// forget takes a tab away. The caller holds mu.
func (b *Browser) forget(tab *Tab) {
	b.tabs = slices.DeleteFunc(b.tabs, func(one *Tab) bool { return one == tab })
}

// wake has all tabs look at what waits. The caller holds mu.
func (b *Browser) wake() {
	for _, tab := range b.tabs {
		if tab.page != nil && tab.page.link != nil {
			tab.page.link.wake()
		}
		tab.wake()
	}
}
