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
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"

	"lockstep/counter"
	"lockstep/htmx"
)

// The times of a client are those of live.js.
const (
	connectTimeout = htmx.ConnectTimeout
	answerTimeout  = htmx.AnswerTimeout
	maxBackoff     = htmx.ReconnectMax
)

// A client is a tab that is not a browser: it does over HTTP and a websocket
// what the contract of the page says. It keeps its unacknowledged ops, sends
// them again with the same id, connects again with a growing pause wherever a
// server answers, and shows nothing older than what it shows.
type client struct {
	group  *group
	name   string
	socket string // path
	http   *http.Client
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu       sync.Mutex // guards the rest
	bases    []string   // where it may connect; the first that answers
	ws       tabConn
	kick     chan struct{} // of the connection: there is something to send
	shown    counter.Value
	any      bool // something has been shown
	stale    int  // frames older than what was shown
	outbox   []message
	refusals int           // that said "again"
	received time.Time     // when the server last said something
	asked    time.Time     // when it was last asked without an answer; zero: it was not
	paused   bool          // does not read
	status   string        // what the server last said of itself
	beat     time.Duration // and how far its statuses are apart; 0: it did not say
}

// A tabConn is what a client is connected by: a websocket, or what takes its place.
type tabConn interface{ CloseNow() error }

// A message is an op that waits for its acknowledgement.
type message struct {
	op    string
	text  string
	sent  tabConn // the connection that it was sent on; nil: send it
	twice bool
	since time.Time
}

// page patterns: a client reads HTML as an outsider would.
var (
	socketPattern = regexp.MustCompile(`hx-ws:connect="([^"]+)"`)
	rootPattern   = regexp.MustCompile(`<[a-z]+[^>]*\bid="counter"[^>]*>`)
	attrPattern   = regexp.MustCompile(`\bdata-(count|version|epoch)="(-?\d+)"`)
)

// parseRoot reads the counter's root element.
func parseRoot(html string) (v counter.Value, ok bool) {
	root := rootPattern.FindString(html)
	found := 0
	for _, m := range attrPattern.FindAllStringSubmatch(root, -1) {
		found++
		switch m[1] {
		case "count":
			v.N, _ = strconv.ParseInt(m[2], 10, 64)
		case "version":
			v.Version, _ = strconv.ParseUint(m[2], 10, 64)
		case "epoch":
			v.Epoch, _ = strconv.ParseUint(m[2], 10, 64)
		}
	}
	return v, found == 3
}

// newClient makes a tab whose page has the given socket; live runs it.
func newClient(c *group, name, socket string, bases []string) (*client, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	return &client{
		group: c, name: name, socket: socket, bases: bases,
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
	v, ok := parseRoot(string(body))
	if !ok {
		return fmt.Errorf("no counter in the page: %s", body)
	}
	m := socketPattern.FindAllStringSubmatch(string(body), -1)
	if len(m) != 1 {
		return fmt.Errorf("got %d elements with hx-ws:connect, want exactly one", len(m))
	}
	c.socket = m[0][1]
	c.mu.Lock()
	defer c.mu.Unlock()
	if strings.Contains(string(body), `data-state="degraded"`) {
		c.status = "degraded"
	}
	c.show(v)
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
	hello := fmt.Sprintf(`{"hello":1,"tab":"x","e":%d,"v":%d}`, c.shown.Epoch, c.shown.Version)
	c.ws, c.kick, c.received, c.asked = ws, kick, time.Now(), time.Time{}
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

// unsent returns what is to be sent on a connection, and takes it for sent.
func (c *client) unsent(ws tabConn) (texts []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.outbox {
		m := &c.outbox[i]
		if m.sent == ws {
			continue
		}
		m.sent = ws
		texts = append(texts, m.text)
		if m.twice {
			texts = append(texts, m.text)
		}
	}
	if len(texts) > 0 && c.asked.IsZero() {
		c.asked = time.Now()
	}
	return texts
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
	var m struct {
		T, Content, Error, Op, Swap string
		Status                      string
		Beat                        float64
		E, V                        uint64
		Ack                         []string
		Retry                       bool
	}
	if err := json.Unmarshal(text, &m); err != nil {
		c.group.t.Errorf("not JSON: %q", text)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received, c.asked = time.Now(), time.Time{}
	if m.Status != "" {
		c.status, c.beat = m.Status, time.Duration(m.Beat*float64(time.Second))
	}
	if v, ok := parseRoot(m.Content); ok {
		if v.Epoch != m.E || v.Version != m.V || !strings.Contains(m.Content, `<hx-partial hx-target="#live" hx-swap="innerMorph">`) || m.Swap != "none" {
			c.group.t.Errorf("not a frame of the contract: %s", text)
		}
		c.show(v)
	}
	for _, op := range m.Ack {
		c.group.h.Acked(c.name, op)
		c.settle(op)
	}
	switch {
	case m.Error == "":
	case m.Retry:
		c.refusals++
		c.again(m.Op)
	default:
		c.group.h.Refused(c.name, m.Op)
		c.group.refused(m.Error)
		c.settle(m.Op)
	}
}

// show is the guard of live.js. The caller holds mu.
func (c *client) show(v counter.Value) {
	if c.status == "degraded" {
		c.group.h.Joined(c.name, counter.Value{}) // it shows what it knows, and says so
	}
	if c.any && c.shown.Newer(v) {
		c.stale++
		return
	}
	c.shown, c.any = v, true
	c.group.h.Shown(c.name, v)
}

// settle removes an op from the outbox. The caller holds mu.
func (c *client) settle(op string) {
	for i, m := range c.outbox {
		if m.op == op {
			c.outbox = append(c.outbox[:i], c.outbox[i+1:]...)
			return
		}
	}
}

// again has an op sent once more. The pause before that is write's tick. The
// caller holds mu.
func (c *client) again(op string) {
	for i := range c.outbox {
		if c.outbox[i].op == op {
			c.outbox[i].sent = nil
		}
	}
}

// click makes an op and sends it, if twice two times.
func (c *client) click(twice bool) {
	op := counter.Op{ID: newOp(), Kind: counter.Increment}
	c.group.h.Sent(c.name, op)
	c.put(op.ID, twice)
}

// put sends an increment with a given id.
func (c *client) put(id string, twice bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := fmt.Sprintf(`{"action":"increment","op":%q}`, id)
	c.outbox = append(c.outbox, message{op: id, text: text, twice: twice, since: time.Now()})
	if c.ws == nil {
		return // the next connection sends it
	}
	select {
	case c.kick <- struct{}{}:
	default:
	}
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

func (c *client) value() counter.Value {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shown
}

func (c *client) connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ws != nil
}
