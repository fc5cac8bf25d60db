package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// A client is a tab that is not a browser: it does over HTTP and a websocket
// what the contract of the page says, keeps its unacknowledged ops, connects
// again when it has lost its connection, and checks what it is shown.
type client struct {
	t      *testing.T
	http   *http.Client
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu      sync.Mutex // guards the rest
	base    string     // where it connects next
	ws      *websocket.Conn
	shown   seen
	history []seen
	outbox  []string
	acked   map[string]bool
	refused []string
	wake    chan struct{}
}

// seen is a state that a tab has been shown.
type seen struct {
	epoch, version uint64
	n              int64
}

func (s seen) before(o seen) bool {
	return s.epoch < o.epoch || s.epoch == o.epoch && s.version < o.version
}

// page patterns: a client reads HTML as an outsider would.
var (
	socketPattern = regexp.MustCompile(`hx-ws:connect="([^"]+)"`)
	rootPattern   = regexp.MustCompile(`<[a-z]+[^>]*\bid="counter"[^>]*>`)
	attrPattern   = regexp.MustCompile(`\bdata-(count|version|epoch)="(-?\d+)"`)
)

// parseRoot reads the counter's root element.
func parseRoot(html string) (seen, bool) {
	root := rootPattern.FindString(html)
	var s seen
	found := 0
	for _, m := range attrPattern.FindAllStringSubmatch(root, -1) {
		found++
		switch m[1] {
		case "count":
			s.n, _ = strconv.ParseInt(m[2], 10, 64)
		case "version":
			s.version, _ = strconv.ParseUint(m[2], 10, 64)
		case "epoch":
			s.epoch, _ = strconv.ParseUint(m[2], 10, 64)
		}
	}
	return s, found == 3
}

// open loads the page at base+path and connects its socket. The tab lives
// until the test ends.
func open(t *testing.T, base, path string) *client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, base: base, http: &http.Client{Jar: jar, Timeout: 10 * time.Second}, acked: map[string]bool{}, wake: make(chan struct{})}
	body := c.load(base + path)
	s, ok := parseRoot(body)
	if !ok {
		t.Fatalf("no counter in the page: %s", body)
	}
	c.show(s)
	m := socketPattern.FindAllStringSubmatch(body, -1)
	if len(m) != 1 {
		t.Fatalf("got %d elements with hx-ws:connect, want exactly one", len(m))
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.ended.Go(func() { c.live(ctx, m[0][1]) })
	t.Cleanup(c.close)
	return c
}

func (c *client) load(url string) string {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		c.t.Fatalf("GET %s: %d, %v", url, resp.StatusCode, err)
	}
	return string(body)
}

func (c *client) close() {
	c.cancel()
	c.ended.Wait()
}

// move makes the tab connect elsewhere next time, as behind a balancer.
func (c *client) move(base string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base = base
}

// live keeps a connection until ctx ends.
func (c *client) live(ctx context.Context, socket string) {
	for ctx.Err() == nil {
		_ = c.connection(ctx, socket) // whatever ended it: connect again
		c.mu.Lock()
		c.ws = nil
		c.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// connection is one websocket from its beginning to its end.
func (c *client) connection(ctx context.Context, socket string) error {
	c.mu.Lock()
	base := c.base
	c.mu.Unlock()
	dial, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	// Not c.http: its Timeout would end the socket.
	ws, resp, err := websocket.Dial(dial, base+socket, &websocket.DialOptions{
		HTTPClient: &http.Client{Jar: c.http.Jar}, HTTPHeader: http.Header{"Origin": {base}},
	})
	if err != nil {
		return err
	}
	_ = resp
	defer ws.CloseNow()
	ws.SetReadLimit(1 << 20)
	c.mu.Lock()
	c.ws = ws
	messages := []string{fmt.Sprintf(`{"hello":1,"tab":"x","e":%d,"v":%d}`, c.shown.epoch, c.shown.version)}
	messages = append(messages, c.outbox...)
	c.mu.Unlock()
	for _, m := range messages {
		if err := ws.Write(ctx, websocket.MessageText, []byte(m)); err != nil {
			return err
		}
	}
	for {
		_, m, err := ws.Read(ctx)
		if err != nil {
			return err
		}
		c.receive(m)
	}
}

func (c *client) receive(message []byte) {
	var m struct {
		T, Content, Error, Op, Swap string
		E, V                        uint64
		Ack                         []string
		Retry                       bool
	}
	if err := json.Unmarshal(message, &m); err != nil {
		c.t.Errorf("not JSON: %q", message)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { close(c.wake); c.wake = make(chan struct{}) }()
	if s, ok := parseRoot(m.Content); ok {
		if s.epoch != m.E || s.version != m.V || !strings.Contains(m.Content, `<hx-partial hx-target="#live" hx-swap="innerMorph">`) || m.Swap != "none" {
			c.t.Errorf("not a frame of the contract: %s", message)
		}
		c.show(s)
	}
	for _, op := range m.Ack {
		c.acked[op] = true
		c.outbox = slices.DeleteFunc(c.outbox, func(m string) bool { return strings.Contains(m, op) })
	}
	if m.Error != "" && !m.Retry {
		c.refused = append(c.refused, m.Error)
		c.outbox = slices.DeleteFunc(c.outbox, func(o string) bool { return m.Op != "" && strings.Contains(o, m.Op) })
	}
}

// show records a state; the tab's own guard is the only excuse for an older
// one, and only across connections, so within one it is an error.
func (c *client) show(s seen) {
	c.history = append(c.history, s)
	if !s.before(c.shown) {
		c.shown = s
	}
}

// click sends an action; with twice, two times.
func (c *client) click(action, op string, twice bool) {
	c.mu.Lock()
	m := fmt.Sprintf(`{"action":%q,"op":%q}`, action, op)
	c.outbox = append(c.outbox, m)
	ws := c.ws
	c.mu.Unlock()
	if ws == nil {
		return // live sends it when it has connected
	}
	n := 1
	if twice {
		n = 2
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for range n {
		if err := ws.Write(ctx, websocket.MessageText, []byte(m)); err != nil {
			return // live connects again and sends it
		}
	}
}

// pending returns how many ops are not acknowledged.
func (c *client) pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.outbox)
}

func (c *client) value() seen {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shown
}

func (c *client) connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ws != nil
}

// check finds what a tab must never have been shown.
func (c *client) check(values map[[2]uint64]int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for i, s := range c.history {
		if i > 0 && s.before(c.history[i-1]) {
			errs = append(errs, fmt.Errorf("went back from %+v to %+v", c.history[i-1], s))
		}
		key := [2]uint64{s.epoch, s.version}
		if n, ok := values[key]; ok && n != s.n {
			errs = append(errs, fmt.Errorf("state %v is both %d and %d", key, n, s.n))
		}
		values[key] = s.n
	}
	if len(c.refused) > 0 {
		errs = append(errs, fmt.Errorf("refused: %v", c.refused))
	}
	return errors.Join(errs...)
}

// everyoneShows waits until all tabs show n and have nothing pending, and
// checks what they were shown on the way.
func everyoneShows(t *testing.T, tabs []*client, n int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("all tabs to show %d", n), func() error {
		for i, c := range tabs {
			if got := c.value().n; got != n || c.pending() > 0 {
				return fmt.Errorf("tab %d shows %d and waits for %d acknowledgements", i, got, c.pending())
			}
		}
		return nil
	})
	values := map[[2]uint64]int64{}
	for i, c := range tabs {
		if err := c.check(values); err != nil {
			t.Errorf("tab %d: %v", i, err)
		}
	}
}

// everyoneConnected waits until all tabs have their sockets.
func everyoneConnected(t *testing.T, tabs []*client) {
	t.Helper()
	eventually(t, "all tabs to be connected", func() error {
		for i, c := range tabs {
			if !c.connected() {
				return fmt.Errorf("tab %d is not", i)
			}
		}
		return nil
	})
}
