package pubsub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"lockstep/internal/pause"
	"lockstep/pubsub/driver"
)

// A connection is one to the broker. It is lost once and never used again.
type connection struct {
	// set once
	conn driver.Conn
	// life ends when the connection is of no more use; its cause says why.
	life context.Context
	lose context.CancelCauseFunc // ends life; the first reason counts
	// closed and quiet are closed when Close has returned and when nothing
	// that was received is dispatched any more.
	closed, quiet chan struct{}
	dirty         chan struct{} // of size 1: a topic is not as it should be
	heartbeats    heartbeats
	probe         probe
}

// newConnection takes charge of a connection. The receive loop runs from the
// beginning, before anything is subscribed.
func (h *Hub) newConnection(conn driver.Conn) *connection {
	c := &connection{
		conn: conn, closed: make(chan struct{}), quiet: make(chan struct{}), dirty: make(chan struct{}, 1),
		heartbeats: heartbeats{alive: make(chan struct{})},
	}
	c.life, c.lose = context.WithCancelCause(h.base)
	h.wg.Go(func() { h.receive(c) })
	h.wg.Go(func() { // by itself: a Close that hangs holds up nobody
		defer close(c.closed)
		<-c.life.Done()
		_ = c.conn.Close() // it is lost: nobody can act on its error
	})
	return c
}

// explain adds to an error that the connection is lost, if it is, so that
// callers need not know the driver's errors.
func (c *connection) explain(err error) error {
	switch cause := context.Cause(c.life); {
	case cause == nil:
		return err
	case errors.Is(cause, ErrStopped):
		return ErrStopped
	}
	return fmt.Errorf("%w: %w", ErrNotConnected, err)
}

// markDirty makes serve reconcile the topics soon.
func (c *connection) markDirty() {
	select {
	case c.dirty <- struct{}{}:
	default:
	}
}

// receive dispatches what arrives on a connection until it is lost.
func (h *Hub) receive(c *connection) {
	defer close(c.quiet)
	for {
		m, err := c.conn.Receive(c.life)
		switch {
		case err != nil:
			c.lose(err)
			return
		case c.life.Err() != nil:
			return // the Gap that follows covers this message too
		case m.Topic == h.self:
			h.receiveHeartbeat(c, m.Payload)
		default:
			h.stats.received.Add(1)
			h.dispatch(m)
		}
	}
}

// connect opens a connection and verifies that the broker delivers on it: a
// first heartbeat has come back.
func (h *Hub) connect(ctx context.Context) (*connection, error) {
	conn, err := h.open(ctx)
	if err != nil {
		return nil, err
	}
	c := h.newConnection(conn)
	if err := h.verify(ctx, c); err != nil {
		c.lose(err)
		h.await(c)
		return nil, err
	}
	return c, nil
}

func (h *Hub) open(ctx context.Context) (driver.Conn, error) {
	most := h.opts.OpTimeout
	if c, is := driver.AsCostly(h.driver); is {
		most = max(most, c.OpenTimeout())
	}
	ctx, cancel := h.boundBy(ctx, most)
	defer cancel()
	return h.driver.Open(ctx)
}

func (h *Hub) verify(ctx context.Context, c *connection) error {
	ctx, cancel := h.bound(ctx)
	defer cancel()
	if err := c.conn.Subscribe(ctx, h.self); err != nil {
		return err
	}
	if err := h.sendHeartbeat(ctx, c); err != nil {
		return err
	}
	select {
	case <-c.heartbeats.alive:
		return nil
	case <-c.life.Done():
		return context.Cause(c.life)
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errDeaf, ctx.Err())
	}
}

// attach puts a connection into use.
func (h *Hub) attach(c *connection) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conn = c
}

// run keeps the hub connected until Stop. It starts with a connection; nil: the hub has stopped.
func (h *Hub) run(c *connection) {
	for failures := 0; c != nil; {
		since := time.Now()
		h.serve(c)
		h.detach(c)
		// A connection that lived for a while was a good one: start anew.
		if time.Since(since) > h.opts.MaxBackoff {
			failures = 0
		}
		if c, failures = h.reconnect(failures); c != nil {
			h.stats.reconnects.Add(1)
		}
	}
}

// serve uses a connection until it is lost: it brings the subscriptions at the
// broker in line with the registry, and does so again at each heartbeat for
// those that failed.
func (h *Hub) serve(c *connection) {
	h.wg.Go(func() { h.sendHeartbeats(c) })
	h.wg.Go(func() { h.probeAddress(c) })
	tick := time.NewTicker(h.opts.HeartbeatInterval)
	defer tick.Stop()
	for {
		err := h.reconcile(c)
		if c.life.Err() != nil {
			return
		}
		h.report(err)
		select {
		case <-c.life.Done():
			return
		case <-tick.C:
		case <-c.dirty:
		}
	}
}

// detach takes a lost connection out of use and waits for its end.
func (h *Hub) detach(c *connection) {
	h.mu.Lock()
	h.conn = nil
	for _, t := range h.topics {
		t.at, t.confirmed, t.missed = nil, false, true
	}
	h.mu.Unlock()
	h.report(fmt.Errorf("%w: %w", ErrNotConnected, context.Cause(c.life)))
	h.await(c)
}

// await waits until a lost connection is closed and silent, so that nothing
// old comes after what is new; but not for ever, as a driver may hang.
func (h *Hub) await(c *connection) {
	ctx, cancel := h.bound(h.base)
	defer cancel()
	for _, end := range []chan struct{}{c.quiet, c.closed} {
		select {
		case <-end:
		case <-ctx.Done():
			return
		}
	}
}

// reconnect tries until there is a connection, or returns nil on Stop. At most
// one attempt is under way.
func (h *Hub) reconnect(failures int) (*connection, int) {
	for pause.For(h.base, h.backoff(failures)) {
		failures++
		c, err := h.connect(h.base)
		if err == nil {
			h.attach(c)
			return c, failures
		}
		h.report(fmt.Errorf("%w: %w", ErrNotConnected, err))
	}
	return nil, 0
}

// backoff is the pause before the next attempt: full jitter below a bound
// that doubles (AWS Architecture Blog, "Exponential Backoff And Jitter").
func (h *Hub) backoff(failures int) time.Duration {
	bound := h.opts.MaxBackoff
	if n := min(failures, 62); h.opts.MinBackoff < bound>>n {
		bound = h.opts.MinBackoff << n
	}
	return rand.N(bound + 1)
}
