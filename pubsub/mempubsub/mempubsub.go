// Package mempubsub is a broker inside the process: a driver for one replica,
// for several in one process, and for tests. It reaches no other process.
package mempubsub

import (
	"context"
	"sync"

	"lockstep/pubsub/driver"
)

// A Bus is the broker: connections opened on the same Bus receive each other's
// messages. It is safe for concurrent use.
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
	c := &conn{bus: b, topics: make(map[string]struct{}), queue: driver.NewQueue(nil)}
	b.mu.Lock()
	b.conns[c] = struct{}{}
	b.mu.Unlock()
	return c, nil
}

// conn is one connection.
type conn struct {
	bus    *Bus
	queue  *driver.Queue
	topics map[string]struct{} // guarded by bus.mu
}

// Publish implements driver.Conn. One lock over all connections gives every
// subscriber the same order.
func (c *conn) Publish(ctx context.Context, topic string, payload []byte) error {
	if err := c.queue.Usable(ctx); err != nil {
		return err
	}
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	for to := range c.bus.conns {
		if _, ok := to.topics[topic]; ok {
			to.queue.Put(driver.Message{Topic: topic, Payload: append([]byte{}, payload...), Trusted: true})
		}
	}
	return nil
}

// Subscribe implements driver.Conn.
func (c *conn) Subscribe(ctx context.Context, topic string) error {
	if err := c.queue.Usable(ctx); err != nil {
		return err
	}
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	c.topics[topic] = struct{}{}
	return nil
}

// Unsubscribe implements driver.Conn.
func (c *conn) Unsubscribe(ctx context.Context, topic string) error {
	if err := c.queue.Usable(ctx); err != nil {
		return err
	}
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	delete(c.topics, topic)
	return nil
}

// Receive implements driver.Conn.
func (c *conn) Receive(ctx context.Context) (driver.Message, error) { return c.queue.Receive(ctx) }

// Close implements driver.Conn.
func (c *conn) Close() error {
	c.bus.mu.Lock()
	delete(c.bus.conns, c)
	c.bus.mu.Unlock()
	c.queue.End(driver.ErrClosed)
	return nil
}
