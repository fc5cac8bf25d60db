package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"lockstep/internal/history"
)

const (
	// again is the pause before a tab connects once more, or sends what could not be saved.
	again = 300 * time.Millisecond
	// silence is how long a connection may be silent: a server says at each beat that it is there.
	silence = 12 * time.Second
	// sending bounds one message.
	sending  = 5 * time.Second
	maxPage  = 1 << 20 // bytes
	maxFrame = 1 << 20 // bytes
)

// A tab is one tab of the fleet. run has its connection; others click.
type tab struct {
	// set once
	fleet                       *Fleet
	name, page, replica, client string
	news                        chan struct{} // of size 1: something is to be sent

	mu     sync.Mutex // guards the rest; what is recorded of the tab is recorded under it
	conn   *websocket.Conn
	topic  string
	shown  history.State
	any    bool // something was shown
	clock  int64
	seq    uint64
	outbox []click
}

// A click waits for its answer.
type click struct {
	seq  uint64
	made time.Time
	sent bool // over this connection
}

func (t *tab) connected() bool {
	_, ok := t.shows()
	return ok
}

// shows is what the tab shows; false: it has no connection.
func (t *tab) shows() (history.State, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shown, t.conn != nil
}

// click makes a click. It is sent when there is a connection.
func (t *tab) click() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seq++
	t.outbox = append(t.outbox, click{seq: t.seq, made: time.Now()})
	t.wake()
}

func (t *tab) wake() {
	select {
	case t.news <- struct{}{}:
	default:
	}
}

// run connects again and again until ctx ends.
func (t *tab) run(ctx context.Context) {
	jar, _ := cookiejar.New(nil) // it has no other errors
	c := &http.Client{Jar: jar, Timeout: sending, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		_ = t.visit(ctx, c) // whatever it was, the tab comes again
		if !wait(ctx, again) {
			return
		}
	}
}

// visit is one connection from its page to its end.
func (t *tab) visit(ctx context.Context, c *http.Client) error {
	floor, err := t.fleet.opts.Truth(ctx)
	if err != nil {
		return err
	}
	p, err := load(ctx, c, t.page, t.fleet.opts.Host)
	if err != nil {
		return err
	}
	opening, cancel := context.WithTimeout(ctx, sending)
	defer cancel()
	conn, _, err := websocket.Dial(opening, p.socket, &websocket.DialOptions{HTTPClient: c, Host: t.fleet.opts.Host, CompressionMode: websocket.CompressionDisabled}) //nolint:bodyclose // the library closes it
	if err != nil {
		return err
	}
	defer func() { _ = conn.CloseNow() }() // it has ended
	conn.SetReadLimit(maxFrame)
	t.join(conn, p, floor)
	defer t.leave()
	if err := t.hello(opening, conn); err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	var sender sync.WaitGroup
	sender.Go(func() { t.send(ctx, conn) }) // ends with ctx
	defer sender.Wait()
	defer end()
	for {
		m, err := receive(ctx, conn)
		if err != nil {
			return err
		}
		if err := t.hear(m); err != nil {
			return err
		}
	}
}

// join takes note of a connection, and of what its page shows.
func (t *tab) join(conn *websocket.Conn, p *page, floor history.State) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conn, t.topic = conn, p.topic
	for i := range t.outbox {
		t.outbox[i].sent = false
	}
	t.fleet.opts.Recording.Joined(t.name, t.replica, floor)
	t.show(p.state)
}

// show takes note of a state; what is older than what the tab shows is dropped, as pages do. The
// caller holds mu.
func (t *tab) show(s history.State) {
	if t.any && !s.Newer(t.shown) {
		s = t.shown
	}
	t.shown, t.any = s, true
	t.fleet.opts.Recording.Shown(t.name, s)
}

func (t *tab) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conn = nil
	t.fleet.opts.Recording.Left(t.name)
}

func (t *tab) hello(ctx context.Context, conn *websocket.Conn) error {
	t.mu.Lock()
	m := map[string]any{"hello": 2, "client": t.client, "at": map[string]any{t.topic: []uint64{t.shown.Epoch, t.shown.Version}}}
	t.mu.Unlock()
	return write(ctx, conn, m)
}

// write writes one message.
func write(ctx context.Context, conn *websocket.Conn, m any) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sending)
	defer cancel()
	return conn.Write(ctx, websocket.MessageText, text)
}

// send sends what waits, until ctx ends or the connection does.
func (t *tab) send(ctx context.Context, conn *websocket.Conn) {
	for {
		for _, m := range t.unsent() {
			if write(ctx, conn, m) != nil {
				_ = conn.CloseNow() // receive sees it
				return
			}
		}
		select {
		case <-t.news:
		case <-ctx.Done():
			return
		}
	}
}

// unsent returns what is to be sent, in its order. Nothing is, before the server's clock was heard.
func (t *tab) unsent() (all []any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.clock == 0 {
		return nil
	}
	for i := range t.outbox {
		c := &t.outbox[i]
		if c.sent {
			continue
		}
		c.sent = true
		t.fleet.opts.Recording.Sent(t.name, history.Op{ID: history.ID{Client: t.client, Seq: c.seq}, Do: "increment"})
		all = append(all, map[string]any{
			"op": []any{t.client, c.seq, t.outbox[0].seq}, "seen": t.clock, "age": time.Since(c.made).Truncate(time.Second / 10).Seconds(),
			"t": t.topic, "do": "increment",
		})
	}
	return all
}

// A message is what a server says.
type message struct {
	Topic   string   `json:"t"`
	Epoch   uint64   `json:"e"`
	Version *uint64  `json:"v"`
	Content string   `json:"content"`
	Ack     [][2]any `json:"ack"`
	Op      []any    `json:"op"`
	Refused *string  `json:"refused"`
	Retry   bool     `json:"retry"`
	Clock   int64    `json:"clock"`
	Error   string   `json:"error"`
}

func receive(ctx context.Context, conn *websocket.Conn) (*message, error) {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	_, text, err := conn.Read(ctx)
	if err != nil {
		return nil, err
	}
	m := new(message)
	return m, json.Unmarshal(text, m)
}

// hear takes in a message: first what it shows, then the answers that it has.
func (t *tab) hear(m *message) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m.Error != "" {
		return errors.New("fleet: the server says " + m.Error)
	}
	if m.Clock > 0 {
		first := t.clock == 0
		if t.clock = m.Clock; first {
			t.wake()
		}
	}
	if m.Topic != t.topic {
		return nil
	}
	if m.Version != nil {
		s, err := stateOf(m.Content)
		if err != nil {
			return err
		}
		t.show(s)
	}
	for _, id := range m.Ack {
		t.answer(id[:], t.fleet.opts.Recording.Acked)
	}
	switch {
	case len(m.Op) != 2:
	case m.Retry:
		time.AfterFunc(again, t.repeat) // it does not wait, and ends by itself
	case m.Refused != nil:
		t.answer(m.Op, func(tab string, op history.ID) { t.fleet.opts.Recording.Refused(tab, op, *m.Refused) })
	default:
		t.answer(m.Op, t.fleet.opts.Recording.Forgotten)
	}
	return nil
}

// repeat has all clicks sent again.
func (t *tab) repeat() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.outbox {
		t.outbox[i].sent = false
	}
	t.wake()
}

// answer takes a click out of the outbox. The caller holds mu.
func (t *tab) answer(op []any, note func(tab string, op history.ID)) {
	client, _ := op[0].(string)
	n, _ := op[1].(float64)
	if client != t.client {
		return
	}
	for i, c := range t.outbox {
		if c.seq == uint64(n) {
			t.outbox = append(t.outbox[:i:i], t.outbox[i+1:]...)
			note(t.name, history.ID{Client: client, Seq: c.seq})
			return
		}
	}
}

// A page is what is read of one.
type page struct {
	socket, topic string
	state         history.State
}

// attribute finds an attribute of a page: the first that has the name.
func attribute(text, name string) (string, bool) {
	m := regexp.MustCompile(`\s` + regexp.QuoteMeta(name) + `="([^"]*)"`).FindStringSubmatch(text)
	if m == nil {
		return "", false
	}
	return html.UnescapeString(m[1]), true
}

// load loads the page of a counter.
func load(ctx context.Context, c *http.Client, at, host string) (*page, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	r.Host = host
	resp, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // all was read
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fleet: the page is answered with %d", resp.StatusCode)
	}
	text := string(body)
	socket, ok := attribute(text, "hx-ws:connect")
	topic, known := attribute(text, "data-topic")
	if !ok || !known {
		return nil, errors.New("fleet: this is no page of a counter")
	}
	u, err := url.Parse(at)
	if err != nil {
		return nil, err
	}
	if u, err = u.Parse(socket); err != nil {
		return nil, err
	}
	u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	s, err := stateOf(text)
	return &page{u.String(), topic, s}, err
}

// stateOf reads what a page or a fragment shows.
func stateOf(text string) (s history.State, err error) {
	count, ok := attribute(text, "data-count")
	version, _ := attribute(text, "data-version")
	epoch, _ := attribute(text, "data-epoch")
	if !ok || count == "" {
		return s, errors.New("fleet: the count is not known")
	}
	var errs [2]error
	s.Version, errs[0] = strconv.ParseUint(version, 10, 64)
	s.Epoch, errs[1] = strconv.ParseUint(epoch, 10, 64)
	s.Value = count
	return s, errors.Join(errs[:]...)
}
