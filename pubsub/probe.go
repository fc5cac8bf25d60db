package pubsub

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"lockstep/internal/pause"
	"lockstep/pubsub/driver"
)

// errMoved: the connection is to a broker that works, and that the others are
// not at.
var errMoved = errors.New("pubsub: the broker's address leads to another broker now")

// A probe finds out whether a connection and a new one made in the same way
// meet at one broker. A heartbeat can't: it comes back from any broker, also
// from one that was replaced and does not know.
type probe struct {
	mu     sync.Mutex // guards the rest
	number uint64     // of the heartbeat that is expected; 0: none
	seen   chan struct{}
}

// expect makes the connection wait for a heartbeat that comes from another one.
func (p *probe) expect(number uint64) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.number, p.seen = number, make(chan struct{})
	return p.seen
}

// returned notes that a heartbeat has come.
func (p *probe) returned(number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.number != 0 && p.number == number {
		p.number = 0
		close(p.seen)
	}
}

// probeAddress opens another connection from time to time, and ends this one
// when they are not to the same broker. It ends with the connection.
func (h *Hub) probeAddress(c *connection) {
	every := h.opts.ProbeInterval
	if _, costly := driver.AsCostly(h.driver); costly || every < 0 {
		return
	}
	for pause.For(c.life, every*3/4+rand.N(every/2+1)) { // not all replicas at once
		switch err := h.probe(c); {
		case errors.Is(err, errMoved):
			c.lose(err)
			return
		case err != nil && c.life.Err() == nil:
			h.log.Debug("the broker's address tells nothing now", "err", err)
		}
	}
}

// probe returns errMoved if what is sent on a new connection comes back there
// and does not come here. Any other error proves nothing: no connection can be
// had now, or it is not heard on either.
func (h *Hub) probe(c *connection) error {
	conn, err := h.open(c.life)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nobody needs it any more
	number := h.sent.Add(1)
	here := c.probe.expect(number)
	if err := h.echo(c.life, conn, number); err != nil {
		return err
	}
	patience := time.NewTimer(h.patience())
	defer patience.Stop()
	select {
	case <-here:
		return nil
	case <-c.life.Done():
		return context.Cause(c.life)
	case <-patience.C:
		return errMoved
	}
}

// echo sends a heartbeat on a connection and waits until it has come back on
// it. As on every connection somebody receives from the beginning.
func (h *Hub) echo(ctx context.Context, conn driver.Conn, number uint64) error {
	ctx, cancel := h.bound(ctx)
	defer cancel()
	text := strconv.FormatUint(number, 10)
	back := make(chan error, 1)
	go func() { back <- awaitEcho(ctx, conn, text) }() // ends with ctx, before echo returns
	err := conn.Subscribe(ctx, h.self)
	if err == nil {
		err = conn.Publish(ctx, h.self, []byte(text))
	}
	if err != nil {
		cancel()
	}
	return errors.Join(err, <-back)
}

// awaitEcho receives until a payload comes.
func awaitEcho(ctx context.Context, conn driver.Conn, payload string) error {
	for {
		m, err := conn.Receive(ctx)
		if err != nil || string(m.Payload) == payload {
			return err
		}
	}
}
