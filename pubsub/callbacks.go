package pubsub

import (
	"context"
	"time"

	"lockstep/pubsub/driver"
)

// guardCallbacks keeps the panics of callbacks, and of the driver, from the
// goroutines of the hub.
func (h *Hub) guardCallbacks() {
	status, roundTrip, forged := h.opts.OnStatus, h.opts.OnRoundTrip, h.opts.OnForged
	h.opts.OnStatus = func(err error) {
		defer h.guard.Caught("OnStatus", nil)
		status(err)
	}
	h.opts.OnRoundTrip = func(d time.Duration) {
		defer h.guard.Caught("OnRoundTrip", nil)
		roundTrip(d)
	}
	h.opts.OnForged = func(topic string) {
		defer h.guard.Caught("OnForged", nil)
		forged(topic)
	}
	h.driver = guardedDriver{h.driver, h}
}

// A guardedDriver is a driver whose panics are errors: of a connection, they end it
// as other errors do.
type guardedDriver struct {
	driver.Driver
	h *Hub
}

// Unwrap implements driver.Unwrapper.
func (d guardedDriver) Unwrap() driver.Driver { return d.Driver }

// Open implements driver.Driver.
func (d guardedDriver) Open(ctx context.Context) (c driver.Conn, err error) {
	defer d.h.guard.Caught("Driver.Open", &err)
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
	defer c.h.guard.Caught("Conn.Publish", &err)
	return c.Conn.Publish(ctx, topic, payload)
}

// Subscribe implements driver.Conn.
func (c guardedConn) Subscribe(ctx context.Context, topic string) (err error) {
	defer c.h.guard.Caught("Conn.Subscribe", &err)
	return c.Conn.Subscribe(ctx, topic)
}

// Unsubscribe implements driver.Conn.
func (c guardedConn) Unsubscribe(ctx context.Context, topic string) (err error) {
	defer c.h.guard.Caught("Conn.Unsubscribe", &err)
	return c.Conn.Unsubscribe(ctx, topic)
}

// Receive implements driver.Conn.
func (c guardedConn) Receive(ctx context.Context) (m driver.Message, err error) {
	defer c.h.guard.Caught("Conn.Receive", &err)
	return c.Conn.Receive(ctx)
}

// Close implements driver.Conn.
func (c guardedConn) Close() (err error) {
	defer c.h.guard.Caught("Conn.Close", &err)
	return c.Conn.Close()
}
