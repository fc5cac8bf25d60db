//go:build js

// Package jslive serves live sessions over MessagePorts (HTML standard,
// §9.4.4) to pages of the same browser, which see a WebSocket: see
// static/wasm/page.js, the other end. It moves messages and knows nothing of
// what they say.
//
// On a port a string is a message, either way. Beside it the page posts
// {close: true}, or anything else that is no string, to end; and is posted
// {open: true} first and {code, reason} last.
//
// Functions that the browser calls never wait and never panic: a panic in one
// ends the whole program, and with it every session.
package jslive

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"syscall/js"

	"lockstep/live"
)

// maxWaiting is how many messages of a page may wait for its session. A page
// that lets more pile up is closed: it does not wait for answers.
const maxWaiting = 1024

// A Handler serves a session on each port. It may be used concurrently.
type Handler struct {
	// set once
	rt     *live.Runtime
	log    *slog.Logger
	wire   *live.Wire
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex // guards the rest
	closed  bool
	running sync.WaitGroup // Add only under mu while not closed
}

// NewHandler returns a handler that connects tabs to rt. A nil log is slog.Default().
func NewHandler(rt *live.Runtime, log *slog.Logger) *Handler {
	if log == nil {
		log = slog.Default()
	}
	h := &Handler{rt: rt, log: log, wire: &live.Wire{Encode: encode}}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// encode ends a message, so that several can go out in one write: JSON has no
// line break.
func encode(message []byte) []byte { return append(bytes.Clone(message), '\n') }

// Serve serves a session with view on a port that a page has handed over, in
// a goroutine that ends with the page's close, or with Close; after Close the
// page is sent away at once. It does not wait. What is no MessagePort is
// ignored: there is nobody to tell.
func (h *Handler) Serve(port js.Value, view live.View) {
	if !port.InstanceOf(js.Global().Get("MessagePort")) {
		h.log.Error("a page has handed over something that is no port")
		return
	}
	c := &conn{port: port, wire: h.wire, wake: make(chan struct{}, 1)}
	c.listener = js.FuncOf(c.onMessage)
	port.Set("onmessage", c.listener) // and start the port
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		c.end()
		return
	}
	h.running.Go(func() { h.serve(c, view) })
}

// Close ends all sessions and waits for their goroutines.
func (h *Handler) Close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	h.running.Wait()
}

func (h *Handler) serve(c *conn, view live.View) {
	defer c.end()
	c.port.Call("postMessage", map[string]any{"open": true})
	if _, err := h.rt.Connect(h.ctx, c, view); err != nil {
		return // the runtime has closed c
	}
	// A session that has ended may have something to say still, and closes then.
	for serving := true; ; {
		message, ok := c.next(h.ctx)
		if !ok {
			return
		}
		serving = serving && c.session.Receive(h.ctx, message)
	}
}

// conn is one tab's connection.
type conn struct {
	// set once
	port     js.Value
	wire     *live.Wire
	session  *live.Session // set by Bind; nil: the handler was closed before
	listener js.Func
	wake     chan struct{} // of size 1: something waits, or is over

	mu      sync.Mutex // guards the rest
	waiting [][]byte
	why     live.Reason // why the connection has been closed; zero: it is open
}

// Wire implements live.Conn.
func (c *conn) Wire() *live.Wire { return c.wire }

// Bind implements live.Conn.
func (c *conn) Bind(s *live.Session) { c.session = s }

// Send implements live.Conn: a port is never full. What the page is shown is
// conflated before it comes here, so what waits for a busy page is bounded by
// its own clicks.
func (c *conn) Send(encoded []byte) (done bool) {
	if c.closed() {
		return true
	}
	for message := range bytes.SplitSeq(bytes.TrimSuffix(encoded, []byte("\n")), []byte("\n")) {
		c.port.Call("postMessage", string(message))
	}
	return true
}

// Close implements live.Conn.
func (c *conn) Close(why live.Reason) {
	if c.over(why) {
		c.port.Call("postMessage", map[string]any{"code": int(why.Code()), "reason": why.Text()})
	}
	c.nudge()
}

// over notes why the connection is closed. It reports false when it was closed
// before.
func (c *conn) over(why live.Reason) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why != 0 {
		return false
	}
	c.why = why
	return true
}

// onMessage is called by the browser, for each message of the page.
func (c *conn) onMessage(_ js.Value, args []js.Value) any {
	data := args[0].Get("data")
	if data.Type() != js.TypeString {
		c.over(live.ReasonLeft)
		c.nudge()
		return nil
	}
	if !c.enqueue([]byte(data.String())) {
		c.Close(live.ReasonInboxFull)
	}
	c.nudge()
	return nil
}

// enqueue leaves a message for next. It reports false when there is no room.
func (c *conn) enqueue(message []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.why != 0:
		return true // nobody listens to it any more
	case len(c.waiting) >= maxWaiting:
		return false
	}
	c.waiting = append(c.waiting, message)
	return true
}

func (c *conn) nudge() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// next waits for a message of the page. False: there will be none.
func (c *conn) next(ctx context.Context) (message []byte, ok bool) {
	for {
		c.mu.Lock()
		if len(c.waiting) > 0 {
			message = c.waiting[0]
			c.waiting[0] = nil // let go of it
			c.waiting = c.waiting[1:]
			c.mu.Unlock()
			return message, true
		}
		over := c.why != 0
		c.mu.Unlock()
		if over {
			return nil, false
		}
		select {
		case <-c.wake:
		case <-ctx.Done():
			return nil, false
		}
	}
}

func (c *conn) closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why != 0
}

// end closes the connection, gives the port back and tells the session, if
// there is one.
func (c *conn) end() {
	c.Close(live.ReasonStopped)
	c.port.Set("onmessage", js.Null())
	c.port.Call("close")
	c.listener.Release()
	if c.session != nil {
		c.session.Disconnect(c.why) // it does not change any more
	}
}
