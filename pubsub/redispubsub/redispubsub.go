// Package redispubsub is a driver over Redis publish/subscribe (or Valkey),
// with one SUBSCRIBE for each topic, so that only replicas that show a topic
// hear of it. Redis Cluster works too: a classic PUBLISH reaches every node.
//
// Redis delivers at most once and cuts a subscriber that reads too slowly;
// both show as a lost connection, after which the hub reloads.
package redispubsub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"

	"lockstep/internal/redisclient"
	"lockstep/pubsub/driver"
)

// A Driver opens connections to one Redis. It is safe for concurrent use.
type Driver struct{ url string }

// NewDriver returns a driver for a redis://, rediss:// or redis+cluster:// URL
// (host1,host2 for a cluster). It does not connect. The error is about the
// URL and does not contain it.
func NewDriver(url string) (*Driver, error) {
	c, err := redisclient.New(url)
	if err != nil {
		return nil, fmt.Errorf("redispubsub: %w", err)
	}
	return &Driver{url}, c.Close()
}

// Name implements driver.Driver.
func (d *Driver) Name() string { return "redis" }

// Open implements driver.Driver.
func (d *Driver) Open(ctx context.Context) (driver.Conn, error) {
	client, err := redisclient.New(d.url)
	if err != nil {
		return nil, err
	}
	err = await(ctx, func(ctx context.Context) error { return client.Ping(ctx).Err() })
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	publisher, err := publisherOf(ctx, client)
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	c := &conn{client: client, publisher: publisher, sub: client.Subscribe(ctx), reading: make(chan struct{})}
	c.Inbox = driver.NewInbox(func() {
		_ = c.sub.Close()    // both are given up: nobody can
		_ = c.client.Close() // act on their errors
	})
	return c, nil
}

// publisherOf returns where to publish. In a cluster that is one node, always
// the same: from several nodes messages overtake each other on their way, and
// go-redis would take one at random.
func publisherOf(ctx context.Context, client redis.UniversalClient) (redis.Cmdable, error) {
	if cluster, ok := client.(*redis.ClusterClient); ok {
		return cluster.MasterForKey(ctx, "lockstep")
	}
	return client, nil
}

// conn is one connection: a subscriber's own, and a small pool to publish.
//
// go-redis connects a PubSub again by itself after an error, and then nobody
// knows what was lost. It does return the error first; so the first one ends
// this conn for good.
type conn struct {
	// set once
	*driver.Inbox
	client    redis.UniversalClient
	publisher redis.Cmdable // of client
	sub       *redis.PubSub
	reading   chan struct{} // closed when read has ended

	mu      sync.Mutex // guards the rest; held while a command is written, so that waiting is in the order of the wire
	started bool       // read runs: from the first command on, when there is a connection to read
	waiting []waiter
}

// A waiter waits for the answer to a SUBSCRIBE or UNSUBSCRIBE. Redis answers
// in the order of the commands.
type waiter struct {
	kind, topic string
	done        chan error // of size 1
}

// Publish implements driver.Conn.
func (c *conn) Publish(ctx context.Context, topic string, payload []byte) error {
	if err := c.Usable(ctx); err != nil {
		return err
	}
	payload = bytes.Clone(payload) // await may leave the call behind, the caller keeps its slice
	return await(ctx, func(ctx context.Context) error { return c.publisher.Publish(ctx, topic, payload).Err() })
}

// await makes a call of go-redis and returns when it ends or ctx does. A socket
// of go-redis knows deadlines only: a cancelled call that nobody answers would
// go on until its timeout.
func await(ctx context.Context, call func(ctx context.Context) error) error {
	ended := make(chan error, 1)
	go func() { ended <- call(ctx) }() // ends with the timeout of the client, or with its Close
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Subscribe implements driver.Conn.
func (c *conn) Subscribe(ctx context.Context, topic string) error {
	return c.command(ctx, "subscribe", topic, c.sub.Subscribe)
}

// Unsubscribe implements driver.Conn.
func (c *conn) Unsubscribe(ctx context.Context, topic string) error {
	return c.command(ctx, "unsubscribe", topic, c.sub.Unsubscribe)
}

// command sends one command and waits for its answer.
func (c *conn) command(ctx context.Context, kind, topic string, send func(context.Context, ...string) error) error {
	if err := c.Usable(ctx); err != nil {
		return err
	}
	w := waiter{kind, topic, make(chan error, 1)}
	if err := c.write(ctx, w, send); err != nil {
		c.End(err)
		return err
	}
	select {
	case err := <-w.done:
		return err
	case <-c.Ended():
		return c.Usable(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *conn) write(ctx context.Context, w waiter, send func(context.Context, ...string) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Not the caller's cancellation: half a command on the wire would be the
	// end of the connection for everybody.
	if err := send(context.WithoutCancel(ctx), w.topic); err != nil {
		return err
	}
	c.waiting = append(c.waiting, w)
	if !c.started {
		c.started = true
		go c.read() // ends with Close, which waits for it
	}
	return nil
}

// read takes in what Redis sends until the connection ends.
func (c *conn) read() {
	defer close(c.reading)
	for {
		m, err := c.sub.Receive(context.Background()) // Close ends it
		var refusal redis.Error
		switch {
		case errors.As(err, &refusal):
			c.answered("", "", err) // e.g. NOPERM: of the oldest command
			continue
		case err != nil:
			c.End(err)
			return
		}
		switch m := m.(type) {
		case *redis.Subscription:
			c.answered(m.Kind, m.Channel, nil)
		case *redis.Message:
			if !c.Put(driver.Message{Topic: m.Channel, Payload: []byte(m.Payload)}) {
				return
			}
		}
	}
}

// answered gives the oldest command its answer. An answer that is not its own
// belongs to nobody: go-redis has connected again behind our back.
func (c *conn) answered(kind, topic string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 || err == nil && (c.waiting[0].kind != kind || c.waiting[0].topic != topic) {
		c.End(errors.New("redispubsub: an answer to no command"))
		return
	}
	c.waiting[0].done <- err
	c.waiting = c.waiting[1:]
}

// Close implements driver.Conn.
func (c *conn) Close() error {
	c.End(driver.ErrClosed)
	c.mu.Lock()
	started := c.started
	c.mu.Unlock()
	if started {
		<-c.reading
	}
	return nil
}
