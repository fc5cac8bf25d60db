package pubsubtest

import (
	"context"

	"lockstep/pubsub/driver"
)

// Fail makes the next n calls of an operation return err without reaching the
// broker; a negative n: all of them until Heal. Heartbeats count as calls.
func (r *Recorder) Fail(op Op, n int, err error) { r.FailTopic(op, "", n, err) }

// FailTopic is Fail for the calls that name a topic, given as the broker sees
// it.
func (r *Recorder) FailTopic(op Op, topic string, n int, err error) {
	r.change(func() { r.faults[fault{op, topic}] = &failure{err, n} })
}

// Stall makes calls of an operation block until release is called or their
// context ends. Then they go on, or return the context's error. Close has no
// context: it blocks until release.
func (r *Recorder) Stall(op Op) (release func()) {
	ch := make(chan struct{})
	r.change(func() { r.stalls[op] = ch })
	return func() {
		r.change(func() {
			if r.stalls[op] == ch {
				delete(r.stalls, op)
				close(ch)
			}
		})
	}
}

// Deafen makes the connections that are open now deliver nothing any more. They
// look healthy in all other ways. New ones deliver.
func (r *Recorder) Deafen() {
	r.change(func() {
		for c := range r.conns {
			c.deaf = true
		}
	})
}

// SetDeaf makes every connection, also a new one, deliver nothing, or no longer.
func (r *Recorder) SetDeaf(deaf bool) { r.change(func() { r.deaf = deaf }) }

// Disconnect breaks the connections that are open now: their calls return
// ErrDisconnected, a blocked Receive too. New ones can be made.
func (r *Recorder) Disconnect() {
	var broken []*conn
	r.change(func() {
		for c := range r.conns {
			broken = append(broken, c)
			close(c.broken)
			delete(r.conns, c)
		}
	})
	for _, c := range broken {
		_ = c.inner.Close() // it is broken in any case
	}
}

// Deliver makes every connection that works receive m, subscribed or not. With
// Gap and without a topic it is what a broker says that has lost messages.
func (r *Recorder) Deliver(m driver.Message) {
	r.change(func() {
		for c := range r.conns {
			c.extra = append(c.extra, m)
			c.interrupt()
		}
	})
}

// Heal ends all failures and SetDeaf. It neither releases what is stalled nor
// mends connections.
func (r *Recorder) Heal() {
	r.change(func() {
		clear(r.faults)
		r.deaf = false
	})
}

// stalled waits while an operation is stalled.
func (r *Recorder) stalled(ctx context.Context, op Op) error {
	r.mu.Lock()
	release := r.stalls[op]
	r.mu.Unlock()
	if release == nil {
		return nil
	}
	select {
	case <-release:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fault returns the error that a call is to fail with, or nil.
func (r *Recorder) fault(c Call) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, which := range []fault{{c.Op, c.Topic}, {c.Op, ""}} {
		if f := r.faults[which]; f != nil && f.left != 0 {
			f.left--
			return f.err
		}
	}
	return nil
}
