package pubsubtest

import (
	"context"
	"errors"
	"slices"

	"lockstep/pubsub/driver"
)

// conn is one recorded connection.
type conn struct {
	// set once
	r      *Recorder
	inner  driver.Conn
	broken chan struct{} // closed by Disconnect

	// guarded by r.mu
	topics    map[string]struct{}
	deaf      bool
	extra     []driver.Message // from Deliver
	interrupt context.CancelFunc
}

func newConn(r *Recorder, inner driver.Conn) *conn {
	return &conn{
		r: r, inner: inner, broken: make(chan struct{}), topics: make(map[string]struct{}), interrupt: func() {},
	}
}

// Publish implements driver.Conn.
func (c *conn) Publish(ctx context.Context, topic string, payload []byte) error {
	call := Call{Op: Publish, Topic: topic, Payload: slices.Clone(payload)}
	return c.r.do(ctx, call, func() error { return c.unbroken(c.inner.Publish(ctx, topic, payload)) })
}

// Subscribe implements driver.Conn.
func (c *conn) Subscribe(ctx context.Context, topic string) error {
	return c.r.do(ctx, Call{Op: Subscribe, Topic: topic}, func() error {
		err := c.inner.Subscribe(ctx, topic)
		if err == nil {
			c.r.change(func() { c.topics[topic] = struct{}{} })
		}
		return c.unbroken(err)
	})
}

// Unsubscribe implements driver.Conn.
func (c *conn) Unsubscribe(ctx context.Context, topic string) error {
	return c.r.do(ctx, Call{Op: Unsubscribe, Topic: topic}, func() error {
		err := c.inner.Unsubscribe(ctx, topic)
		if err == nil {
			c.r.change(func() { delete(c.topics, topic) })
		}
		return c.unbroken(err)
	})
}

// Receive implements driver.Conn.
func (c *conn) Receive(ctx context.Context) (driver.Message, error) {
	for {
		m, err := c.receive(ctx)
		switch {
		case err == nil && !c.isDeaf():
			return m, nil
		case err == nil:
			// lost on its way
		case ctx.Err() != nil || !errors.Is(err, context.Canceled):
			return m, c.unbroken(err)
		}
	}
}

// receive returns a message of Deliver, or the next of the broker. Deliver
// interrupts it, which loses nothing by the contract of a Conn.
func (c *conn) receive(ctx context.Context) (driver.Message, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.r.mu.Lock()
	if len(c.extra) > 0 {
		m := c.extra[0]
		c.extra = c.extra[1:]
		c.r.mu.Unlock()
		return m, nil
	}
	c.interrupt = cancel
	c.r.mu.Unlock()
	return c.inner.Receive(ctx)
}

// Close implements driver.Conn.
func (c *conn) Close() error {
	return c.r.do(context.Background(), Call{Op: Close}, func() error {
		c.r.change(func() { delete(c.r.conns, c) })
		return c.inner.Close()
	})
}

func (c *conn) isDeaf() bool {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	return c.deaf || c.r.deaf
}

// unbroken returns ErrDisconnected in place of an error that Disconnect has
// caused.
func (c *conn) unbroken(err error) error {
	select {
	case <-c.broken:
		return ErrDisconnected
	default:
		return err
	}
}
