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

// A pulse keeps account of the heartbeats of one connection.
type pulse struct {
	alive chan struct{} // closed when the first one has come back

	mu  sync.Mutex // guards the rest
	out []beat     // on their way, the oldest first
	ok  bool       // alive is closed
}

// A beat is one heartbeat on its way.
type beat struct {
	number uint64
	sent   time.Time
}

// add notes that a heartbeat leaves. It returns when the oldest that is on
// its way has left.
func (p *pulse) add(b beat) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.out = append(p.out, b)
	return p.out[0].sent
}

// returned notes that a heartbeat has come back, and with it all before it. It
// reports false for what is not on its way: a duplicate, or one that was sent
// on an earlier connection.
func (p *pulse) returned(number uint64, now time.Time) (time.Duration, bool) {
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
func (p *pulse) oldest() (time.Time, bool) {
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

// heartbeat sends messages through the broker to this hub itself, and gives
// the connection up when one is overdue. It ends with the connection.
func (h *Hub) heartbeat(l *link) {
	next := time.Now().Add(h.opts.HeartbeatInterval)
	for {
		wake := next
		if sent, waiting := l.pulse.oldest(); waiting && sent.Add(h.patience()).Before(next) {
			wake = sent.Add(h.patience())
		}
		if !pause.For(l.life, time.Until(wake)) {
			return
		}
		if sent, waiting := l.pulse.oldest(); waiting && time.Since(sent) >= h.patience() {
			l.lose(errDeaf)
			return
		}
		if time.Now().Before(next) {
			continue
		}
		next = time.Now().Add(h.opts.HeartbeatInterval)
		if err := h.sendBeat(l.life, l); err != nil {
			l.lose(fmt.Errorf("pubsub: heartbeat: %w", err))
			return
		}
	}
}

// sendBeat sends one heartbeat. It takes no longer than the oldest may be on
// its way.
func (h *Hub) sendBeat(ctx context.Context, l *link) error {
	b := beat{number: h.beats.Add(1), sent: time.Now()}
	oldest := l.pulse.add(b)
	ctx, cancel := h.bound(ctx)
	defer cancel()
	ctx, cancel = context.WithDeadline(ctx, oldest.Add(h.patience()))
	defer cancel()
	return l.conn.Publish(ctx, h.self, strconv.AppendUint(nil, b.number, 10))
}

// heard takes in a heartbeat that came back.
func (h *Hub) heard(l *link, payload []byte) {
	number, err := strconv.ParseUint(string(payload), 10, 64)
	if err != nil {
		return // somebody else's: it proves nothing
	}
	if d, ok := l.pulse.returned(number, time.Now()); ok {
		h.stats.roundTrip.Store(int64(d))
		h.opts.OnRoundTrip(d)
	}
}
