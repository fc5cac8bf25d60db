// Package livetest tests an application of package lockstep without a browser, in milliseconds. It
// runs real replicas in this process, over one broker and one store in memory, and opens their
// pages in tabs that do what the scripts of a page do: they connect, show what comes, keep what a
// person does until it is answered, and send it again after a lost connection. What is tested is
// found as people find it, by role and name; and a replica can be killed in the middle of it.
//
//	c := livetest.Start(t, 2, site)
//	ann, bob := c.Replica(0).Open("/"), c.Replica(1).Open("/")
//	ann.Find(livetest.Role("button", "+1")).Click()
//	bob.Sees("1")
//
// Everything also runs in a bubble of testing/synctest. It is no browser: it lays out nothing,
// reads no style sheet and runs no script, so what is hidden is what HTML hides. Values that a
// page's own script shows, previews of entries that wait, and files are not there. Methods that
// wait fail the test when nothing comes; they, and all that act, are for the goroutine of the test.
package livetest

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
	"lockstep/serve"
	"lockstep/state"
	"lockstep/state/memstate"
)

// defaultPatience is Options.Patience where there is none.
const defaultPatience = 10 * time.Second

// A Build makes one replica: it adds the kinds of state to app, passes opts to serve.New, and
// returns the server and the handler of the application's pages, as ListenAndServe takes it. It is
// called again when a replica is started again.
type Build func(app *lockstep.App, opts *serve.Options) (*serve.Server, http.Handler)

// Options of StartWith. Zero values are the defaults.
type Options struct {
	// Driver and Store are what the replicas share. They are not closed. Nil: new ones, in memory.
	Driver driver.Driver
	Store  state.Store
	// App and Serve are those of each replica. The logger of both is the test's log where there is
	// none, and App.Replica and Serve.Keys are always set.
	App   lockstep.Options
	Serve serve.Options
	// Patience is how long a test waits before it fails. Default 10 s: it is the time of a failure
	// alone, and no time at all in a bubble of testing/synctest.
	Patience time.Duration
}

// A Cluster is the replicas of an application. All ends when the test ends.
type Cluster struct {
	// set once
	t        testing.TB
	build    Build
	opts     Options
	replicas []*Replica

	mu     sync.Mutex // guards the rest
	opened int        // tabs
}

// Start starts n replicas of what build makes. What is wrong fails the test.
func Start(t testing.TB, n int, build Build) *Cluster {
	t.Helper()
	return StartWith(t, n, build, nil)
}

// StartWith is Start with options; nil is none.
func StartWith(t testing.TB, n int, build Build, opts *Options) *Cluster {
	t.Helper()
	c := &Cluster{t: t, build: build}
	if opts != nil {
		c.opts = *opts
	}
	c.setDefaults()
	for i := range n {
		r := &Replica{c: c, name: nameOf(i)}
		c.replicas = append(c.replicas, r)
		t.Cleanup(r.Stop)
		r.Start()
	}
	return c
}

// nameOf names a replica with letters alone: pages show it, and tests look for numbers.
func nameOf(i int) string {
	return "replica-" + strings.Repeat("z", i/25) + string(rune('a'+i%25))
}

func (c *Cluster) setDefaults() {
	o := &c.opts
	if o.Driver == nil {
		o.Driver = mempubsub.NewBus()
	}
	if o.Store == nil {
		o.Store = memstate.New(nil)
	}
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	if o.App.Logger == nil {
		o.App.Logger = newLogger(c.t)
	}
	if o.Serve.Logger == nil {
		o.Serve.Logger = o.App.Logger
	}
	if len(o.Serve.Keys) == 0 {
		o.Serve.Keys = [][]byte{[]byte("the key of a test, which all replicas share")}
	}
	o.Serve.PlainSockets = true // a bubble can't see into epoll
}

// Replica returns one of the replicas, from 0 on.
func (c *Cluster) Replica(i int) *Replica {
	c.t.Helper()
	if i < 0 || i >= len(c.replicas) {
		c.t.Fatalf("livetest: there is no replica %d of %d", i, len(c.replicas))
	}
	return c.replicas[i]
}

// Restart stops a replica, if it runs, and starts it again.
func (c *Cluster) Restart(i int) {
	c.t.Helper()
	r := c.Replica(i)
	r.Stop()
	r.Start()
}

// Open opens a page in a browser of its own: it is another person's. Tabs take turns at the
// replicas.
func (c *Cluster) Open(path string) *Tab {
	c.t.Helper()
	return c.Browser().Open(path)
}

// Browser returns a new browser, without cookies.
func (c *Cluster) Browser() *Browser { return newBrowser(c, true) }

// NoScript returns a new browser in which scripts are turned off: forms are sent by HTTP, and
// nothing changes by itself.
func (c *Cluster) NoScript() *Browser { return newBrowser(c, false) }

// count counts a tab, from 1 on.
func (c *Cluster) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened++
	return c.opened
}

// up returns a replica that runs, the first from one on.
func (c *Cluster) up(from int) (int, *run, error) {
	for i := range c.replicas {
		at := (from + i) % len(c.replicas)
		if run := c.replicas[at].current(); run != nil {
			return at, run, nil
		}
	}
	return 0, nil, fmt.Errorf("livetest: none of %d replicas runs", len(c.replicas))
}
