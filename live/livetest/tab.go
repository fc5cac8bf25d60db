// Package livetest is a browser tab in memory, for unit tests of views. It
// speaks the wire format that a real page speaks and keeps the rules that
// live.js keeps: it drops what is older than what it shows and remembers what
// has been acknowledged. It is not a browser: it lays out nothing.
package livetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"lockstep/live"
)

// patience is how long Until waits: long enough for a loaded machine, and
// nothing at all in a synctest bubble.
const patience = 30 * time.Second

// A Shown is what a tab shows of one topic.
type Shown struct {
	Epoch, Version uint64
	Content        string
	State          string // what a tab gets that renders itself, instead of Content
}

// A Tab is one fake browser tab. Methods may be called concurrently.
type Tab struct {
	t    testing.TB
	s    *live.Session
	ctx  context.Context
	stop context.CancelFunc
	wire *live.Wire

	receive sync.Mutex // one message at a time, as a transport does

	mu       sync.Mutex // guards the rest
	changed  chan struct{}
	shown    map[string]Shown
	messages []string
	acked    map[string]int
	refused  map[string]string
	status   string
	closed   live.Reason
	stalled  bool   // does not read
	pending  []byte // what has come while it did not
	clicks   int
}

// Open connects a tab. It is disconnected when the test ends.
func Open(t testing.TB, rt *live.Runtime, view live.View) *Tab {
	t.Helper()
	tab, err := Connect(t, rt, view)
	if err != nil {
		t.Fatalf("livetest: open: %v", err)
	}
	return tab
}

// Connect is Open for a runtime or a view that may refuse.
func Connect(t testing.TB, rt *live.Runtime, view live.View) (*Tab, error) {
	tab := &Tab{
		t: t, changed: make(chan struct{}), wire: newWire(),
		shown: make(map[string]Shown), acked: make(map[string]int), refused: make(map[string]string),
	}
	tab.ctx, tab.stop = context.WithCancel(context.Background())
	if _, err := rt.Connect(tab.ctx, (*conn)(tab), view); err != nil {
		tab.stop()
		return nil, err
	}
	t.Cleanup(tab.Disconnect)
	return tab, nil
}

// Send hands a message to the session, as the page would.
func (tab *Tab) Send(message string) {
	tab.receive.Lock()
	defer tab.receive.Unlock()
	tab.s.Receive(tab.ctx, []byte(message))
}

// Click sends an action with a new op and returns the op.
func (tab *Tab) Click(action string) (op string) {
	tab.mu.Lock()
	tab.clicks++
	op = fmt.Sprintf("op-of-a-fake-tab-%d-%p", tab.clicks, tab)
	tab.mu.Unlock()
	tab.Send(fmt.Sprintf(`{"action":%q,"op":%q}`, action, op))
	return op
}

// Disconnect is a connection that ends.
func (tab *Tab) Disconnect() {
	tab.Resume()
	tab.stop()
	tab.s.Disconnect(live.ReasonLost)
}

// Stall makes the tab stop reading, until Resume.
func (tab *Tab) Stall() {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.stalled = true
}

// Resume ends Stall.
func (tab *Tab) Resume() {
	tab.mu.Lock()
	pending := tab.pending
	tab.stalled, tab.pending = false, nil
	(*conn)(tab).takeAll(pending)
	tab.mu.Unlock()
	if pending != nil {
		tab.s.Ready()
	}
}

// Shown returns what the tab shows of a topic.
func (tab *Tab) Shown(topic string) Shown {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return tab.shown[topic]
}

// Acked returns how often op was acknowledged.
func (tab *Tab) Acked(op string) int {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return tab.acked[op]
}

// Refused returns the reason with which op was refused, or "".
func (tab *Tab) Refused(op string) string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return tab.refused[op]
}

// Status returns what the server last said of itself.
func (tab *Tab) Status() string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return tab.status
}

// Closed returns the code the server closed the tab with, or 0.
func (tab *Tab) Closed() live.Code { return tab.Reason().Code() }

// Reason returns why the server closed the tab, or the zero Reason.
func (tab *Tab) Reason() live.Reason {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return tab.closed
}

// Messages returns all that has arrived, oldest first.
func (tab *Tab) Messages() []string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return append([]string(nil), tab.messages...)
}

// Until waits until cond holds, which is asked after each message, and fails
// the test when it does not come to hold.
func (tab *Tab) Until(what string, cond func() bool) {
	tab.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		tab.mu.Lock()
		changed := tab.changed
		tab.mu.Unlock()
		if cond() {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			tab.t.Fatalf("livetest: still waiting for %s; the tab got %q", what, tab.Messages())
		}
	}
}

// conn is the Tab as its session sees it.
type conn Tab

// Wire implements live.Conn.
func (c *conn) Wire() *live.Wire { return c.wire }

// Bind implements live.Conn.
func (c *conn) Bind(s *live.Session) { c.s = s }

// Send implements live.Conn: a stalled tab is full after one write.
func (c *conn) Send(encoded []byte) (done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stalled {
		c.pending = encoded
		return false
	}
	c.takeAll(encoded)
	return true
}

// Close implements live.Conn.
func (c *conn) Close(why live.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed != 0 {
		return
	}
	c.closed = why
	c.wake()
	go c.s.Disconnect(why) // not before Close has returned
}

// takeAll takes in messages that came in one write. The caller holds mu.
func (c *conn) takeAll(encoded []byte) {
	if c.ctx.Err() != nil {
		return // it has gone
	}
	for m := range bytes.Lines(encoded) {
		c.take(bytes.TrimSuffix(m, []byte("\n")))
	}
}

// newWire separates messages by line breaks, which JSON does not contain.
func newWire() *live.Wire {
	return &live.Wire{Encode: func(m []byte) []byte { return append(bytes.Clone(m), '\n') }}
}

// take takes in one message. The caller holds mu.
func (c *conn) take(message []byte) {
	var m struct {
		T, Content, Error, Op, Status string
		E, V                          *uint64
		State                         *string
		Ack                           []string
		Back                          bool
	}
	if err := json.Unmarshal(message, &m); err != nil {
		c.t.Errorf("livetest: the server sent %q: %v", message, err)
		return
	}
	c.messages = append(c.messages, string(message))
	for _, op := range m.Ack {
		c.acked[op]++
	}
	if m.Error != "" {
		c.refused[m.Op] = m.Error
	}
	if m.Status != "" {
		c.status = m.Status
	}
	switch {
	case m.State != nil:
		c.show(m.T, m.E, m.V, m.Back, Shown{State: *m.State})
	case m.Content != "":
		c.show(m.T, m.E, m.V, m.Back, Shown{Content: m.Content})
	}
	c.wake()
}

// show is the version guard of live.js, which a correction passes.
func (c *conn) show(topic string, e, v *uint64, back bool, next Shown) {
	if e != nil && v != nil {
		next.Epoch, next.Version = *e, *v
		was := c.shown[topic]
		if !back && (was.Epoch > next.Epoch || was.Epoch == next.Epoch && was.Version > next.Version) {
			return
		}
	}
	c.shown[topic] = next
}

func (c *conn) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}
