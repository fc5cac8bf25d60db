package rabbitpubsub

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"lockstep/pubsub/driver"
)

const (
	// batch is how many calls one round trip answers at most.
	batch = 256
	// heartbeat is agreed with the server: it notices in twice that time that this side is gone,
	// and this side in one and a half. The hub's own heartbeat is quicker. RabbitMQ advises against
	// less.
	heartbeat = 5 * time.Second
	// goodbye is how long a server may take to answer that the connection is closed.
	goodbye = 500 * time.Millisecond
	// maxPayload is what one message may have, in bytes: with ahead it bounds what a slow receiver
	// holds. Servers take more: 16 MB since 4.0, 128 MB before.
	maxPayload = 64 << 10
)

// gapHeader marks a message that stands for one that was too large.
const gapHeader = "lockstep-gap"

// conn is one connection to a RabbitMQ. What is published goes through the goroutine publish, what
// is bound through the goroutine bind, so that a caller never waits for a socket; each has an AMQP
// channel of its own. What arrives comes to the goroutine pump, and what ends the connection to the
// goroutine watch.
type conn struct {
	// set once
	*driver.Inbox
	addr     string
	exchange string
	queue    string
	end      func() // closes the socket
	amqp     *amqp.Connection
	out, in  *amqp.Channel
	arrivals <-chan amqp.Delivery
	drops    <-chan amqp.Delivery // stand for what the queue has dropped
	publishes,
	bindings chan request
	running sync.WaitGroup // all goroutines; they end with the Inbox and the socket

	mu     sync.Mutex
	topics map[string]string // by their keys; guarded by mu
}

// A request is one call.
type request struct {
	topic, key string
	payload    []byte
	forget     bool       // of a binding: take it back
	done       chan error // of size 1
}

// newConn returns a conn that has not connected yet. end ends its life, and closes its socket.
func newConn(addr, exchange string, end func()) *conn {
	return &conn{
		Inbox: driver.NewInbox(func() {}), addr: addr, exchange: exchange, queue: exchange + "." + rand.Text(), end: end,
		publishes: make(chan request), bindings: make(chan request), topics: make(map[string]string),
	}
}

// connect makes the connection; life is its life.
func (c *conn) connect(life context.Context, p place) error {
	socket, err := c.dial(life, p.tls)
	if err != nil {
		return err
	}
	c.amqp, err = amqp.Open(socket, amqp.Config{
		SASL:  []amqp.Authentication{&amqp.PlainAuth{Username: p.user, Password: p.password}},
		Vhost: p.vhost, Heartbeat: heartbeat, Locale: "en_US",
		Properties: amqp.Table{"product": "lockstep", "connection_name": c.queue},
	})
	if errors.Is(err, amqp.ErrCredentials) {
		err = errors.New("the user or the password is wrong, or the server has stopped to answer: it says nothing else to a wrong one")
	}
	if err != nil {
		c.end()
		return err
	}
	c.watch() // from here on c.amqp has somebody who waits for its end
	// amqp091 has lifted the deadline: until all is made, life is it, and this.
	late := time.AfterFunc(openTimeout, c.end)
	err = c.declare()
	if !late.Stop() {
		return errors.New("the server does not answer")
	}
	return err
}

// dial returns a socket that ends with life, and at once every call on it: amqp091 waits for
// writes, and knows no context. What has a deadline is lifted by amqp091 when the server has said
// who it is.
func (c *conn) dial(life context.Context, conf *tls.Config) (net.Conn, error) {
	raw, err := (&net.Dialer{Timeout: openTimeout}).DialContext(life, "tcp", c.addr)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(life, func() { _ = raw.Close() }) // it has ended: nobody can act on its error
	if err := raw.SetDeadline(time.Now().Add(openTimeout)); err != nil {
		c.end()
		return nil, err
	}
	if conf == nil {
		return raw, nil
	}
	host, _, _ := net.SplitHostPort(c.addr) // made by net.JoinHostPort
	conf = conf.Clone()
	conf.ServerName = host
	client := tls.Client(raw, conf)
	if err := client.HandshakeContext(life); err != nil {
		c.end()
		return nil, err
	}
	return &tlsSocket{client, raw}, nil
}

// A tlsSocket closes without a farewell, for which tls waits until the other side has read.
type tlsSocket struct {
	*tls.Conn
	raw net.Conn
}

// Close implements net.Conn.
func (s *tlsSocket) Close() error { return s.raw.Close() }

// start puts the conn to work, until its end.
func (c *conn) start() {
	c.running.Go(c.publish)
	c.running.Go(c.bind)
	c.running.Go(c.pump)
}

// lost ends the conn.
func (c *conn) lost(err error) {
	c.End(fmt.Errorf("rabbitpubsub: %s: %w", c.addr, err))
	c.end()
}

// Publish implements driver.Conn: the broker has confirmed that all queues have the message.
func (c *conn) Publish(ctx context.Context, topic string, payload []byte) error {
	// A copy: the caller may be gone when it is sent.
	return c.call(ctx, c.publishes, request{topic: topic, payload: bytes.Clone(payload)})
}

// Subscribe implements driver.Conn.
func (c *conn) Subscribe(ctx context.Context, topic string) error {
	return c.call(ctx, c.bindings, request{topic: topic})
}

// Unsubscribe implements driver.Conn.
func (c *conn) Unsubscribe(ctx context.Context, topic string) error {
	return c.call(ctx, c.bindings, request{topic: topic, forget: true})
}

// call has a request served.
func (c *conn) call(ctx context.Context, to chan<- request, r request) error {
	r.key, r.done = key(r.topic), make(chan error, 1)
	return driver.Ask(ctx, c.Inbox, to, r, r.done)
}

// Close implements driver.Conn. It tells the server, which has half a second to answer, so that a
// closed connection is none that its log calls lost. It waits for all goroutines.
func (c *conn) Close() error {
	c.End(driver.ErrClosed)
	_ = c.amqp.CloseDeadline(time.Now().Add(goodbye)) // it is closed either way
	c.end()
	c.running.Wait()
	return nil
}
