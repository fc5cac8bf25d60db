//go:build js

// Package jspubsub carries messages between the tabs of one browser, over a
// BroadcastChannel (HTML standard, §9.5). It reaches the tabs and workers of
// the same origin and nothing else; no server takes part.
package jspubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall/js"

	"lockstep/pubsub/driver"
)

// A Driver opens connections to the channel of one name.
type Driver struct{ channel string }

// New returns a driver. Tabs receive each other's messages when their channels
// have the same name.
func New(channel string) *Driver { return &Driver{channel} }

// Name implements driver.Driver.
func (d *Driver) Name() string { return "broadcastchannel" }

// Open implements driver.Driver. It fails where the browser has no
// BroadcastChannel, or forbids it. There is no server that could be away.
func (d *Driver) Open(ctx context.Context) (_ driver.Conn, err error) {
	defer thrown(&err)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if js.Global().Get("BroadcastChannel").IsUndefined() {
		return nil, errors.New("jspubsub: this browser has no BroadcastChannel")
	}
	c := &conn{queue: driver.NewQueue(nil), topics: make(map[string]struct{})}
	// A channel does not receive what it posts itself: one posts, another listens.
	c.in = js.Global().Get("BroadcastChannel").New(d.channel)
	c.out = js.Global().Get("BroadcastChannel").New(d.channel)
	c.listener = js.FuncOf(c.onMessage)
	c.in.Set("onmessage", c.listener)
	return c, nil
}

// conn is one connection. What is posted is an array: topic and payload.
type conn struct {
	in, out  js.Value
	listener js.Func
	queue    *driver.Queue

	mu     sync.Mutex // guards the rest
	topics map[string]struct{}
	closed bool
}

// onMessage is called by the browser, for each message.
func (c *conn) onMessage(_ js.Value, args []js.Value) any {
	topic, payload, ok := read(args[0].Get("data"))
	c.mu.Lock()
	_, subscribed := c.topics[topic]
	c.mu.Unlock()
	if ok && subscribed {
		c.queue.Put(driver.Message{Topic: topic, Payload: payload, Trusted: true})
	}
	return nil
}

// read takes a message apart; any page of the origin can post anything.
func read(data js.Value) (topic string, payload []byte, ok bool) {
	array, bytes := js.Global().Get("Array"), js.Global().Get("Uint8Array")
	if !data.InstanceOf(array) || data.Length() != 2 || data.Index(0).Type() != js.TypeString || !data.Index(1).InstanceOf(bytes) {
		return "", nil, false
	}
	payload = make([]byte, data.Index(1).Length())
	js.CopyBytesToGo(payload, data.Index(1))
	return data.Index(0).String(), payload, true
}

// Publish implements driver.Conn.
func (c *conn) Publish(ctx context.Context, topic string, payload []byte) (err error) {
	defer thrown(&err)
	if err := c.queue.Usable(ctx); err != nil {
		return err
	}
	bytes := js.Global().Get("Uint8Array").New(len(payload))
	js.CopyBytesToJS(bytes, payload)
	c.out.Call("postMessage", []any{topic, bytes})
	return nil
}

// Subscribe implements driver.Conn.
func (c *conn) Subscribe(ctx context.Context, topic string) error {
	if err := c.queue.Usable(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.topics[topic] = struct{}{}
	return nil
}

// Unsubscribe implements driver.Conn.
func (c *conn) Unsubscribe(ctx context.Context, topic string) error {
	if err := c.queue.Usable(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.topics, topic)
	return nil
}

// Receive implements driver.Conn.
func (c *conn) Receive(ctx context.Context) (driver.Message, error) { return c.queue.Receive(ctx) }

// Close implements driver.Conn.
func (c *conn) Close() error {
	c.mu.Lock()
	closed := c.closed
	c.closed = true
	c.mu.Unlock()
	if closed {
		return nil
	}
	c.in.Set("onmessage", js.Null())
	c.in.Call("close")
	c.out.Call("close")
	c.listener.Release()
	c.queue.End(driver.ErrClosed)
	return nil
}

// thrown, deferred, makes an error of what JavaScript threw.
func thrown(err *error) {
	switch p := recover().(type) {
	case nil:
	case js.Error:
		*err = fmt.Errorf("jspubsub: %w", p)
	default:
		panic(p)
	}
}
