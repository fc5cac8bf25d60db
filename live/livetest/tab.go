// Package livetest is a browser tab in memory, for unit tests of views. It
// speaks the wire format that a real page speaks and keeps the rules that
// live.js keeps: it numbers its ops by topic, says with each which of them are
// open and what clock it has heard, and drops what is older than what it shows.
// It is not a browser: it lays out nothing, keeps nothing, and sends an op again
// only when it is told to.
package livetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"lockstep/htmx"
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

// A Tab is one fake browser tab: one page load with one connection. Methods may
// be called concurrently.
type Tab struct {
	// set once
	t      testing.TB
	s      *live.Session
	ctx    context.Context
	stop   context.CancelFunc
	wire   *live.Wire
	client string

	receive sync.Mutex // one message at a time, as a transport does

	mu       sync.Mutex // guards the rest
	changed  chan struct{}
	shown    map[string]Shown
	messages []string
	answers  map[htmx.Op]answers
	made     map[htmx.Op]action
	open     map[string][]uint64 // by topic: seqs without a final answer, the lowest first
	seqs     map[string]uint64   // by topic: the newest
	clock    int64               // of the server, as heard last
	error    string
	status   string
	closed   live.Reason
	stalled  bool   // does not read
	pending  []byte // what has come while it did not
}

// answers are those to one op so far.
type answers struct {
	acks           int
	refused, retry string // the last reasons
	settled, old   bool
}

// An action is what an op does.
type action struct{ do, in string }

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
		client: newClient(), shown: make(map[string]Shown), answers: make(map[htmx.Op]answers),
		made: make(map[htmx.Op]action), open: make(map[string][]uint64), seqs: make(map[string]uint64),
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

// Client returns what the tab is called in its ops.
func (tab *Tab) Client() string { return tab.client }

// Click has an action without input done to a topic. It returns the new op.
func (tab *Tab) Click(topic, do string) htmx.Op { return tab.Do(topic, do, "{}") }

// Do has an action done to a topic, with its input as JSON. A tab that reads waits
// for the first clock of the server. It returns the new op.
func (tab *Tab) Do(topic, do, in string) htmx.Op {
	tab.Until("the first clock", func() bool {
		tab.mu.Lock()
		defer tab.mu.Unlock()
		return tab.clock != 0 || tab.stalled || tab.closed != 0 || tab.ctx.Err() != nil
	})
	tab.mu.Lock()
	tab.seqs[topic]++
	op := htmx.Op{Topic: topic, Client: tab.client, Seq: tab.seqs[topic]}
	tab.made[op] = action{do, in}
	tab.open[topic] = append(tab.open[topic], op.Seq)
	tab.mu.Unlock()
	tab.Again(op)
	return op
}

// Again sends an op again that Do has returned.
func (tab *Tab) Again(op htmx.Op) {
	tab.mu.Lock()
	a, from := tab.made[op], op.Seq
	if open := tab.open[op.Topic]; len(open) > 0 {
		from = min(from, open[0])
	}
	tab.mu.Unlock()
	tab.Send(tab.Message(op, from, a.do, a.in))
}

// Message returns an op of any client as a message of this tab.
func (tab *Tab) Message(op htmx.Op, from uint64, do, in string) string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return fmt.Sprintf(`{"op":[%q,%d,%d],"seen":%d,"t":%q,"do":%q,"in":%s}`, op.Client, op.Seq, from, tab.clock, op.Topic, do, in)
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
func (tab *Tab) Acked(op htmx.Op) int { return tab.answersTo(op).acks }

// Refused returns the reason with which op was refused for good, or "".
func (tab *Tab) Refused(op htmx.Op) string { return tab.answersTo(op).refused }

// Retried returns the reason with which op was put off last, or "".
func (tab *Tab) Retried(op htmx.Op) string { return tab.answersTo(op).retry }

// Settled reports whether the server said that the client has had the answer to op.
func (tab *Tab) Settled(op htmx.Op) bool { return tab.answersTo(op).settled }

// Old reports whether the server said that nobody knows any more what became of op.
func (tab *Tab) Old(op htmx.Op) bool { return tab.answersTo(op).old }

func (tab *Tab) answersTo(op htmx.Op) answers {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return tab.answers[op]
}

// Error returns what the server last said of a message that is no op, or "".
func (tab *Tab) Error() string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return tab.error
}

// Clock returns the server's clock as it was heard last; the zero time: never.
func (tab *Tab) Clock() time.Time {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	if tab.clock == 0 {
		return time.Time{}
	}
	return time.UnixMilli(tab.clock)
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

// heard is what a message may say.
type heard struct {
	T, Content, Error, Status string
	E, V                      *uint64
	State                     *string
	Ack                       []name
	Op                        *name
	Refused                   *string
	Retry, Settled, Old, Back bool
	Clock                     int64
}

// A name is that of an op, beside its topic.
type name struct {
	client string
	seq    uint64
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *name) UnmarshalJSON(raw []byte) error {
	parts := []any{&n.client, &n.seq}
	return json.Unmarshal(raw, &parts)
}

// take takes in one message. The caller holds mu.
func (c *conn) take(message []byte) {
	var m heard
	if err := json.Unmarshal(message, &m); err != nil {
		c.t.Errorf("livetest: the server sent %q: %v", message, err)
		return
	}
	c.messages = append(c.messages, string(message))
	c.answer(m)
	if m.Clock != 0 {
		c.clock = m.Clock
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

// answer takes in what a message says of ops.
func (c *conn) answer(m heard) {
	for _, n := range m.Ack {
		op := htmx.Op{Topic: m.T, Client: n.client, Seq: n.seq}
		a := c.answers[op]
		a.acks++
		c.settle(op, a)
	}
	if m.Op == nil {
		if m.Error != "" {
			c.error = m.Error
		}
		return
	}
	op := htmx.Op{Topic: m.T, Client: m.Op.client, Seq: m.Op.seq}
	a := c.answers[op]
	switch {
	case m.Retry:
		a.retry = m.Error
		c.answers[op] = a
		return
	case m.Refused != nil:
		a.refused = *m.Refused
	case m.Settled:
		a.settled = true
	case m.Old:
		a.old = true
	default:
		c.t.Errorf("livetest: the server answers %v with nothing", op)
	}
	c.settle(op, a)
}

// settle takes in a final answer.
func (c *conn) settle(op htmx.Op, a answers) {
	c.answers[op] = a
	if op.Client != c.client {
		return
	}
	open := c.open[op.Topic]
	if i := slices.Index(open, op.Seq); i >= 0 {
		c.open[op.Topic] = slices.Delete(open, i, i+1)
	}
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

// newClient returns what no other page load is called.
func newClient() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// HTML is a component that is a text.
type HTML string

// Render implements live.Component.
func (h HTML) Render(_ context.Context, w io.Writer) error {
	_, err := io.WriteString(w, string(h))
	return err
}
