package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"lockstep/htmx"
	"lockstep/internal/history"
	"lockstep/internal/items"
)

// The times of a client are those of live.js.
const (
	connectTimeout = htmx.ConnectTimeout
	answerTimeout  = htmx.AnswerTimeout
	maxBackoff     = htmx.ReconnectMax
)

// A client is a tab that is not a browser: it does over HTTP and a websocket
// what the contract of the page says. It keeps its unanswered ops, sends
// them again with the same identity, connects again with a growing pause wherever a
// server answers, and shows nothing older than what it shows.
type client struct {
	group  *group
	name   string
	socket string // path
	user   string // as the page has it; "": nobody
	http   *http.Client
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu       sync.Mutex // guards the rest
	bases    []string   // where it may connect; the first that answers
	ws       tabConn
	kick     chan struct{} // of the connection: there is something to send
	shown    history.State
	items    *items.Items // that are shown, of a kind that has such
	lacks    bool         // it was sent a change of what it does not show, and asks for all there is
	any      bool         // something has been shown
	stale    int          // frames older than what was shown
	id       string       // of the page load
	seq      uint64       // of its last op
	outbox   []message
	retries  int           // answers that said "again"
	received time.Time     // when the server last said something
	asked    time.Time     // when it was last asked without an answer; zero: it was not
	paused   bool          // does not read
	status   string        // what the server last said of itself
	beat     time.Duration // and how far its statuses are apart; 0: it did not say
	clock    int64         // of the server, as this connection heard it last; 0: it has not
}

// A tabConn is what a client is connected by: a websocket, or what takes its place.
type tabConn interface{ CloseNow() error }

// A message is an op that waits for its answer.
type message struct {
	op    history.Op
	sent  tabConn // the connection that it was sent on; nil: send it
	twice bool
	since time.Time
	// adopted: other tabs have it in their outboxes, too, and may have heard the answer.
	adopted bool
}

// newClient makes a tab whose page has the given socket; live runs it.
func newClient(c *group, name, socket string, bases []string) (*client, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	return &client{
		group: c, name: name, socket: socket, bases: bases, id: newClientID(),
		http: &http.Client{Jar: jar, Timeout: 10 * time.Second},
	}, nil
}

// load gets the page and shows it. It sets the socket that the page names.
func (c *client) load(path string) error {
	c.group.join(c.name)
	resp, err := c.http.Get(c.bases[0] + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	s, ok := c.group.kind.parse(string(body))
	if c.group.kind.wire != nil {
		_, c.items, _ = c.group.kind.parseItems(string(body))
	}
	if !ok {
		return fmt.Errorf("no %s in the page: %s", c.group.kind.name, body)
	}
	p, err := readPage(string(body))
	if err != nil {
		return err
	}
	c.socket, c.user = p.socket, p.user
	c.mu.Lock()
	defer c.mu.Unlock()
	if strings.Contains(string(body), `data-state="degraded"`) {
		c.status = "degraded"
	}
	c.show(s)
	return nil
}

// start lets the tab live until close.
func (c *client) start() {
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.ended.Go(func() { c.live(ctx) })
}

func (c *client) close() {
	c.cancel()
	c.ended.Wait()
}

// move makes the tab connect elsewhere next time, as behind a balancer.
func (c *client) move(bases ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bases = bases
}

// cut ends the connection as a network does.
func (c *client) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ws != nil {
		_ = c.ws.CloseNow() // that is what it is for
	}
}

// live keeps a connection until ctx ends: full jitter below a bound that
// doubles with each failure.
func (c *client) live(ctx context.Context) {
	bound := htmx.ReconnectMin
	for ctx.Err() == nil {
		began := time.Now()
		connection := c.connection
		if c.group.overHTTP {
			connection = c.withoutSocket
		}
		_ = connection(ctx) // whatever ended it: connect again
		c.mu.Lock()
		c.ws = nil
		c.mu.Unlock()
		if time.Since(began) > 5*time.Second {
			bound = htmx.ReconnectMin
		}
		select {
		case <-ctx.Done():
		case <-time.After(rand.N(bound)):
		}
		bound = min(2*bound, maxBackoff)
	}
}

// dial connects to the first base that answers.
func (c *client) dial(ctx context.Context) (ws *websocket.Conn, err error) {
	c.mu.Lock()
	bases := c.bases
	c.mu.Unlock()
	err = errors.New("nowhere to connect")
	for _, base := range bases {
		ws, err = c.dialTo(ctx, base)
		if err == nil {
			return ws, nil
		}
	}
	return nil, err
}

func (c *client) dialTo(ctx context.Context, base string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	// Not c.http: its Timeout would end the socket. A small receive buffer
	// makes a tab that does not read felt soon.
	transport := &http.Transport{DialContext: (&net.Dialer{Control: smallBuffer}).DialContext}
	ws, _, err := websocket.Dial(ctx, base+c.socket, &websocket.DialOptions{
		HTTPClient: &http.Client{Jar: c.http.Jar, Transport: transport}, HTTPHeader: http.Header{"Origin": {base}},
	})
	return ws, err
}

func smallBuffer(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) // a hint
	})
}

// connection is one websocket from its beginning to its end.
func (c *client) connection(ctx context.Context) error {
	c.group.join(c.name)
	ws, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer ws.CloseNow()
	ws.SetReadLimit(1 << 20)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	kick := make(chan struct{}, 1)
	c.mu.Lock()
	c.begin(ws, kick)
	hello := helloText(c.id, c.group.topic(), c.shown)
	c.mu.Unlock()
	if err := ws.Write(ctx, websocket.MessageText, []byte(hello)); err != nil {
		return err
	}
	c.ended.Go(func() {
		defer cancel()
		c.write(ctx, ws, kick)
	})
	for {
		_, m, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		c.receive(m)
		if !c.mayRead(ctx) {
			return ctx.Err()
		}
	}
}

// begin takes in that there is a new connection. The caller holds mu.
func (c *client) begin(ws tabConn, kick chan struct{}) {
	c.ws, c.kick, c.received, c.asked, c.clock = ws, kick, time.Now(), time.Time{}, 0
}

// write sends what is in the outbox, once on each connection, and again what
// the server could not take. It returns when the connection is of no use.
func (c *client) write(ctx context.Context, ws *websocket.Conn, kick <-chan struct{}) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, m := range c.unsent(ws) {
			if err := ws.Write(ctx, websocket.MessageText, []byte(m)); err != nil {
				return
			}
		}
		select {
		case <-kick:
		case <-tick.C:
			if c.hangs() {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// unsent returns what is to be sent on a connection, in the order in which it was made, and
// takes it for sent. Until the connection has heard the server's clock that is nothing.
func (c *client) unsent(ws tabConn) (texts []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lacks {
		c.lacks = false
		texts = append(texts, helloText(c.id, c.group.topic(), c.shown))
	}
	if c.clock == 0 {
		return texts
	}
	for i := range c.outbox {
		m := &c.outbox[i]
		if m.sent == ws {
			continue
		}
		m.sent = ws
		text := c.text(m)
		texts = append(texts, text)
		if m.twice {
			texts = append(texts, text)
		}
	}
	if len(texts) > 0 && c.asked.IsZero() {
		c.asked = time.Now()
	}
	return texts
}

// text is an op as it is sent now: it was found in the outbox just now, so the clock that was
// heard last is older. The caller holds mu.
func (c *client) text(m *message) string {
	from := m.op.Seq
	for _, other := range c.outbox {
		if other.op.Client == m.op.Client {
			from = min(from, other.op.Seq)
		}
	}
	return clickText(wireOp{
		ID: m.op.ID, topic: c.group.topic(), from: from, seen: c.clock, age: time.Since(m.since), do: m.op.Do, in: m.op.In,
	})
}

// hangs reports whether the server has been silent for too long.
func (c *client) hangs() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paused {
		return false
	}
	unanswered := c.status == "live" && !c.asked.IsZero() && time.Since(c.asked) > answerTimeout
	return unanswered || time.Since(c.received) > htmx.SilenceLimit(c.beat)
}

// pause makes the tab stop reading, or go on.
func (c *client) pause(paused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = paused
}

func (c *client) mayRead(ctx context.Context) bool {
	for {
		c.mu.Lock()
		paused := c.paused
		c.mu.Unlock()
		if !paused {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (c *client) receive(text []byte) {
	var m heard
	if err := json.Unmarshal(text, &m); err != nil {
		c.group.t.Errorf("not a message: %v: %q", err, text)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received, c.asked = time.Now(), time.Time{}
	if m.Clock != 0 {
		if c.clock == 0 {
			c.hurry() // ops have waited for it
		}
		c.clock = m.Clock
	}
	if m.Status != "" {
		c.status, c.beat = m.Status, time.Duration(m.Beat*float64(time.Second))
	}
	if c.group.kind.wire != nil && m.T == c.group.topic() {
		c.change(text)
	} else if s, ok := c.group.kind.parse(m.Content); ok {
		if m.T != c.group.topic() || s.Epoch != m.E || s.Version != m.V ||
			!strings.Contains(m.Content, `<hx-partial hx-target="#live" hx-swap="innerMorph">`) || m.Swap != "none" {
			c.group.t.Errorf("not a frame of the contract: %s", text)
		}
		c.show(s)
	}
	c.answered(&m)
}

// answered takes in what a message says of ops. The caller holds mu.
func (c *client) answered(m *heard) {
	for _, op := range m.Ack {
		c.group.h.Acked(c.name, history.ID(op))
		c.settle(history.ID(op))
	}
	switch {
	case m.Op == nil:
		if m.Error != "" {
			c.group.wrong("a message is refused: " + m.Error)
		}
	case m.Retry:
		c.retries++
		c.again()
	case m.Refused != nil:
		c.group.h.Refused(c.name, history.ID(*m.Op), *m.Refused)
		c.group.refused(*m.Refused)
		c.settle(history.ID(*m.Op))
	case m.Settled || m.Old:
		c.forgotten(history.ID(*m.Op), m.Settled)
	}
}

// forgotten takes in that an op is settled, or old. A second copy of what was answered may be
// settled, and what other tabs have sent, too; nothing else. The caller holds mu.
func (c *client) forgotten(op history.ID, settled bool) {
	for _, m := range c.outbox {
		if m.op.ID == op && !(m.adopted && settled) {
			c.group.wrong(fmt.Sprintf("nobody knows what became of %s", op))
		}
	}
	if c.settle(op) {
		c.group.h.Forgotten(c.name, op)
	}
}

// show is the guard of live.js. The caller holds mu.
func (c *client) show(s history.State) {
	if c.status == "degraded" {
		c.group.h.Joined(c.name, history.State{}) // it shows what it knows, and says so
	}
	if c.any && c.shown.Newer(s) {
		c.stale++
		return
	}
	c.shown, c.any = s, true
	c.group.h.Shown(c.name, s)
}

// settle removes an op from the outbox, and reports whether it was there. The caller holds mu.
func (c *client) settle(op history.ID) bool {
	for i, m := range c.outbox {
		if m.op.ID == op {
			c.outbox = append(c.outbox[:i], c.outbox[i+1:]...)
			return true
		}
	}
	return false
}

// again has all ops sent once more, in their order. The pause before that is write's tick.
// The caller holds mu.
func (c *client) again() {
	for i := range c.outbox {
		c.outbox[i].sent = nil
	}
}

// hurry has write send what there is. The caller holds mu.
func (c *client) hurry() {
	if c.ws == nil {
		return // the next connection sends it
	}
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// click makes an op as a person at the tab does, and sends it, if twice two times.
func (c *client) click(twice bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do, in := c.group.kind.act(c.shown.Value)
	if len(c.outbox) >= htmx.MaxOutbox {
		return // the page says that too many wait
	}
	c.seq++
	op := history.Op{ID: history.ID{Client: c.id, Seq: c.seq}, User: c.user, Do: do, In: in}
	c.group.h.Sent(c.name, op)
	c.keep(message{op: op, twice: twice})
}

// put sends ops of a client whose tab was closed, as they are in the browser's outbox.
func (c *client) put(ops ...history.Op) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, op := range ops {
		c.keep(message{op: op, adopted: true})
	}
}

// keep puts an op into the outbox and has it sent. The caller holds mu.
func (c *client) keep(m message) {
	m.since = time.Now()
	c.outbox = append(c.outbox, m)
	c.hurry()
}

// pending returns how many ops from before a time are not acknowledged.
func (c *client) pending(before time.Time) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.outbox {
		if m.since.Before(before) {
			n++
		}
	}
	return n
}

func (c *client) value() history.State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shown
}

// count is what a counter's tab shows.
func (c *client) count() int64 {
	n, err := strconv.ParseInt(c.value().Value, 10, 64)
	if err != nil {
		c.group.t.Error(err)
	}
	return n
}

func (c *client) connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ws != nil
}
