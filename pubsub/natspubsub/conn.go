package natspubsub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/internal/natsclient"
	"lockstep/pubsub/driver"
)

const (
	// batch is how many calls one round trip answers at most.
	batch = 256
	// answerTimeout is how long a server may take to answer. Calls end with their
	// contexts before, and the hub's heartbeat finds out sooner.
	answerTimeout = 10 * time.Second
)

// gapHeader marks a message that stands for one that was too large.
const gapHeader = "Lockstep-Gap"

var (
	errLameDuck  = errors.New("the server is about to shut down (lame duck mode)")
	errNoHeaders = errors.New("the server has no headers: it is older than NATS 2.2, or set so")
)

// conn is one connection to a NATS server. All that is sent goes through the
// goroutine work, so that a caller never waits for a socket; what nats.go has
// read comes to the goroutine pump. When the connection is lost both end.
type conn struct {
	// set once
	*driver.Inbox
	nc       *nats.Conn
	addr     string         // of the server
	arrivals chan *nats.Msg // see oneRead
	room     chan struct{}  // of size 1: arrivals has been taken from
	requests chan request
	closed   chan struct{}  // nats.go has ended
	running  sync.WaitGroup // work and pump; both end with the Inbox

	unreachable error // of the last server that was dialled; owned by Open

	heard chan struct{} // of size 1: there are violations

	mu         sync.Mutex               // guards the rest
	topics     map[string]*subscription // by subject
	violations []violation              // since work has looked
	known      error                    // the last violation that it has seen
}

// A subscription is what a subject stands for.
type subscription struct {
	topic     string
	sub       *nats.Subscription // owned by work
	confirmed bool               // by the server; guarded by the conn's mu
}

// A verb is what a request wants.
type verb int

const (
	publish verb = iota
	subscribe
	unsubscribe
)

// A request is one call.
type request struct {
	verb    verb
	topic   string
	subject string
	payload []byte
	done    chan error // of size 1
}

// newConn returns a conn that has not connected yet. end ends its life.
func newConn(end func()) *conn {
	return &conn{
		Inbox: driver.NewInbox(end), arrivals: make(chan *nats.Msg, ahead+oneRead), room: make(chan struct{}, 1),
		requests: make(chan request), closed: make(chan struct{}), heard: make(chan struct{}, 1),
		topics: make(map[string]*subscription),
	}
}

// connect makes the connection; life is its life.
func (c *conn) connect(life context.Context, at *natsclient.Config) (err error) {
	o := at.Options
	o.CustomDialer = at.Dialer(life, c.made)
	o.AsyncErrorCB = func(_ *nats.Conn, _ *nats.Subscription, err error) { c.noticed(err) }
	o.LameDuckModeHandler = func(*nats.Conn) { c.lost(errLameDuck) }
	o.ClosedCB = func(nc *nats.Conn) {
		c.lost(nc.LastError())
		close(c.closed)
	}
	c.nc, err = o.Connect()
	switch {
	case errors.Is(err, nats.ErrNoServers) && c.unreachable != nil:
		return c.unreachable // which nats.go leaves out
	case err != nil:
		return err
	}
	return nil
}

// discard closes what can't be used. A conn that has not connected has nothing to
// close.
func (c *conn) discard(err error) {
	c.End(err)
	if c.nc != nil {
		c.nc.Close()
		<-c.closed
	}
}

// fits returns why a server can't be used, or nil.
func (c *conn) fits() error {
	if !c.nc.HeadersSupported() {
		return errNoHeaders
	}
	if most := c.nc.MaxPayload(); most < driver.MaxPayload {
		return fmt.Errorf("max_payload is %d bytes: it must be %d at least", most, driver.MaxPayload)
	}
	return nil
}

// start puts the conn to work, until its end.
func (c *conn) start() {
	c.running.Go(c.work)
	c.running.Go(c.pump)
}

// lost ends the conn.
func (c *conn) lost(err error) {
	if err == nil {
		err = nats.ErrConnectionClosed
	}
	c.End(fmt.Errorf("natspubsub: %s: %w", c.addr, err))
}

// Publish implements driver.Conn.
func (c *conn) Publish(ctx context.Context, topic string, payload []byte) error {
	// A copy: the caller may be gone when it is sent.
	return c.call(ctx, request{verb: publish, topic: topic, payload: bytes.Clone(payload)})
}

// Subscribe implements driver.Conn.
func (c *conn) Subscribe(ctx context.Context, topic string) error {
	return c.call(ctx, request{verb: subscribe, topic: topic})
}

// Unsubscribe implements driver.Conn.
func (c *conn) Unsubscribe(ctx context.Context, topic string) error {
	return c.call(ctx, request{verb: unsubscribe, topic: topic})
}

// call has a request served.
func (c *conn) call(ctx context.Context, r request) error {
	r.subject, r.done = natsclient.Subject(r.topic), make(chan error, 1)
	return driver.Ask(ctx, c.Inbox, c.requests, r, r.done)
}

// work serves what gathers while its last round trip is under way, in the order
// of the calls.
func (c *conn) work() {
	for {
		select {
		case first := <-c.requests:
			c.serve(driver.Gather(first, c.requests, batch))
		case <-c.Ended():
			return
		}
	}
}

// serve sends requests, and then a PING. When its PONG has come the server has
// dealt with all of them, and has said what it refuses.
func (c *conn) serve(rs []request) {
	if err := c.sendAll(rs); err != nil {
		c.failed(err)
		return
	}
	c.awaitViolations()
	for i, err := range c.outcomes(rs) {
		rs[i].done <- err
	}
}

func (c *conn) sendAll(rs []request) error {
	for _, r := range rs {
		if err := c.send(r); err != nil {
			return err
		}
	}
	return c.nc.FlushTimeout(answerTimeout)
}

// failed ends the conn because something could not be sent. Where the connection
// was lost before, nats.go knows why, and is about to say it.
func (c *conn) failed(err error) {
	if errors.Is(err, nats.ErrConnectionClosed) {
		<-c.Ended()
		return
	}
	c.lost(err)
}

// send writes a request.
func (c *conn) send(r request) error {
	switch r.verb {
	case publish:
		return c.sendMessage(r)
	case subscribe:
		return c.sendSubscription(r)
	}
	return c.forget(r.subject)
}

// sendMessage writes a message, or a notice where the server takes none of its
// size.
func (c *conn) sendMessage(r request) error {
	err := c.nc.Publish(r.subject, r.payload)
	if !errors.Is(err, nats.ErrMaxPayload) {
		return err
	}
	m := nats.NewMsg(r.subject)
	m.Header.Set(gapHeader, "too large")
	return c.nc.PublishMsg(m)
}

// sendSubscription subscribes to what is not subscribed yet.
func (c *conn) sendSubscription(r request) (err error) {
	s := &subscription{topic: r.topic}
	c.mu.Lock()
	_, has := c.topics[r.subject]
	if !has {
		c.topics[r.subject] = s // before its first message
	}
	c.mu.Unlock()
	if !has {
		s.sub, err = c.nc.ChanSubscribe(r.subject, c.arrivals)
	}
	return err
}

// forget unsubscribes from what is subscribed.
func (c *conn) forget(subject string) error {
	c.mu.Lock()
	s := c.topics[subject]
	delete(c.topics, subject)
	c.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.sub.Unsubscribe()
}

// pump passes messages on to Receive.
func (c *conn) pump() {
	for {
		select {
		case m := <-c.arrivals:
			signal(c.room)
			if message, ok := c.read(m); ok && !c.Put(message) {
				return
			}
		case <-c.Ended():
			return
		}
	}
}

// read returns what a message says, unless its topic is not subscribed any more.
func (c *conn) read(m *nats.Msg) (driver.Message, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.topics[m.Subject]
	switch {
	case s == nil:
		return driver.Message{}, false
	case m.Header.Get(gapHeader) != "":
		return driver.Message{Topic: s.topic, Gap: true}, true
	}
	return driver.Message{Topic: s.topic, Payload: m.Data}, true
}

// Close implements driver.Conn. It waits for its goroutines, and those of nats.go.
func (c *conn) Close() error {
	c.End(driver.ErrClosed)
	c.nc.Close()
	<-c.closed
	c.running.Wait()
	return nil
}

// signal wakes who waits on a channel of size 1.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
