package dualpubsub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"lockstep/pubsub"
	"lockstep/pubsub/driver"
)

// session is what the hubs know the connection as.
const session = "dual"

var (
	errBehind = errors.New("dualpubsub: too much is under way at this broker")
	errPrefix = errors.New("dualpubsub: a topic without the prefix")
	// errNoAnswer: it is not known yet whether a broker is there.
	errNoAnswer = errors.New("it has not answered in time")
)

// conn is a connection to two brokers. Each has a hub, which finds out that it
// is deaf or gone, connects again, subscribes again, and says so with a Gap. The
// connection ends when both are away, so that the hub above knows it.
type conn struct {
	// set once
	*driver.Queue
	driver *Driver
	sides  [2]*side
	life   context.Context // ends with the connection
	end    context.CancelFunc
	news   chan struct{} // of size 1: a status has changed
	ended  chan struct{} // closed when nothing runs on

	running sync.WaitGroup // publications

	mu     sync.Mutex // guards the rest, and what says so in side
	opened bool       // Open has returned it
	over   bool       // nothing more may run
}

// A side is one broker of a connection.
type side struct {
	// set once
	n    int
	conn *conn
	hub  *pubsub.Hub
	// behind bounds publications that are under way.
	behind chan struct{}

	// guarded by conn.mu
	known  bool  // status has been said
	status error // of the hub
	topics map[string]bool
}

// newConn makes a connection whose hubs have not been started.
func (d *Driver) newConn() *conn {
	c := &conn{driver: d, news: make(chan struct{}, 1), ended: make(chan struct{})}
	c.life, c.end = context.WithCancel(context.Background())
	c.Queue = driver.NewQueue(c.release)
	for n := range c.sides {
		s := &side{n: n, conn: c, behind: make(chan struct{}, maxBehind), topics: make(map[string]bool)}
		s.hub = pubsub.NewHub(d.inner[n], &pubsub.Options{
			Prefix: d.opts.Prefix, ConnectLater: true, Queue: maxMessages,
			HeartbeatInterval: heartbeatInterval, HeartbeatTimeout: heartbeatTimeout,
			OnStatus: s.turn, OnForged: s.forged,
		})
		c.sides[n] = s
	}
	return c
}

// turn is told of each change of the hub's status.
func (s *side) turn(status error) {
	c := s.conn
	c.mu.Lock()
	s.known, s.status = true, status
	opened := c.opened
	other := c.sides[1-s.n].status
	lost := away(status) && away(other)
	c.mu.Unlock()
	c.driver.saw(s.n, status)
	select {
	case c.news <- struct{}{}:
	default:
	}
	switch {
	case !opened || status == nil: // of what it has missed, the hub gives a Gap for each topic
	case lost:
		c.End(errors.Join(status, other))
	default:
		// What was under way may have been sent by a replica that does not reach the other broker:
		// then nobody else brings it.
		c.Put(driver.Message{Gap: true})
	}
}

// forged is told of each message that the hub has dropped.
func (s *side) forged(topic string) {
	s.conn.Put(driver.Message{Topic: topic, Gap: true, Forged: true})
}

// awaitOne waits until one broker is there, and a little longer for the other. It returns why
// there is none.
func (c *conn) awaitOne(ctx context.Context) error {
	patience := time.NewTimer(0) // runs anew when the first is there
	<-patience.C
	defer patience.Stop()
	for running := false; ; {
		there, gone := c.look()
		switch {
		case there == 2:
			return nil
		case gone == 2:
			return c.why()
		case there == 1 && !running:
			running = true
			patience.Reset(openPatience)
		}
		select {
		case <-c.news:
		case <-patience.C:
			return nil
		case <-ctx.Done():
			return errors.Join(ctx.Err(), c.why())
		}
	}
}

// look returns how many brokers are there, and of how many it is known that they are not. If there
// is one, the connection is open.
func (c *conn) look() (there, gone int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sides {
		switch {
		case s.known && away(s.status):
			gone++
		case s.known:
			there++
		}
	}
	c.opened = there > 0
	return there, gone
}

// why returns what is known of why brokers are away.
func (c *conn) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := &OpenError{First: c.sides[0].status, Second: c.sides[1].status}
	for _, err := range []*error{&e.First, &e.Second} {
		if *err == nil {
			*err = errNoAnswer
		}
	}
	return e
}

// topic returns a topic without the prefix, which the hubs put before it.
func (c *conn) topic(topic string) (string, error) {
	name, ok := strings.CutPrefix(topic, c.driver.opts.Prefix)
	if !ok || name == "" {
		return "", fmt.Errorf("%w: %q", errPrefix, topic)
	}
	return name, nil
}

// Publish implements driver.Conn. Nil means that one of the brokers has accepted
// the message.
func (c *conn) Publish(ctx context.Context, topic string, payload []byte) error {
	if err := c.Usable(ctx); err != nil {
		return err
	}
	name, err := c.topic(topic)
	if err != nil {
		return err
	}
	payload = bytes.Clone(payload) // it may be under way longer than the call
	results := make(chan error, len(c.sides))
	for _, s := range c.sides {
		s.publish(name, payload, results)
	}
	return c.first(ctx, results)
}

// publish sends a message, without waiting for it.
func (s *side) publish(name string, payload []byte, results chan<- error) {
	select {
	case s.behind <- struct{}{}:
	default:
		results <- errBehind
		return
	}
	if !s.conn.enter() {
		results <- driver.ErrClosed
		return
	}
	go func() { // ends with the connection at the latest
		defer s.conn.running.Done()
		results <- s.hub.Broadcast(s.conn.life, name, payload)
		<-s.behind
	}()
}

// enter counts a goroutine, unless the connection is over.
func (c *conn) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false
	}
	c.running.Add(1)
	return true
}

// first waits for what both brokers say, but not long for the second when the first has accepted.
func (c *conn) first(ctx context.Context, results <-chan error) error {
	var failed error
	for range c.sides {
		select {
		case err := <-results:
			if err == nil {
				c.second(ctx, results)
				return nil
			}
			failed = errors.Join(failed, err)
		case <-c.Ended():
			return c.Usable(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return failed
}

// second waits for the other broker, if it has not answered.
func (c *conn) second(ctx context.Context, results <-chan error) {
	patience := time.NewTimer(publishPatience)
	defer patience.Stop()
	select {
	case err := <-results:
		_ = err // the other broker has the message
	case <-patience.C:
	case <-ctx.Done():
	}
}

// Subscribe implements driver.Conn. Both brokers have confirmed the topic, but
// those that are away: they are asked when they are back, and a Gap follows.
func (c *conn) Subscribe(ctx context.Context, topic string) error {
	if err := c.Usable(ctx); err != nil {
		return err
	}
	name, err := c.topic(topic)
	if err != nil {
		return err
	}
	return c.both(ctx, func(s *side) error { return s.subscribe(ctx, name) })
}

// subscribe does so once: a second subscription would drop what waits for the first.
func (s *side) subscribe(ctx context.Context, name string) error {
	if s.set(name, true) {
		return nil
	}
	err := s.hub.SubscribeTopic(ctx, session, name, s.receive)
	if err != nil {
		s.set(name, false)
	}
	return err
}

// set notes whether a topic is subscribed, and returns whether it was.
func (s *side) set(name string, to bool) (was bool) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	was = s.topics[name]
	if s.topics[name] = to; !to {
		delete(s.topics, name)
	}
	return was
}

// receive hands on a message of the hub.
func (s *side) receive(_ context.Context, m pubsub.Message) error {
	s.conn.Put(driver.Message{Topic: s.conn.driver.opts.Prefix + m.Topic, Payload: m.Payload, Gap: m.Gap, Trusted: m.Trusted})
	return nil
}

// Unsubscribe implements driver.Conn. A broker that does not answer is asked
// again by its hub.
func (c *conn) Unsubscribe(ctx context.Context, topic string) error {
	if err := c.Usable(ctx); err != nil {
		return err
	}
	name, err := c.topic(topic)
	if err != nil {
		return err
	}
	return c.both(ctx, func(s *side) error {
		s.set(name, false)
		return s.hub.UnsubscribeTopic(ctx, session, name)
	})
}

// both calls f for both brokers at once. It does not wait longer than for the context, or the
// connection.
func (c *conn) both(ctx context.Context, f func(s *side) error) error {
	results := make(chan error, len(c.sides))
	for _, s := range c.sides {
		if !c.enter() {
			return driver.ErrClosed
		}
		go func() { // ends with the connection at the latest
			defer c.running.Done()
			results <- f(s)
		}()
	}
	var failed error
	for range c.sides {
		select {
		case err := <-results:
			failed = errors.Join(failed, err)
		case <-c.Ended():
			return c.Usable(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return failed
}

// release ends what runs, without waiting for it: a hub may be who calls it.
func (c *conn) release() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.end()
	go func() { // Close waits for it
		defer close(c.ended)
		var stopping sync.WaitGroup
		for _, s := range c.sides {
			// A driver whose Close hangs is left alone after a while: its hub ends with it.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(c.life), heartbeatTimeout)
			stopping.Go(func() {
				defer cancel()
				_ = s.hub.Stop(ctx) // nobody can act on its error
			})
		}
		stopping.Wait()
		c.running.Wait()
	}()
}

// Close implements driver.Conn.
func (c *conn) Close() error {
	c.End(driver.ErrClosed)
	<-c.ended
	return nil
}
