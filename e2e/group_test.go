package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/counter"
	"lockstep/internal/history"
)

// A group is the tabs of one counter and the record of what they see.
type group struct {
	t *testing.T
	h *history.History
	// store is read directly, beside all replicas; nil: what tabs see is
	// compared among them only.
	store reader
	name  string // of the counter
	// overHTTP has the tabs do without websockets.
	overHTTP bool
	requests atomic.Int64 // of these

	mu     sync.Mutex // guards the rest
	tabs   []*client
	errors []string // refusals that are final
}

// A reader is what a group needs of a counter.Store.
type reader interface {
	Get(ctx context.Context, names ...string) ([]counter.Value, error)
}

// newGroup returns a group for the counter of the home page.
func newGroup(t *testing.T) *group {
	return &group{t: t, h: history.New(history.Options{}), name: "lobby"}
}

// open loads the page of the counter and connects its socket to the first of
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
	tab, err := newClient(c, c.nextName(), "/ws/c/"+c.name, bases)
	if err != nil {
		c.t.Fatal(err)
	}
	c.add(tab)
	return tab
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
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errors = append(c.errors, reason)
}

// join records that a tab connects, and what the store has before.
func (c *group) join(tab string) {
	if c.store == nil {
		return
	}
	if v, err := c.read(); err == nil {
		c.h.Joined(tab, v)
	}
}

// read returns the store's value.
func (c *group) read() (counter.Value, error) {
	if c.store == nil {
		return c.all()[0].value(), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	vs, err := c.store.Get(ctx, c.name)
	if err != nil {
		return counter.Value{}, err
	}
	return vs[0], nil
}

// opSerial makes the ops of this run distinct.
var opSerial atomic.Int64

func newOp() string {
	return fmt.Sprintf("e2e-%d-%d-xxxxxxxxxx", time.Now().UnixNano(), opSerial.Add(1))
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

// behind says which tab has not seen v or waits for an answer to an op made
// before a time, or nil.
func (c *group) behind(v counter.Value, before time.Time) error {
	for _, tab := range c.all() {
		if n := tab.pending(before); n > 0 {
			return fmt.Errorf("tab %s waits for %d acknowledgements", tab.name, n)
		}
		if !tab.connected() {
			return fmt.Errorf("tab %s is not connected", tab.name)
		}
		if got := tab.value(); v.Newer(got) {
			return fmt.Errorf("tab %s shows %+v, not %+v", tab.name, got, v)
		}
	}
	return nil
}

// shows waits until all tabs show n and wait for nothing, and judges all that
// they have seen until then.
func (c *group) shows(n int64) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("all tabs to show %d", n), func() error {
		for _, tab := range c.all() {
			if got := tab.value().N; got != n {
				return fmt.Errorf("tab %s shows %d", tab.name, got)
			}
		}
		return c.behind(counter.Value{}, time.Now())
	})
	c.judge()
}

// judge checks the record against the store's value.
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
		c.t.Errorf("clicks were refused: %q", c.errors)
	}
}
