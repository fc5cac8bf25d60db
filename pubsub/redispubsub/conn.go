package redispubsub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"lockstep/internal/redisclient"
	"lockstep/pubsub/driver"
)

// batch is how many messages one round trip publishes at most.
const batch = 256

// roleEvery is how long the role of a server is believed. A master that is
// made a replica keeps its connections, and delivers what is published on them:
// to those only that are connected to it.
const roleEvery = time.Second

// conn is two connections to Redis: one to publish, used by the goroutine
// publish, and one to subscribe, read by the goroutine read. When either is
// lost the conn has ended.
type conn struct {
	// set once
	*driver.Inbox
	client, subscriber *redis.Client // of one connection each, see wire
	sub                *redis.PubSub // of subscriber
	outgoing           chan publication
	running            sync.WaitGroup // publish and read; both end with the Inbox
	alone              bool           // no cluster: the server must be a master

	asked time.Time // for the role; owned by publish

	mu      sync.Mutex // guards the rest; held while a command is written, so that waiting is in the order of the wire
	waiting []waiter
}

// A publication waits to be sent.
type publication struct {
	topic   string
	payload []byte
	done    chan error // of size 1
}

// A waiter waits for the answer to a SUBSCRIBE or UNSUBSCRIBE. Redis answers
// in the order of the commands.
type waiter struct {
	kind, topic string
	done        chan error // of size 1
}

// newConn returns a conn that has not connected yet. end ends life.
func newConn(life context.Context, end func(), pub, sub *redis.Options) *conn {
	c := &conn{
		Inbox: driver.NewInbox(end), client: wire(life, *pub), subscriber: wire(life, *sub), outgoing: make(chan publication),
	}
	c.sub = c.subscriber.Subscribe(life)
	return c
}

// verify connects, and wants an answer on both connections.
func (c *conn) verify(ctx context.Context) error {
	if err := c.client.Ping(ctx).Err(); err != nil {
		return err
	}
	if err := c.sub.Ping(ctx); err != nil {
		return err
	}
	_, err := c.sub.ReceiveTimeout(ctx, c.subscriber.Options().ReadTimeout)
	return err
}

// start puts the conn to work, until its end.
func (c *conn) start(life context.Context) {
	c.running.Go(func() { c.publish(life) })
	c.running.Go(func() { c.read(life) })
}

// Publish implements driver.Conn.
func (c *conn) Publish(ctx context.Context, topic string, payload []byte) error {
	if err := c.Usable(ctx); err != nil {
		return err
	}
	// A copy: the caller may be gone when it is sent.
	p := publication{topic, bytes.Clone(payload), make(chan error, 1)}
	select {
	case c.outgoing <- p:
	case <-c.Ended():
		return c.Usable(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-p.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// publish sends what gathers while its last round trip is under way, in the
// order of the calls.
func (c *conn) publish(life context.Context) {
	for {
		select {
		case first := <-c.outgoing:
			c.send(life, driver.Gather(first, c.outgoing, batch))
		case <-c.Ended():
			return
		}
	}
}

// send publishes in one round trip. Redis may refuse one message (NOPERM) and
// take the others; any other error is the end of the connection.
func (c *conn) send(life context.Context, ps []publication) {
	pipe := c.client.Pipeline()
	results := make([]*redis.IntCmd, len(ps))
	for i, p := range ps {
		results[i] = pipe.Publish(life, p.topic, p.payload)
	}
	role := c.askRole(life, pipe)
	_, _ = pipe.Exec(life) // each result has its own error
	if role != nil {
		if err := redisclient.ReadRole(role); err != nil {
			c.lost(c.client, err)
		}
	}
	for i, p := range ps {
		err := results[i].Err()
		if err != nil && !refused(err) {
			c.lost(c.client, err)
		}
		if ended := c.Usable(life); ended != nil {
			err = ended
		}
		p.done <- err
	}
}

// askRole adds a question for the server's role, if it is time. The hub's
// heartbeats see to it that something is published all the time.
func (c *conn) askRole(life context.Context, pipe redis.Pipeliner) *redis.Cmd {
	if !c.alone || time.Since(c.asked) < roleEvery {
		return nil
	}
	c.asked = time.Now()
	return pipe.Do(life, "ROLE")
}

// refused reports whether an error is Redis's answer to a command, after which
// the connection is as good as before.
func refused(err error) bool {
	var answer redis.Error
	return errors.As(err, &answer) && !redisclient.Elsewhere(err)
}

// lost ends the conn because one of its connections has failed.
func (c *conn) lost(of *redis.Client, err error) {
	c.End(fmt.Errorf("redispubsub: %s: %w", of.Options().Addr, err))
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
		c.lost(c.subscriber, err)
		return c.Usable(ctx)
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
	return nil
}

// read takes in what Redis sends until the connection ends.
func (c *conn) read(life context.Context) {
	for {
		m, err := c.sub.Receive(life)
		switch {
		case err != nil && refused(err):
			c.answered("", "", err) // e.g. NOPERM: of the oldest command
			continue
		case err != nil:
			c.lost(c.subscriber, err)
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

// answered gives the oldest command its answer. One that is not its own means
// that we no longer know what is subscribed.
func (c *conn) answered(kind, topic string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 || err == nil && (c.waiting[0].kind != kind || c.waiting[0].topic != topic) {
		c.lost(c.subscriber, errors.New("an answer to no command"))
		return
	}
	c.waiting[0].done <- err
	c.waiting = c.waiting[1:]
}

// Close implements driver.Conn. It waits for both goroutines.
func (c *conn) Close() error {
	c.End(driver.ErrClosed)
	c.running.Wait()
	c.closeClients()
	return nil
}

// closeClients closes what has ended: nobody can act on its errors.
func (c *conn) closeClients() {
	_ = c.sub.Close()
	_ = c.subscriber.Close()
	_ = c.client.Close()
}
