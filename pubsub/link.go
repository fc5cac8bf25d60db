package pubsub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"lockstep/pubsub/driver"
)

// resubscribers is how many topics are subscribed at once after a
// reconnection.
const resubscribers = 16

// A link is one connection to the broker with its heartbeat. It is lost once
// and never used again.
type link struct {
	// set once
	conn driver.Conn
	lost chan struct{} // closed when the connection is of no more use
	beat chan struct{} // of size 1: a heartbeat has come back

	once sync.Once
	err  error // why lost; readable when lost is closed

	mu      sync.Mutex // guards the rest
	seq     uint64     // of the newest heartbeat
	sent    time.Time  // when it was sent
	waiting time.Time  // since when the oldest unanswered heartbeat waits; zero: none
}

// close gives the connection up. The first reason counts.
func (l *link) close(err error) {
	l.once.Do(func() {
		l.err = err
		close(l.lost)
		_ = l.conn.Close() // it is given up: nobody can act on its error
	})
}

// run keeps the hub connected until Stop. It starts with a connection.
func (h *Hub) run(l *link) {
	for failures := 0; ; {
		since := time.Now()
		h.serve(l)
		l.close(ErrStopped)
		if !h.detach(l) {
			return
		}
		// A connection that lived for a while was a good one: start anew.
		if time.Since(since) > h.opts.MaxBackoff {
			failures = 0
		}
		var ok bool
		if l, failures, ok = h.reconnect(failures); !ok {
			return
		}
		h.stats.reconnects.Add(1)
	}
}

// reconnect tries until there is a connection, or reports false on Stop. At
// most one attempt is under way.
func (h *Hub) reconnect(failures int) (*link, int, bool) {
	for {
		if !h.pause(h.backoff(failures)) {
			return nil, 0, false
		}
		failures++
		l, err := h.connect(h.base)
		if err == nil {
			return l, failures, true
		}
		h.log.Debug("still not connected", "err", err)
		h.setErr(fmt.Errorf("%w: %w", ErrNotConnected, err))
	}
}

// backoff is the pause before the next attempt: full jitter below a bound
// that doubles (AWS Architecture Blog, "Exponential Backoff And Jitter").
func (h *Hub) backoff(failures int) time.Duration {
	bound := h.opts.MinBackoff << min(failures, 30)
	if bound <= 0 || bound > h.opts.MaxBackoff {
		bound = h.opts.MaxBackoff
	}
	return rand.N(bound + 1)
}

func (h *Hub) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-h.stop:
		return false
	}
}

// connect opens a connection and verifies that the broker delivers on it:
// a first heartbeat has come back. The receive loop runs from the beginning,
// before anything is subscribed.
func (h *Hub) connect(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*h.opts.OpTimeout)
	defer cancel()
	conn, err := h.driver.Open(ctx)
	if err != nil {
		return nil, err
	}
	l := &link{conn: conn, lost: make(chan struct{}), beat: make(chan struct{}, 1)}
	if !h.spawn(func() { h.receive(l) }) {
		l.close(ErrStopped)
		return nil, ErrStopped
	}
	if err := h.verify(ctx, l); err != nil {
		l.close(err)
		return nil, err
	}
	return l, nil
}

func (h *Hub) verify(ctx context.Context, l *link) error {
	if err := l.conn.Subscribe(ctx, h.self); err != nil {
		return err
	}
	if err := h.sendBeat(ctx, l); err != nil {
		return err
	}
	select {
	case <-l.beat:
		return nil
	case <-l.lost:
		return l.err
	case <-ctx.Done():
		return errors.Join(errDeaf, ctx.Err())
	}
}

// serve uses a connection until it is lost: it subscribes all topics, and then
// sends heartbeats and watches for their return.
func (h *Hub) serve(l *link) {
	h.mu.Lock()
	h.link = l
	h.mu.Unlock()
	h.setErr(h.reconcile(l))

	tick := time.NewTicker(h.opts.HeartbeatInterval)
	defer tick.Stop()
	for {
		select {
		case <-h.stop:
			return
		case <-l.lost:
			return
		case <-tick.C:
		}
		if l.deaf(h.opts.HeartbeatTimeout) {
			l.close(errDeaf)
			return
		}
		if err := h.sendBeat(h.base, l); err != nil {
			l.close(err)
			return
		}
		h.setErr(h.reconcile(l))
	}
}

// detach takes a lost connection out of use. It reports false when the hub
// has been stopped.
func (h *Hub) detach(l *link) bool {
	h.mu.Lock()
	h.link = nil
	for _, t := range h.topics {
		t.on, t.missed = nil, true
	}
	ok := h.phase == running
	h.mu.Unlock()
	if ok {
		h.log.Warn("connection to the broker lost", "err", l.err)
		h.setErr(fmt.Errorf("%w: %w", ErrNotConnected, l.err))
	}
	return ok
}

// sendBeat sends a message to this hub itself.
func (h *Hub) sendBeat(ctx context.Context, l *link) error {
	now := time.Now()
	l.mu.Lock()
	l.seq++
	seq := l.seq
	l.sent = now
	if l.waiting.IsZero() {
		l.waiting = now
	}
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, h.opts.OpTimeout)
	defer cancel()
	return l.conn.Publish(ctx, h.self, strconv.AppendUint(nil, seq, 10))
}

// returned takes in a heartbeat that came back. Only the newest counts: what
// is older says nothing about how the connection is now.
func (h *Hub) returned(l *link, payload []byte) {
	seq, err := strconv.ParseUint(string(payload), 10, 64)
	l.mu.Lock()
	current := err == nil && seq == l.seq
	d := time.Since(l.sent)
	if current {
		l.waiting = time.Time{}
	}
	l.mu.Unlock()
	if !current {
		return
	}
	h.stats.roundTrip.Store(int64(d))
	h.opts.OnRoundTrip(d)
	select {
	case l.beat <- struct{}{}:
	default: // nobody waits for it but connect, once
	}
}

// deaf reports whether heartbeats have gone unanswered for too long.
func (l *link) deaf(limit time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.waiting.IsZero() && time.Since(l.waiting) >= limit
}

// receive hands on what arrives on a connection until it is lost.
func (h *Hub) receive(l *link) {
	for {
		m, err := l.conn.Receive(h.base)
		if err != nil {
			l.close(err)
			return
		}
		if m.Topic == h.self {
			h.returned(l, m.Payload)
			continue
		}
		h.stats.received.Add(1)
		h.dispatch(m)
	}
}

// reconcile subscribes every topic that is not subscribed on the connection:
// all of them after a reconnection, later those that the broker refused. A
// refused topic holds up no other. It returns why a topic is not subscribed,
// or nil.
func (h *Hub) reconcile(l *link) error {
	var pending []*topic
	h.mu.Lock()
	for _, t := range h.topics {
		if t.on != l && len(t.subs) > 0 {
			pending = append(pending, t)
		}
	}
	h.mu.Unlock()
	if len(pending) == 0 {
		return nil
	}
	var (
		wg    sync.WaitGroup
		slots = make(chan struct{}, resubscribers)
		errs  = make(chan error, len(pending))
	)
	for _, t := range pending {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs <- h.resubscribe(l, t)
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (h *Hub) resubscribe(l *link, t *topic) error {
	ctx, cancel := context.WithTimeout(h.base, h.opts.OpTimeout)
	defer cancel()
	if err := t.lock(ctx); err != nil {
		return nil // somebody else is at it
	}
	defer t.unlock()
	h.mu.Lock()
	needed := h.topics[t.name] == t && len(t.subs) > 0 && t.on != l
	h.mu.Unlock()
	if !needed {
		return nil
	}
	return h.confirm(ctx, l, t)
}
