// Package wslive serves live sessions over websockets (RFC 6455) with
// coder/websocket. It moves messages between a connection and a
// live.Session and knows nothing of what they say.
package wslive

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"lockstep/htmx"
	"lockstep/internal/origin"
	"lockstep/live"
)

// Options of a Handler. Zero values are the defaults.
type Options struct {
	Logger *slog.Logger // nil: slog.Default()
	// Origins are the patterns of other origins whose pages may connect, as
	// in path.Match: "*.example.com" for hosts, "https://*.example.com" for one
	// scheme. A page of the own host always may; a client that sends no Origin,
	// which no browser is, may too.
	Origins []string
	// Allow takes the place of that check: it reports whether the page that sends
	// an upgrade may connect. It may be called concurrently, and must not keep the
	// request. Nil: the own host and Origins.
	Allow func(*http.Request) bool
	// PingInterval is how often each connection is checked: it is sent a ping if
	// nothing has come from it for half of that. Browsers answer by themselves.
	// Default 30 s, at most a day; negative: never.
	PingInterval time.Duration
	// PongTimeout is how long after a ping something must have come. Otherwise
	// the connection is closed with live.ReasonKeepalive. Default 30 s, at most a day;
	// negative: never.
	PongTimeout time.Duration
	// Plain serves connections by way of net.Conn only, as those with TLS and
	// on other systems than Linux are.
	Plain bool
}

// A Handler upgrades requests to websockets and serves a session on each. It
// may be used concurrently.
type Handler struct {
	// set once
	rt           *live.Runtime
	view         func(*http.Request) live.View
	opts         Options
	made         time.Time
	uncompressed *variant
	compressed   *variant // of connections that negotiated it
	poller       *poller  // nil: a goroutine reads each connection
	ctx          context.Context
	cancel       context.CancelFunc

	readers         pool
	warning         sync.Once
	inflater        inflater
	silent, abusive atomic.Uint64
	foreign         atomic.Uint64

	mu      sync.Mutex // guards the rest
	closed  bool
	conns   [parts]map[uint64]*conn // by number, in the part that it falls to
	last    uint64                  // number given
	running sync.WaitGroup          // Add only under mu while not closed
}

// Stats is what a Handler has refused, and ended connections for, since it was
// made.
type Stats struct {
	Silent  uint64 // nothing came after a ping
	Foreign uint64 // upgrades for pages of other origins
	Abusive uint64 // too many control frames or fragments, or a message that took too long
}

// NewHandler returns a handler that mounts what view returns for the request,
// which view must not keep.
func NewHandler(rt *live.Runtime, view func(*http.Request) live.View, opts *Options) *Handler {
	h := &Handler{rt: rt, view: view, made: time.Now(), readers: newPool()}
	h.uncompressed = &variant{wire: &live.Wire{Encode: encodeText}}
	h.compressed = &variant{wire: &live.Wire{Encode: new(deflater).encodeText}, deflates: true}
	for i := range h.conns {
		h.conns[i] = make(map[uint64]*conn)
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	if opts != nil {
		h.opts = *opts
	}
	h.opts.PingInterval = atMostADay(h.opts.PingInterval, htmx.PingInterval)
	h.opts.PongTimeout = atMostADay(h.opts.PongTimeout, htmx.PongTimeout)
	if h.opts.Logger == nil {
		h.opts.Logger = slog.Default()
	}
	if !h.opts.Plain {
		h.poller = newPoller()
	}
	if h.poller != nil {
		h.spawn(func() { h.poller.run(h.readable) })
	}
	if h.opts.PingInterval > 0 {
		h.spawn(h.keepalive)
	}
	return h
}

// Stats returns a snapshot of the handler's counters.
func (h *Handler) Stats() Stats {
	return Stats{Silent: h.silent.Load(), Abusive: h.abusive.Load(), Foreign: h.foreign.Load()}
}

// Close ends the connections that are left, and all goroutines. Drain and stop
// the runtime before. Closing twice is harmless.
func (h *Handler) Close() {
	h.cancel()
	h.mu.Lock()
	h.closed = true
	var left []*conn
	for _, part := range h.conns {
		left = slices.AppendSeq(left, maps.Values(part))
	}
	h.mu.Unlock()
	for _, c := range left {
		c.end(live.ReasonStopped)
	}
	if h.poller != nil {
		h.poller.close()
	}
	h.running.Wait()
	h.readers.close()
}

// ServeHTTP connects one tab and returns. A request that is not an upgrade, or
// whose Origin is foreign, is answered with the error.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if errors.Is(h.rt.Err(), live.ErrDraining) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "this replica is shutting down", http.StatusServiceUnavailable)
		return
	}
	if !h.allows(r) {
		h.foreign.Add(1)
		h.opts.Logger.Debug("upgrade refused", "err", "a foreign origin")
		http.Error(w, "a page of another origin can't connect", http.StatusForbidden)
		return
	}
	c, err := h.upgrade(w, r)
	if err != nil {
		h.opts.Logger.Debug("upgrade refused", "err", err)
		return // it has been answered
	}
	h.connect(c, live.Viewed(func() live.View { return h.view(r) }))
}

// allows reports whether the page that sends a request may connect. The library's
// own check lets in what has the right host in it, whatever else it has.
func (h *Handler) allows(r *http.Request) bool {
	if h.opts.Allow != nil {
		return h.opts.Allow(r)
	}
	return origin.Site{Hosts: []string{r.Host}, Secure: r.TLS != nil, Others: h.opts.Origins}.Has(r)
}

// upgrade makes a connection of a request, or answers it with the error.
func (h *Handler) upgrade(w http.ResponseWriter, r *http.Request) (c *conn, err error) {
	hs := &handshake{ResponseWriter: w, hijack: func(r *reader) (err error) {
		if c, err = h.hijack(w, r); err != nil {
			return err
		}
		return switchProtocols(c.Conn, w.Header())
	}}
	if _, err := accept(hs, r); err != nil {
		h.explain(w, c, hs.failed)
		return nil, err
	}
	if hs.Header().Get("Sec-WebSocket-Extensions") == "" {
		return c, nil
	}
	c.variant = h.compressed
	if err := c.changeReader(); err != nil {
		_ = c.Conn.Close() // there is no session yet
		return nil, err
	}
	return c, nil
}

// hidden is what the answer and the log say when there is no way to the connection.
const hidden = "there is no way from here to the connection: what wraps the http.ResponseWriter in front of this handler " +
	"has neither Hijack nor Unwrap (a middleware that compresses, times out or measures); leave it out for websockets"

// explain answers an upgrade for which hijack has failed, and warns of it once: then no websocket
// opens. c is nil when there is no connection to take over.
func (h *Handler) explain(w http.ResponseWriter, c *conn, failed error) {
	switch {
	case failed == nil: // the library has answered
	case c != nil:
		_ = c.Conn.Close() // there is no session yet
	default:
		h.warning.Do(func() { h.opts.Logger.Error("no websocket can be opened: "+hidden, "err", failed) })
		w.Header().Del("Upgrade")
		w.Header().Set("Connection", "close")
		http.Error(w, hidden, http.StatusNotImplemented)
	}
}

// switchProtocols answers an upgrade over its connection. What a middleware says of a body does not
// hold for what follows.
func switchProtocols(c net.Conn, header http.Header) error {
	for _, name := range []string{"Content-Encoding", "Content-Length", "Content-Type", "Transfer-Encoding"} {
		header.Del(name)
	}
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	_ = header.Write(&b) // a buffer takes all
	b.WriteString("\r\n")
	if err := c.SetWriteDeadline(time.Now().Add(closeTimeout)); err != nil {
		return err
	}
	if _, err := c.Write(b.Bytes()); err != nil {
		return err
	}
	return c.SetWriteDeadline(time.Time{})
}

// connect makes the session and begins to read.
func (h *Handler) connect(c *conn, view live.View) {
	if _, err := h.rt.Connect(h.ctx, c, view); err != nil {
		c.discard = true // the runtime has closed c
	}
	if !h.register(c) {
		c.end(live.ReasonStopped)
		return
	}
	if c.over() {
		h.forget(c) // it ended too early to do so itself
	}
	if c.fd < 0 {
		h.spawn(func() { h.read(c) })
		return
	}
	// First what came with the request: from then on the poller says when to
	// read.
	if !c.receive(h.ctx) {
		c.closeGently()
		return
	}
	c.await((*poller).add)
}

// read is for connections that the poller can't wait for.
func (h *Handler) read(c *conn) {
	c.receive(h.ctx)
	c.closeGently()
}

// readable reads a connection, in a goroutine that exists until nothing is
// left.
func (h *Handler) readable(number uint64) {
	h.mu.Lock()
	c := h.conns[number%parts][number]
	h.mu.Unlock()
	if c == nil || c.over() {
		return
	}
	h.spawn(func() {
		if !c.receive(h.ctx) {
			c.closeGently()
			return
		}
		c.await((*poller).rearm)
	})
}

// hijack takes the connection over from the server, and has r read it.
func (h *Handler) hijack(w http.ResponseWriter, r *reader) (*conn, error) {
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, h: h, fd: -1, variant: h.uncompressed, reader: r}
	c.quiet.Store(h.stamp())
	tcp := tcpOf(nc)
	if tcp != nil {
		tune(tcp)
	}
	if h.poller != nil && nc == net.Conn(tcp) {
		c.fd = int32(descriptor(tcp))
	}
	came, _ := rw.Reader.Peek(rw.Reader.Buffered()) // with the request; it is there
	r.conn, r.unread = c, append(r.buffer[:0], came...)
	return c, nil
}

// tcpOf returns what c goes over, or nil if that is something else.
func tcpOf(c net.Conn) *net.TCPConn {
	if wrapped, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = wrapped.NetConn()
	}
	tcp, _ := c.(*net.TCPConn)
	return tcp
}

// register makes a connection one that Close ends.
func (h *Handler) register(c *conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.last++
	c.number = h.last
	h.conns[c.number%parts][c.number] = c
	return true
}

func (h *Handler) forget(c *conn) {
	h.mu.Lock()
	delete(h.conns[c.number%parts], c.number)
	h.mu.Unlock()
}

// spawn runs f in a goroutine that Close waits for. It reports false, and does
// not run f, when the handler has been closed.
func (h *Handler) spawn(f func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.running.Go(f)
	return true
}

// after runs f when d has passed, or at Close.
func (h *Handler) after(d time.Duration, f func()) {
	h.spawn(func() {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-h.ctx.Done():
		}
		f()
	})
}
