// Package unixpubsub is a broker on one machine, over a Unix socket: an example of a backend.
package unixpubsub

import (
	"context"
	"encoding/json"
	"net"
	"sync"

	"lockstep/pubsub/driver"
)

// A frame is a line. The client's are "sub", "unsub" and "pub"; the server answers each with "ok",
// in their order, and sends "msg" for what somebody has published.
type frame struct {
	Do, Topic string
	Payload   []byte
}

// A Driver is a driver.Driver for the server on a Unix socket. It may be used concurrently.
type Driver struct{ path string }

// NewDriver returns a driver for the socket at a path. It does not connect yet.
func NewDriver(path string) *Driver { return &Driver{path} }

// Name implements driver.Driver.
func (d *Driver) Name() string { return "unix" }

// Open implements driver.Driver. It asks something, so that nil means that the server answers.
func (d *Driver) Open(ctx context.Context) (driver.Conn, error) {
	socket, err := new(net.Dialer).DialContext(ctx, "unix", d.path)
	if err != nil {
		return nil, err
	}
	c := &conn{socket: socket, turn: make(chan struct{}, 1)}
	c.Inbox = driver.NewInbox(func() { _ = socket.Close() }) // it is over in any case
	c.reading.Go(c.read)
	if err = c.Unsubscribe(ctx, "nothing"); err != nil {
		_ = c.Close() // why it is of no use is said already
	}
	return c, err
}

// conn is a connection. Its Inbox has Receive, and knows whether it has ended, and why.
type conn struct {
	*driver.Inbox
	socket  net.Conn
	turn    chan struct{} // of size 1: full while somebody writes
	reading sync.WaitGroup
	mu      sync.Mutex
	open    []chan struct{} // guarded by mu: of questions without an answer, the oldest first
}

// Publish implements driver.Conn.
func (c *conn) Publish(ctx context.Context, topic string, payload []byte) error {
	return c.ask(ctx, frame{"pub", topic, payload})
}

// Subscribe implements driver.Conn.
func (c *conn) Subscribe(ctx context.Context, topic string) error {
	return c.ask(ctx, frame{Do: "sub", Topic: topic})
}

// Unsubscribe implements driver.Conn.
func (c *conn) Unsubscribe(ctx context.Context, topic string) error {
	return c.ask(ctx, frame{Do: "unsub", Topic: topic})
}

// ask returns when the server has answered, or with the end of ctx or of the connection.
func (c *conn) ask(ctx context.Context, f frame) error {
	answered, turn := make(chan struct{}), c.turn
	for c.Usable(ctx) == nil {
		select {
		case turn <- struct{}{}:
			c.write(ctx, f, answered)
			<-turn
			turn = nil // once
		case <-answered:
			return nil
		case <-c.Ended():
		case <-ctx.Done():
		}
	}
	return c.Usable(ctx)
}

// write sends a question. The end of ctx in the middle of a line is the end of the connection.
func (c *conn) write(ctx context.Context, f frame, answered chan struct{}) {
	c.mu.Lock()
	c.open = append(c.open, answered)
	c.mu.Unlock()
	defer context.AfterFunc(ctx, func() { c.End(ctx.Err()) })()
	if err := json.NewEncoder(c.socket).Encode(f); err != nil {
		c.End(err)
	}
}

// read ends with the connection, which is never made anew here: that is the hub's, as the Gap is.
func (c *conn) read() {
	for in := json.NewDecoder(c.socket); ; {
		var f frame
		if err := in.Decode(&f); err != nil {
			c.End(err)
			return
		}
		c.mu.Lock()
		if f.Do == "ok" && len(c.open) > 0 {
			close(c.open[0])
			c.open = c.open[1:]
		}
		c.mu.Unlock()
		if f.Do == "msg" {
			c.Put(driver.Message{Topic: f.Topic, Payload: f.Payload}) // waits for Receive
		}
	}
}

// Close implements driver.Conn. Nothing runs on after it.
func (c *conn) Close() error { c.End(driver.ErrClosed); c.reading.Wait(); return nil }
