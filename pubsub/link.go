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

// A link is one connection to the broker. It is lost once and never used
// again.
type link struct {
	// set once
	conn driver.Conn
	// life ends when the connection is of no more use; its cause says why.
	life context.Context
	lose context.CancelCauseFunc // ends life; the first reason counts
	// closed and quiet are closed when Close has returned and when nothing
	// that was received is dispatched any more.
	closed, quiet chan struct{}
	untidy        chan struct{} // of size 1: a topic is not as it should be
	pulse         pulse
}

// newLink takes charge of a connection. The receive loop runs from the
// beginning, before anything is subscribed.
func (h *Hub) newLink(conn driver.Conn) *link {
	l := &link{
		conn: conn, closed: make(chan struct{}), quiet: make(chan struct{}), untidy: make(chan struct{}, 1),
		pulse: pulse{alive: make(chan struct{})},
	}
	l.life, l.lose = context.WithCancelCause(h.base)
	h.wg.Go(func() { h.receive(l) })
	h.wg.Go(func() { // by itself: a Close that hangs holds up nobody
		defer close(l.closed)
		<-l.life.Done()
		_ = l.conn.Close() // it is given up: nobody can act on its error
	})
	return l
}

// explain adds to an error that the connection is lost, if it is, so that
// callers need not know the driver's errors.
func (l *link) explain(err error) error {
	switch cause := context.Cause(l.life); {
	case cause == nil:
		return err
	case errors.Is(cause, ErrStopped):
		return ErrStopped
	}
	return fmt.Errorf("%w: %w", ErrNotConnected, err)
}

// poke has the topics looked after soon.
func (l *link) poke() {
	select {
	case l.untidy <- struct{}{}:
	default:
	}
}

// receive hands on what arrives on a connection until it is lost.
func (h *Hub) receive(l *link) {
	defer close(l.quiet)
	for {
		m, err := l.conn.Receive(l.life)
		switch {
		case err != nil:
			l.lose(err)
			return
		case l.life.Err() != nil:
			return // the Gap after it speaks for this message too
		case m.Topic == h.self:
			h.heard(l, m.Payload)
		default:
			h.stats.received.Add(1)
			h.dispatch(m)
		}
	}
}

// connect opens a connection and verifies that the broker delivers on it: a
// first heartbeat has come back.
func (h *Hub) connect(ctx context.Context) (*link, error) {
	conn, err := h.open(ctx)
	if err != nil {
		return nil, err
	}
	l := h.newLink(conn)
	if err := h.verify(ctx, l); err != nil {
		l.lose(err)
		h.await(l)
		return nil, err
	}
	return l, nil
}

func (h *Hub) open(ctx context.Context) (driver.Conn, error) {
	ctx, cancel := h.bound(ctx)
	defer cancel()
	return h.driver.Open(ctx)
}

func (h *Hub) verify(ctx context.Context, l *link) error {
	ctx, cancel := h.bound(ctx)
	defer cancel()
	if err := l.conn.Subscribe(ctx, h.self); err != nil {
		return err
	}
	if err := h.sendBeat(ctx, l); err != nil {
		return err
	}
	select {
	case <-l.pulse.alive:
		return nil
	case <-l.life.Done():
		return context.Cause(l.life)
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errDeaf, ctx.Err())
	}
}

// attach puts a connection into use.
func (h *Hub) attach(l *link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.link = l
}

// run keeps the hub connected until Stop. It starts with a connection.
func (h *Hub) run(l *link) {
	for failures := 0; l != nil; {
		since := time.Now()
		h.serve(l)
		h.detach(l)
		// A connection that lived for a while was a good one: start anew.
		if time.Since(since) > h.opts.MaxBackoff {
			failures = 0
		}
		l, failures = h.reconnect(failures)
	}
}

// serve uses a connection until it is lost: it brings the subscriptions at the
// broker in line with the registry, and does so again at each heartbeat for
// those that failed.
func (h *Hub) serve(l *link) {
	h.wg.Go(func() { h.heartbeat(l) })
	tick := time.NewTicker(h.opts.HeartbeatInterval)
	defer tick.Stop()
	for {
		err := h.reconcile(l)
		if l.life.Err() != nil {
			return
		}
		h.report(err)
		select {
		case <-l.life.Done():
			return
		case <-tick.C:
		case <-l.untidy:
		}
	}
}

// detach takes a lost connection out of use and waits for its end.
func (h *Hub) detach(l *link) {
	h.mu.Lock()
	h.link = nil
	for _, t := range h.topics {
		t.at, t.confirmed, t.missed = nil, false, true
	}
	h.mu.Unlock()
	h.report(fmt.Errorf("%w: %w", ErrNotConnected, context.Cause(l.life)))
	h.await(l)
}

// await waits until a lost connection is closed and silent, so that nothing
// old comes after what is new; but not for ever, as a driver may hang.
func (h *Hub) await(l *link) {
	ctx, cancel := h.bound(h.base)
	defer cancel()
	for _, end := range []chan struct{}{l.quiet, l.closed} {
		select {
		case <-end:
		case <-ctx.Done():
			return
		}
	}
}

// reconnect tries until there is a connection, or returns nil on Stop. At most
// one attempt is under way.
func (h *Hub) reconnect(failures int) (*link, int) {
	for pause.For(h.base, h.backoff(failures)) {
		failures++
		l, err := h.connect(h.base)
		if err == nil {
			h.attach(l)
			h.stats.reconnects.Add(1)
			return l, failures
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
