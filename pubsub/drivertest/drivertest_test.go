package drivertest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
)

// A defect is a driver that is wrong in one way: each field that is set takes
// the place of one call.
type defect struct {
	driver.Driver
	open        func(ctx context.Context, d driver.Driver) (driver.Conn, error)
	publish     func(ctx context.Context, c *conn, topic string, payload []byte) error
	subscribe   func(ctx context.Context, c *conn, topic string) error
	unsubscribe func(ctx context.Context, c *conn, topic string) error
	receive     func(ctx context.Context, c *conn) (driver.Message, error)
	close       func(c *conn) error
	nameless    bool

	mu    *sync.Mutex // guards the rest; nil: not in use yet
	conns *[]*conn
}

// Name implements driver.Driver.
func (d *defect) Name() string {
	if d.nameless {
		return ""
	}
	return d.Driver.Name()
}

// everyConn calls f with each connection that was ever opened.
func (d *defect) everyConn(f func(*conn) error) (last error) {
	d.mu.Lock()
	conns := slices.Clone(*d.conns)
	d.mu.Unlock()
	for _, c := range conns {
		last = f(c)
	}
	return last
}

func (d *defect) Open(ctx context.Context) (driver.Conn, error) {
	open := d.Driver.Open
	if d.open != nil {
		open = func(ctx context.Context) (driver.Conn, error) { return d.open(ctx, d.Driver) }
	}
	c, err := open(ctx)
	if err != nil {
		return nil, err
	}
	made := &conn{Conn: c, defect: d, ended: make(chan struct{}), topics: make(map[string]int)}
	d.mu.Lock()
	defer d.mu.Unlock()
	*d.conns = append(*d.conns, made)
	return made, nil
}

// conn is a connection of a defect.
type conn struct {
	driver.Conn
	defect *defect
	ended  chan struct{} // closed by the first Close

	mu        sync.Mutex     // guards the rest
	published int            // calls of Publish
	topics    map[string]int // how often subscribed
	held      []driver.Message
	closed    int  // calls of Close
	cancelled bool // the last Receive
}

func (c *conn) Publish(ctx context.Context, topic string, payload []byte) error {
	c.mu.Lock()
	c.published++
	c.mu.Unlock()
	if c.defect.publish != nil {
		return c.defect.publish(ctx, c, topic, payload)
	}
	return c.Conn.Publish(ctx, topic, payload)
}

func (c *conn) Subscribe(ctx context.Context, topic string) error {
	c.mu.Lock()
	c.topics[topic]++
	c.mu.Unlock()
	if c.defect.subscribe != nil {
		return c.defect.subscribe(ctx, c, topic)
	}
	return c.Conn.Subscribe(ctx, topic)
}

func (c *conn) Unsubscribe(ctx context.Context, topic string) error {
	if c.defect.unsubscribe != nil {
		return c.defect.unsubscribe(ctx, c, topic)
	}
	return c.Conn.Unsubscribe(ctx, topic)
}

func (c *conn) Receive(ctx context.Context) (driver.Message, error) {
	if c.defect.receive != nil {
		return c.defect.receive(ctx, c)
	}
	return c.Conn.Receive(ctx)
}

func (c *conn) Close() error {
	c.mu.Lock()
	c.closed++
	if c.closed == 1 {
		close(c.ended)
	}
	c.mu.Unlock()
	if c.defect.close != nil {
		return c.defect.close(c)
	}
	return c.Conn.Close()
}

// subscribed returns how often topic was subscribed, or with "" any.
func (c *conn) subscribed(topic string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if topic == "" {
		return len(c.topics)
	}
	return c.topics[topic]
}

// hundredth reports whether this is every 100th call of Publish.
func (c *conn) hundredth() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.published%100 == 0
}

// allDefects are the drivers of which the suite must find each one wrong.
func allDefects() map[string]defect {
	all := defects()
	maps.Copy(all, moreDefects())
	return all
}

func defects() map[string]defect {
	return map[string]defect{
		"drops every 100th message":     {publish: drop},
		"delivers every 100th twice":    {publish: twice},
		"swaps two neighbours":          {publish: swap},
		"joins equal neighbours":        {publish: join},
		"cuts a payload at NUL":         payloads(func(s string) string { s, _, _ = strings.Cut(s, "\x00"); return s }),
		"cuts a payload at 4000 bytes":  payloads(func(s string) string { return s[:min(len(s), 4000)] }),
		"cuts a payload at 64000 bytes": payloads(func(s string) string { return s[:min(len(s), 64000)] }),
		"changes bytes beyond UTF-8":    payloads(func(s string) string { return string([]rune(s)) }),
		"does not send empty payloads":  {publish: skipEmpty},
		"keeps the caller's payload":    {publish: borrow},
		"delivers all topics":           {publish: everywhere},
		"folds the case of topics":      topics(strings.ToLower),
		"trims topics":                  topics(strings.TrimSpace),
		"cuts topics at 63 bytes":       topics(func(s string) string { return s[:min(len(s), 63)] }),
		"unescapes topics":              topics(func(s string) string { return strings.ReplaceAll(s, "%62", "") }),
		"takes dots for slashes":        topics(func(s string) string { return strings.ReplaceAll(s, ".", "/") }),
		"ignores Unsubscribe":           {unsubscribe: func(context.Context, *conn, string) error { return nil }},
		"unsubscribes everywhere":       {unsubscribe: unsubscribeAll},
		"refuses unknown Unsubscribe":   {unsubscribe: refuseUnknown},
		"subscribes after it returned":  {subscribe: late},
		"delivers once per Subscribe":   {receive: perSubscription},
		"has no patience for nothing":   {receive: impatientForNothing},
		"loses what it had on cancel":   {receive: loseOnCancel},
		"ignores its context": {receive: func(ctx context.Context, c *conn) (driver.Message, error) {
			return c.Conn.Receive(context.WithoutCancel(ctx))
		}},
		"publishes after the context": {publish: func(ctx context.Context, c *conn, t string, p []byte) error {
			return c.Conn.Publish(context.WithoutCancel(ctx), t, p)
		}},
		"opens after the context": {open: func(ctx context.Context, d driver.Driver) (driver.Conn, error) {
			return d.Open(context.WithoutCancel(ctx))
		}},
		"does not close":         {close: notAtFirst},
		"closes after a while":   {close: func(c *conn) error { time.Sleep(prompt + time.Second); return c.Conn.Close() }},
		"publishes until late":   {publish: untilLate},
		"fails the second Close": {close: failSecond},
		"hears only itself":      {open: func(ctx context.Context, _ driver.Driver) (driver.Conn, error) { return mempubsub.NewBus().Open(ctx) }},
	}
}

func drop(ctx context.Context, c *conn, topic string, payload []byte) error {
	if c.hundredth() {
		return nil
	}
	return c.Conn.Publish(ctx, topic, payload)
}

func twice(ctx context.Context, c *conn, topic string, payload []byte) error {
	if c.hundredth() {
		_ = c.Conn.Publish(ctx, topic, payload) // the second one counts
	}
	return c.Conn.Publish(ctx, topic, payload)
}

// swap holds every 100th message back until the next one has gone.
func swap(ctx context.Context, c *conn, topic string, payload []byte) error {
	if c.hundredth() {
		c.hold(topic, payload)
		return nil
	}
	err := c.Conn.Publish(ctx, topic, payload)
	for _, m := range c.release() {
		err = c.Conn.Publish(ctx, m.Topic, m.Payload)
	}
	return err
}

func (c *conn) hold(topic string, payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = append(c.held, driver.Message{Topic: topic, Payload: append([]byte{}, payload...)})
}

func (c *conn) release() []driver.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	held := c.held
	c.held = nil
	return held
}

// join leaves out a message that is equal to the one before.
func join(ctx context.Context, c *conn, topic string, payload []byte) error {
	before := c.release()
	c.hold(topic, payload)
	if len(before) > 0 && before[0].Topic == topic && string(before[0].Payload) == string(payload) {
		return nil
	}
	return c.Conn.Publish(ctx, topic, payload)
}

func skipEmpty(ctx context.Context, c *conn, topic string, payload []byte) error {
	if len(payload) == 0 {
		return nil
	}
	return c.Conn.Publish(ctx, topic, payload)
}

// borrow sends the payload of the call before in the place of its own copy.
func borrow(ctx context.Context, c *conn, topic string, payload []byte) error {
	c.mu.Lock()
	before := c.held
	c.held = []driver.Message{{Payload: payload}}
	c.mu.Unlock()
	if len(before) > 0 {
		payload = before[0].Payload
	}
	return c.Conn.Publish(ctx, topic, payload)
}

// everywhere sends to a second topic, too.
func everywhere(ctx context.Context, c *conn, topic string, payload []byte) error {
	if prefix, other := strings.CutSuffix(topic, "other"); other {
		_ = c.Conn.Publish(ctx, prefix+"marker", payload) // the second one counts
	}
	return c.Conn.Publish(ctx, topic, payload)
}

func payloads(change func(string) string) defect {
	return defect{publish: func(ctx context.Context, c *conn, topic string, payload []byte) error {
		return c.Conn.Publish(ctx, topic, []byte(change(string(payload))))
	}}
}

// topics folds topics at the broker, and gives back the subscriber's own.
func topics(change func(string) string) defect {
	return defect{
		publish: func(ctx context.Context, c *conn, topic string, payload []byte) error {
			return c.Conn.Publish(ctx, "."+change(topic), payload)
		},
		subscribe: func(ctx context.Context, c *conn, topic string) error {
			c.hold(topic, nil)
			return c.Conn.Subscribe(ctx, "."+change(topic))
		},
		unsubscribe: func(ctx context.Context, c *conn, topic string) error {
			return c.Conn.Unsubscribe(ctx, "."+change(topic))
		},
		receive: func(ctx context.Context, c *conn) (driver.Message, error) {
			m, err := c.Conn.Receive(ctx)
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, h := range c.held {
				if "."+change(h.Topic) == m.Topic {
					m.Topic = h.Topic
					break
				}
			}
			return m, err
		},
	}
}

func unsubscribeAll(ctx context.Context, c *conn, topic string) error {
	c.mu.Lock()
	all := slices.Collect(maps.Keys(c.topics))
	c.mu.Unlock()
	for _, t := range all {
		_ = c.Conn.Unsubscribe(ctx, t) // the last one counts
	}
	return c.Conn.Unsubscribe(ctx, topic)
}

func refuseUnknown(ctx context.Context, c *conn, topic string) error {
	if c.subscribed(topic) == 0 {
		return driver.ErrClosed
	}
	return c.Conn.Unsubscribe(ctx, topic)
}

func late(ctx context.Context, c *conn, topic string) error {
	go func() { _ = c.Conn.Subscribe(context.WithoutCancel(ctx), topic) }() // nobody waits for it: that is the defect
	return ctx.Err()
}

func perSubscription(ctx context.Context, c *conn) (driver.Message, error) {
	if held := c.release(); len(held) > 0 {
		return held[0], nil
	}
	m, err := c.Conn.Receive(ctx)
	if err == nil && c.subscribed(m.Topic) == 2 {
		c.hold(m.Topic, m.Payload)
	}
	return m, err
}

func impatientForNothing(ctx context.Context, c *conn) (driver.Message, error) {
	if c.subscribed("") == 0 {
		return driver.Message{}, driver.ErrClosed
	}
	return c.Conn.Receive(ctx)
}

// loseOnCancel loses the message that comes next after a cancelled call, as
// one does that leaves a goroutine behind which receives it.
func loseOnCancel(ctx context.Context, c *conn) (driver.Message, error) {
	m, err := c.Conn.Receive(ctx)
	c.mu.Lock()
	lose := c.cancelled && err == nil
	c.cancelled = err != nil
	c.mu.Unlock()
	if lose {
		return c.Conn.Receive(ctx)
	}
	return m, err
}

// notAtFirst leaves it to the second Close, by which the suite cleans up.
func notAtFirst(c *conn) error {
	c.mu.Lock()
	first := c.closed == 1
	c.mu.Unlock()
	if first {
		return nil
	}
	return c.Conn.Close()
}

// untilLate waits for its context when the connection is closed.
func untilLate(ctx context.Context, c *conn, topic string, payload []byte) error {
	err := c.Conn.Publish(ctx, topic, payload)
	if errors.Is(err, driver.ErrClosed) {
		<-ctx.Done()
	}
	return err
}

func failSecond(c *conn) error {
	err := c.Conn.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed > 1 {
		return driver.ErrClosed
	}
	return err
}

// failures returns the cases that d fails. It runs in a bubble, where giving
// up takes no time.
func failures(t *testing.T, wrap func(*mempubsub.Bus) driver.Driver) []string {
	h := Harness{Driver: func(testing.TB) driver.Driver { return wrap(mempubsub.NewBus()) }}
	return failuresOf(t, h, cases())
}

// of returns the defect as a driver over b.
func (d defect) of(b *mempubsub.Bus) driver.Driver {
	d.Driver, d.mu, d.conns = b, new(sync.Mutex), new([]*conn)
	return &d
}

func TestTheSuitePassesADriverWithoutDefect(t *testing.T) {
	if failed := failures(t, func(b *mempubsub.Bus) driver.Driver { return defect{}.of(b) }); len(failed) != 0 {
		t.Errorf("failed: %q", failed)
	}
}

func TestTheSuiteWantsNothingToRunOn(t *testing.T) {
	h := Harness{Driver: func(t testing.TB) driver.Driver {
		last := make(chan struct{})
		t.Cleanup(func() { close(last) })
		return defect{close: func(c *conn) error {
			go func() { <-last }() // the defect
			return c.Conn.Close()
		}}.of(mempubsub.NewBus())
	}}
	if got := failuresOf(t, h, cases()); !slices.Equal(got, []string{"nothing runs on after Close"}) {
		t.Errorf("got %q failing", got)
	}
}

func TestTheHarnessGetsTheDriverThatItMade(t *testing.T) {
	var made driver.Driver
	calls := 0
	see := func(t testing.TB, d driver.Driver) {
		calls++
		if d != made {
			t.Errorf("got %T, want %T", d, made)
		}
	}
	failuresOf(t, Harness{
		Driver:  func(testing.TB) driver.Driver { made = mempubsub.NewBus(); return made },
		Break:   see,
		Restart: see,
		Freeze:  func(t testing.TB, d driver.Driver) func() { see(t, d); return func() {} },
	}, slices.Concat(lifeCases(), frozenCases()))
	if calls != 4 {
		t.Errorf("got %d calls, want 4", calls)
	}
}

func TestTheSuiteWantsALostConnectionToBeNoticed(t *testing.T) {
	nothing := func(testing.TB, driver.Driver) {}
	h := Harness{Driver: func(testing.TB) driver.Driver { return mempubsub.NewBus() }, Break: nothing, Restart: nothing}
	for _, c := range cases() {
		if c.lacks == nil || c.missing(h) != "" {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			if err := h.try(t, c); err == nil {
				t.Errorf("%s: passed although nothing was lost", c.name)
			}
		})
	}
}
