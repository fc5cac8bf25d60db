package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"lockstep/pubsub"
)

// What a room believes.
//
// The store is the truth: what it has said, as the answer to a read or to an op,
// a newer (epoch, version) replaces and nothing else does. What only a broadcast
// has said is provisional. It is shown when a replica has sent it (see
// pubsub.Message.Trusted), and when it is no leap: else the store is asked
// first. And the next read that began after the broadcast was heard replaces
// it, older or not: a true broadcast comes after its commit, so such a read
// would have found it.
//
// A tab drops what is older than what it shows, so a state that takes a room
// back says so in its message, and so do those that follow, up to the version
// that never was: tabs obey it (docs/protocol.md).

// A tick is a moment on the clock of a kind of rooms.
type tick uint64

// A clock orders the begins of reads and what is heard. It counts: on a clock
// of time two may be in the same instant.
type clock struct{ ticks atomic.Uint64 }

// now is later than every now that was before.
func (c *clock) now() tick { return tick(c.ticks.Add(1)) }

// A known is a state, and what it is ordered by.
type known[S any] struct {
	state S
	at    revision
	order bool // at says something: there is an Order
}

// newer reports whether k takes the place of o.
func (k known[S]) newer(o known[S]) bool { return !k.order || k.at.newer(o.at) }

// A hearsay is what a broadcast has said and the store has not.
type hearsay struct {
	at tick // when it was heard; 0: there is none
}

// ErrReadIt is what RoomsOptions.Decode returns, beside a state of which only the
// order is known, when the broadcast does not have the state: it is to be read
// from the store.
var ErrReadIt = errors.New("live: the state is to be read from the store")

// maxAhead is how many versions a broadcast may be ahead and still be believed.
const maxAhead = 1 << 20

// order asks the application what a state is ordered by: never under a lock.
func (rs *Rooms[S]) order(s S) (k known[S], err error) {
	k.state = s
	if rs.opts.Order == nil {
		return k, nil
	}
	defer rs.rt.guard.Caught("Order", &err)
	k.order = true
	k.at[0], k.at[1] = rs.opts.Order(s)
	return k, nil
}

// receive handles a message from the broker. It does not wait for the store.
func (rs *Rooms[S]) receive(_ context.Context, r *stateRoom[S], m pubsub.Message) error {
	heard, reached := rs.clock.now(), rs.rt.follow(r.topic, Heard)
	if m.Gap {
		rs.seek(r, heard, false)
		return nil
	}
	k, err := rs.decode(m.Payload)
	absent := errors.Is(err, ErrReadIt)
	if err != nil && !absent {
		return fmt.Errorf("live: a broadcast on %q: %w", r.topic, err)
	}
	if m.Trusted {
		reached(k.at)
	}
	v, fits := rs.judge(r, k, m.Trusted), false
	made := k
	if v == believed && !absent {
		made, _, fits = rs.apply(r, k)
	}
	if m.Trusted {
		rs.tell(r.key, made.state)
	}
	switch {
	case v == ignored:
	case fits:
		rs.hear(r, made, hearsay{heard})
		rs.advance(r)
	default:
		if m.Trusted && !absent {
			rs.keep(r, k, heard)
		}
		rs.seek(r, heard, absent)
	}
	return nil
}

// tell calls Heard.
func (rs *Rooms[S]) tell(key string, s S) {
	if rs.opts.Heard != nil {
		_ = rs.rt.guard.Call("Heard", func() { rs.opts.Heard(key, s) }) // it has been logged
	}
}

func (rs *Rooms[S]) decode(payload []byte) (k known[S], err error) {
	defer rs.rt.guard.Caught("Decode", &err)
	s, err := rs.opts.Decode(payload)
	if err != nil && !errors.Is(err, ErrReadIt) {
		return k, err
	}
	k, failed := rs.order(s)
	if failed != nil {
		return k, failed
	}
	return k, err
}

// A verdict is what is done about a broadcast.
type verdict uint8

const (
	ignored  verdict = iota // it says nothing new
	doubted                 // the store is asked
	believed                // it is shown until the store is asked
)

// judge says what a broadcast deserves. One that is not news costs nothing. Before
// the first read of a room, by nobody who is known to be a replica, of a later
// epoch, or of a version far ahead, it is no more than a reason to ask the store.
func (rs *Rooms[S]) judge(r *stateRoom[S], k known[S], trusted bool) verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	if trusted {
		r.misses = 0
	}
	switch {
	case r.seq > 0 && !k.newer(r.known):
		return ignored
	case rs.loader == nil:
		return believed // there is nothing else to believe
	case r.seq == 0 || !trusted:
		return doubted
	case k.order && (k.at[0] > r.known.at[0] || k.at[1]-r.known.at[1] > maxAhead):
		return doubted
	}
	return believed
}

// hear takes what a broadcast has said, if it is newer.
func (rs *Rooms[S]) hear(r *stateRoom[S], k known[S], h hearsay) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seq == 0 || k.newer(r.known) {
		rs.take(r, k)
		if rs.loader != nil && k.order {
			r.hearsay = h
		}
	}
}

// confirm takes what a read of the store has said, and reports whether the room
// had missed it.
func (rs *Rooms[S]) confirm(r *stateRoom[S], got loaded[S]) (missed bool) {
	k, err := rs.order(got.state)
	if err != nil {
		return false
	}
	missed = rs.settle(r, k, got.began)
	r.borneOut(got.asked)
	rs.advance(r)
	rs.answer(r, got.began)
	return missed
}

// settle is confirm for a state with its order. The answer to an op began when
// nobody knows: 0.
func (rs *Rooms[S]) settle(r *stateRoom[S], k known[S], began tick) (missed bool) {
	denied := rs.denied(r, k)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.seq == 0 || k.newer(r.known):
		rs.take(r, k)
		return true
	case r.hearsay.at == 0: // the store has said what is shown
		return false
	case k.at == r.known.at && r.hearsay.at != denied:
		r.hearsay = hearsay{} // now it has
		return false
	case k.at != r.known.at && began <= r.hearsay.at: // it may be true: the read began too early
		return false
	}
	rs.rt.stats.corrections.Add(1)
	if r.known.at.newer(r.peak) {
		r.peak = r.known.at
	}
	rs.take(r, k)
	return false
}

// denied returns the hearsay that the store has another state for under the same
// version, or 0.
func (rs *Rooms[S]) denied(r *stateRoom[S], k known[S]) tick {
	r.mu.Lock()
	h, was := r.hearsay, r.known
	r.mu.Unlock()
	if h.at == 0 || k.at != was.at {
		return 0
	}
	if rs.same(k.state, was.state) {
		return 0
	}
	return h.at
}

// same reports whether two states of one version are the same, as far as that can be told.
func (rs *Rooms[S]) same(a, b S) (same bool) {
	if rs.opts.Equal != nil {
		same = true
		_ = rs.rt.guard.Call("Equal", func() { same = rs.opts.Equal(a, b) }) // it has been logged
		return same
	}
	said, err := rs.encode(a)
	if err != nil {
		return true
	}
	shown, err := rs.encode(b)
	return err != nil || bytes.Equal(said, shown)
}

func (rs *Rooms[S]) encode(s S) (payload []byte, err error) {
	defer rs.rt.guard.Caught("Encode", &err)
	return rs.opts.Encode(s)
}

// take makes k the room's state. The caller holds mu.
func (rs *Rooms[S]) take(r *stateRoom[S], k known[S]) {
	if !k.newer(r.known) {
		r.before = nil // what tabs may show never was
	}
	r.known, r.hearsay, r.changed = k, hearsay{}, time.Now()
	r.accept()
	if rs.opts.Items == nil {
		return
	}
	if len(r.before) == maxAccepted {
		r.before = slices.Delete(r.before, 0, maxAccepted/2)
	}
	r.before = append(r.before, accepted[S]{k, r.seq})
}
