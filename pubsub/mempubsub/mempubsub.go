// Package mempubsub is a broker inside the process: a driver for one replica,
// for several in one process, and for tests. It reaches no other process.
package mempubsub

import (
	"context"
	"sync"

	"lockstep/pubsub/driver"
)

// queue is how many messages wait for a connection whose Receive is slow.
// When it is full they are dropped and one Gap takes their place: what is
// behind is reloaded, not caught up with.
const queue = 1024

// A Bus is the broker: connections opened on the same Bus hear each other. It
// is safe for concurrent use.
type Bus struct {
	mu    sync.Mutex
	conns map[*conn]struct{}
}

// NewBus returns a broker without connections.
func NewBus() *Bus { return &Bus{conns: make(map[*conn]struct{})} }

// Name implements driver.Driver.
func (b *Bus) Name() string { return "mem" }

// Open implements driver.Driver. It does not fail unless ctx has ended.
func (b *Bus) Open(ctx context.Context) (driver.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := &conn{bus: b, topics: make(map[string]struct{}), wake: make(chan struct{}, 1), closed: make(chan struct{})}
	b.mu.Lock()
	b.conns[c] = struct{}{}
	b.mu.Unlock()
	return c, nil
}

// conn is one connection.
type conn struct {
	bus  *Bus
	wake chan struct{} // of size 1: something is waiting, or over

	closeOnce sync.Once
	closed    chan struct{}

	// guarded by bus.mu
	topics  map[string]struct{}
	waiting []driver.Message
}

// Publish implements driver.Conn. One lock over all connections gives every
// subscriber the same order.
func (c *conn) Publish(ctx context.Context, topic string, payload []byte) error {
	if err := c.usable(ctx); err != nil {
		return err
	}
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	for to := range c.bus.conns {
		if _, ok := to.topics[topic]; ok {
			to.put(driver.Message{Topic: topic, Payload: append([]byte{}, payload...)})
		}
	}
	return nil
}

// put queues a message. The caller holds bus.mu.
func (c *conn) put(m driver.Message) {
	if len(c.waiting) >= queue {
		c.waiting = append(c.waiting[:0:0], driver.Message{Gap: true})
	}
	c.waiting = append(c.waiting, m)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Subscribe implements driver.Conn.
func (c *conn) Subscribe(ctx context.Context, topic string) error {
	if err := c.usable(ctx); err != nil {
		return err
	}
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	c.topics[topic] = struct{}{}
	return nil
}

// Unsubscribe implements driver.Conn.
func (c *conn) Unsubscribe(ctx context.Context, topic string) error {
	if err := c.usable(ctx); err != nil {
		return err
	}
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	delete(c.topics, topic)
	return nil
}

// Receive implements driver.Conn.
func (c *conn) Receive(ctx context.Context) (driver.Message, error) {
	for {
		if err := c.usable(ctx); err != nil {
			return driver.Message{}, err
		}
		if m, ok := c.take(); ok {
			return m, nil
		}
		select {
		case <-c.wake:
		case <-c.closed:
		case <-ctx.Done():
		}
	}
}

func (c *conn) take() (driver.Message, bool) {
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	if len(c.waiting) == 0 {
		return driver.Message{}, false
	}
	m := c.waiting[0]
	c.waiting[0] = driver.Message{} // let go of the payload
	c.waiting = c.waiting[1:]
	return m, true
}

// Close implements driver.Conn.
func (c *conn) Close() error {
	c.closeOnce.Do(func() {
		c.bus.mu.Lock()
		delete(c.bus.conns, c)
		c.bus.mu.Unlock()
		close(c.closed)
	})
	return nil
}

// usable returns why a call can't be made, or nil.
func (c *conn) usable(ctx context.Context) error {
	select {
	case <-c.closed:
		return driver.ErrClosed
	default:
		return ctx.Err()
	}
}
