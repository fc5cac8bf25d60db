package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/internal/history"
	states "lockstep/state"
)

// A group is the tabs of one topic and the record of what they see.
type group struct {
	t    *testing.T
	kind kind
	h    *history.History
	// store is read directly, beside all replicas; nil: what tabs see is
	// compared among them only.
	store reader
	name  string // of the topic
	// overHTTP has the tabs do without websockets.
	overHTTP bool
	requests atomic.Int64 // of these

	mu       sync.Mutex // guards the rest
	tabs     []*client
	socket   string   // of the page, for tabs that have not loaded it; "": nobody has asked
	refusals int      // that the kind allows
	errors   []string // what no tab should be told
}

// A reader knows what the store has.
type reader interface {
	state(ctx context.Context) (history.State, error)
}

// A storeReader reads the state of a topic from a store.
type storeReader struct {
	store states.Store
	kind  kind
	name  string
}

func (r storeReader) state(ctx context.Context) (history.State, error) {
	records, err := r.store.Read(ctx, r.kind.topic(r.name))
	if err != nil {
		return history.State{}, err
	}
	s, err := r.kind.record(records[0])
	if err == nil && r.kind.beside != nil {
		s.Value, err = r.kind.beside(ctx, r.store, r.kind.topic(r.name), records[0])
	}
	return s, err
}

// reads has the group be judged by a store.
func (c *group) reads(s states.Store) { c.store = storeReader{s, c.kind, c.name} }

// newGroup returns a group for the counter of the home page.
func newGroup(t *testing.T) *group { return newGroupOf(t, counters(), false) }

// newGroupOf returns a group for a topic of a kind. lossy: its store may lose what it has
// acknowledged.
func newGroupOf(t *testing.T, k kind, lossy bool) *group {
	h := history.New(history.Options{Kind: k.judge, Base: history.State{Value: k.fresh}, Lossy: lossy})
	return &group{t: t, kind: k, h: h, name: "lobby"}
}

// topic is what the group shows.
func (c *group) topic() string { return c.kind.topic(c.name) }

// path is where its page is.
func (c *group) path() string { return c.kind.path(c.name) }

// open loads the page of the topic and connects its socket to the first of
// bases. The tab lives until the test ends.
func (c *group) open(path string, bases ...string) *client {
	c.t.Helper()
	tab, err := newClient(c, c.nextName(), "", bases)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := tab.load(path); err != nil {
		c.t.Fatal(err)
	}
	c.add(tab)
	return tab
}

// connect opens a tab whose page is loaded already.
func (c *group) connect(bases ...string) *client {
	c.t.Helper()
	tab, err := newClient(c, c.nextName(), c.address(bases[0]), bases)
	if err != nil {
		c.t.Fatal(err)
	}
	c.add(tab)
	return tab
}

// address returns the path of the topic's socket, for a client without a cookie.
func (c *group) address(base string) string {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.socket == "" {
		c.socket = strings.TrimPrefix(socketAt(c.t, base, c.path()), base)
	}
	return c.socket
}

func (c *group) nextName() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strconv.Itoa(len(c.tabs) + 1)
}

func (c *group) add(tab *client) {
	c.mu.Lock()
	c.tabs = append(c.tabs, tab)
	c.mu.Unlock()
	tab.start()
	c.t.Cleanup(tab.close)
}

func (c *group) all() []*client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.tabs)
}

// leave closes a tab for good.
func (c *group) leave(tab *client) {
	tab.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tabs = slices.DeleteFunc(c.tabs, func(o *client) bool { return o == tab })
}

// refused notes a click that the server has refused for good.
func (c *group) refused(reason string) {
	if c.kind.mayRefuse == nil || !c.kind.mayRefuse(reason) {
		c.wrong("a click is refused: " + reason)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refusals++
}

// wrong notes what no tab should be told.
func (c *group) wrong(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errors = append(c.errors, text)
}

// join records that a tab connects, and what the store has before.
func (c *group) join(tab string) {
	if c.store == nil {
		return
	}
	if s, err := c.read(); err == nil {
		c.h.Joined(tab, s)
	}
}

// read returns the store's state.
func (c *group) read() (history.State, error) {
	if c.store == nil {
		return c.all()[0].value(), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	return c.store.state(ctx)
}

// click makes n clicks at a rate in turn in all tabs; each tenth op is sent
// twice. It returns early when ctx ends.
func (c *group) click(ctx context.Context, n, rate int, during func(i int)) {
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for i := range n {
		if during != nil {
			during(i)
		}
		tabs := c.all()
		tabs[i%len(tabs)].click(i%10 == 0)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// connected waits until all tabs have their sockets.
func (c *group) connected() {
	c.t.Helper()
	eventually(c.t, "all tabs to be connected", func() error {
		for _, tab := range c.all() {
			if !tab.connected() {
				return fmt.Errorf("tab %s is not", tab.name)
			}
		}
		return nil
	})
}

// behind says which tab has not seen s or waits for an answer to an op made
// before a time, or nil.
func (c *group) behind(s history.State, before time.Time) error {
	for _, tab := range c.all() {
		if n := tab.pending(before); n > 0 {
			return fmt.Errorf("tab %s waits for %d answers", tab.name, n)
		}
		if !tab.connected() {
			return fmt.Errorf("tab %s is not connected", tab.name)
		}
		if got := tab.value(); s.Newer(got) {
			return fmt.Errorf("tab %s shows %+v, not %+v", tab.name, got, s)
		}
	}
	return nil
}

// shows waits until all tabs show the count n and wait for nothing, and judges all that
// they have seen until then.
func (c *group) shows(n int64) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("all tabs to show %d", n), func() error {
		for _, tab := range c.all() {
			if got := tab.value().Value; got != history.CounterValue(n) {
				return fmt.Errorf("tab %s shows %s", tab.name, got)
			}
		}
		return c.behind(history.State{}, time.Now())
	})
	c.judge()
}

// judge checks the record against the store's state.
func (c *group) judge() {
	c.t.Helper()
	final, err := c.read()
	if err != nil {
		c.t.Fatal(err)
	}
	var names []string
	for _, tab := range c.all() {
		names = append(names, tab.name)
	}
	for _, v := range c.h.Check(final, names...) {
		c.t.Error(v)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.errors) > 0 {
		c.t.Errorf("tabs were told: %q", c.errors)
	}
}
