package pubsub

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"lockstep/pubsub/driver"
)

// guardCallbacks keeps the panics of callbacks, and of the driver, from the
// goroutines of the hub.
func (h *Hub) guardCallbacks() {
	status, roundTrip, forged := h.opts.OnStatus, h.opts.OnRoundTrip, h.opts.OnForged
	h.opts.OnStatus = func(err error) {
		defer h.caught("OnStatus", nil)
		status(err)
	}
	h.opts.OnRoundTrip = func(d time.Duration) {
		defer h.caught("OnRoundTrip", nil)
		roundTrip(d)
	}
	h.opts.OnForged = func(topic string) {
		defer h.caught("OnForged", nil)
		forged(topic)
	}
	h.driver = guardedDriver{h.driver, h}
}

// caught is deferred around a call of a callback. With err it makes an error of
// the panic.
func (h *Hub) caught(callback string, err *error) {
	p := recover()
	if p == nil {
		return
	}
	fault := fmt.Errorf("pubsub: panic in %s: %v", callback, p)
	if err != nil {
		*err = fault
	}
	h.stats.handlerErrors.Add(1)
	if n := h.panics.Add(time.Now()); n > 0 {
		h.log.Error("callback failed", "callback", callback, "times", n, "err", fault, "stack", string(debug.Stack()))
	}
}

// A guardedDriver is a driver whose panics are errors: of a connection, they end it
// as other errors do.
type guardedDriver struct {
	driver.Driver
	h *Hub
}

// Open implements driver.Driver.
func (d guardedDriver) Open(ctx context.Context) (c driver.Conn, err error) {
	defer d.h.caught("Driver.Open", &err)
	if c, err = d.Driver.Open(ctx); err != nil {
		return nil, err
	}
	return guardedConn{c, d.h}, nil
}

type guardedConn struct {
	driver.Conn
	h *Hub
}

// Publish implements driver.Conn.
func (c guardedConn) Publish(ctx context.Context, topic string, payload []byte) (err error) {
	defer c.h.caught("Conn.Publish", &err)
	return c.Conn.Publish(ctx, topic, payload)
}

// Subscribe implements driver.Conn.
func (c guardedConn) Subscribe(ctx context.Context, topic string) (err error) {
	defer c.h.caught("Conn.Subscribe", &err)
	return c.Conn.Subscribe(ctx, topic)
}

// Unsubscribe implements driver.Conn.
func (c guardedConn) Unsubscribe(ctx context.Context, topic string) (err error) {
	defer c.h.caught("Conn.Unsubscribe", &err)
	return c.Conn.Unsubscribe(ctx, topic)
}

// Receive implements driver.Conn.
func (c guardedConn) Receive(ctx context.Context) (m driver.Message, err error) {
	defer c.h.caught("Conn.Receive", &err)
	return c.Conn.Receive(ctx)
}

// Close implements driver.Conn.
func (c guardedConn) Close() (err error) {
	defer c.h.caught("Conn.Close", &err)
	return c.Conn.Close()
}
