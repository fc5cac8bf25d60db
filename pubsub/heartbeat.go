package pubsub

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"lockstep/internal/pause"
)

// errDeaf: the connection looks well, but nothing comes back on it.
var errDeaf = errors.New("pubsub: the broker does not deliver")

// heartbeats are those of one connection.
type heartbeats struct {
	alive chan struct{} // closed when the first one has come back

	mu  sync.Mutex  // guards the rest
	out []heartbeat // on their way, the oldest first
	ok  bool        // alive is closed
}

// A heartbeat is on its way through the broker.
type heartbeat struct {
	number uint64
	sent   time.Time
}

// add notes that a heartbeat leaves. It returns when the oldest that is on
// its way has left.
func (p *heartbeats) add(b heartbeat) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = append(p.out, b)
	return p.out[0].sent
}

// returned notes that a heartbeat has come back, and with it all before it. It
// reports false for what is not on its way: a duplicate, or one that was sent
// on an earlier connection.
func (p *heartbeats) returned(number uint64, now time.Time) (time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, b := range p.out {
		if b.number != number {
			continue
		}
		p.out = append(p.out[:0], p.out[i+1:]...)
		if !p.ok {
			p.ok = true
			close(p.alive)
		}
		return now.Sub(b.sent), true
	}
	return 0, false
}

// oldest returns when the oldest heartbeat on its way has left.
func (p *heartbeats) oldest() (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.out) == 0 {
		return time.Time{}, false
	}
	return p.out[0].sent, true
}

// patience is how long a heartbeat may be on its way. One leaves in each
// interval, so that a connection that has gone deaf is noticed HeartbeatTimeout
// after the last that came back. To count from the sending, not from the last
// return, forgives a process that was itself held up.
func (h *Hub) patience() time.Duration { return h.opts.HeartbeatTimeout - h.opts.HeartbeatInterval }

// sendHeartbeats sends messages through the broker to this hub itself, and ends
// the connection when one is overdue. It ends with the connection.
func (h *Hub) sendHeartbeats(c *connection) {
	next := time.Now().Add(h.opts.HeartbeatInterval)
	for {
		wake := next
		if sent, waiting := c.heartbeats.oldest(); waiting && sent.Add(h.patience()).Before(next) {
			wake = sent.Add(h.patience())
		}
		if !pause.For(c.life, time.Until(wake)) {
			return
		}
		if sent, waiting := c.heartbeats.oldest(); waiting && time.Since(sent) >= h.patience() {
			c.lose(errDeaf)
			return
		}
		if time.Now().Before(next) {
			continue
		}
		next = time.Now().Add(h.opts.HeartbeatInterval)
		if err := h.sendHeartbeat(c.life, c); err != nil {
			c.lose(fmt.Errorf("pubsub: heartbeat: %w", err))
			return
		}
	}
}

// sendHeartbeat sends one heartbeat. It takes no longer than the oldest may be
// on its way.
func (h *Hub) sendHeartbeat(ctx context.Context, c *connection) error {
	b := heartbeat{number: h.sent.Add(1), sent: time.Now()}
	oldest := c.heartbeats.add(b)
	ctx, cancel := h.bound(ctx)
	defer cancel()
	ctx, cancel = context.WithDeadline(ctx, oldest.Add(h.patience()))
	defer cancel()
	return c.conn.Publish(ctx, h.self, strconv.AppendUint(nil, b.number, 10))
}

// receiveHeartbeat handles a heartbeat that came back.
func (h *Hub) receiveHeartbeat(c *connection, payload []byte) {
	number, err := strconv.ParseUint(string(payload), 10, 64)
	if err != nil {
		return // somebody else's: it proves nothing
	}
	c.probe.returned(number)
	if d, ok := c.heartbeats.returned(number, time.Now()); ok {
		h.stats.roundTrip.Store(int64(d))
		h.times.roundTrips.Observe(d)
		h.opts.OnRoundTrip(d)
	}
}
