package pubsub

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// A subscription is one handler of one session for one topic.
type subscription struct {
	// set once
	session string
	topic   *topic
	handler Handler
	box     *mailbox

	before  *subscription // the one it replaces, until it has; guarded by Hub.mu
	gap     bool          // a Gap for it waits in box; guarded by box.mu
	retired atomic.Bool   // no call begins any more
}

// A mailbox holds what waits for the handlers of one session. They are called
// one after the other, in a goroutine that exists only while something waits:
// so a slow session delays nobody else, and an idle one costs little.
type mailbox struct {
	// set once
	hub     *Hub
	session string

	subs map[string]*subscription // by topic; guarded by Hub.mu

	mu      sync.Mutex // guards the rest; Hub.mu may be held, never taken
	waiting []envelope
	head    int  // index of the first in waiting
	limit   int  // of envelopes; 0: Options.Queue
	working bool // a goroutine is in work
	unused  bool // nobody subscribes with it any more
}

// An envelope is a message and the subscription that it is for.
type envelope struct {
	to *subscription
	m  Message
}

// keptCap is the capacity, in envelopes, that an empty mailbox may keep.
const keptCap = 16

// offer puts a message in, and never waits. When the box is full, what it
// holds is dropped and a Gap for each topic takes its place. A Gap while
// another waits says nothing new: a flood of them costs no more than the
// handler takes. The caller is counted in Hub.wg.
func (b *mailbox) offer(to *subscription, m Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hub.base.Err() != nil || to.retired.Load() || m.Gap && to.gap {
		return
	}
	if len(b.waiting)-b.head >= max(b.limit, b.hub.opts.Queue) {
		b.overflow()
	}
	if m.Gap {
		if to.gap {
			return // the overflow has made one
		}
		to.gap = true
		b.hub.stats.gaps.Add(1)
	}
	b.compact()
	b.waiting = append(b.waiting, envelope{to, m})
	if !b.working {
		b.working = true
		b.hub.wg.Go(b.work)
	}
}

// overflow replaces all envelopes by one Gap for each subscription. The caller
// holds mu.
func (b *mailbox) overflow() {
	b.hub.stats.overflows.Add(1)
	replaced := make(map[*subscription]bool)
	var gaps []envelope
	for _, e := range b.waiting[b.head:] {
		if !replaced[e.to] && !e.to.retired.Load() {
			replaced[e.to], e.to.gap = true, true
			gaps = append(gaps, envelope{e.to, Message{Topic: e.to.topic.name, Gap: true}})
		}
	}
	b.hub.stats.gaps.Add(uint64(len(gaps)))
	b.waiting, b.head = gaps, 0
	// A session with more topics than places would overflow again with each
	// message: leave it room.
	b.limit = 2 * len(gaps)
}

// compact makes room at the front when at least half of the space is used up.
// The caller holds mu.
func (b *mailbox) compact() {
	if b.head == 0 || len(b.waiting) < cap(b.waiting) || b.head < len(b.waiting)/2 {
		return
	}
	n := copy(b.waiting, b.waiting[b.head:])
	clear(b.waiting[n:])
	b.waiting, b.head = b.waiting[:n], 0
}

// take returns the next envelope. It reports false when there is none, or the
// hub has been stopped: then the goroutine that asks is no longer in charge.
func (b *mailbox) take() (envelope, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.head == len(b.waiting) || b.hub.base.Err() != nil {
		b.empty()
		b.working = false
		return envelope{}, false
	}
	e := b.waiting[b.head]
	b.waiting[b.head] = envelope{} // let go of the payload
	if e.m.Gap {
		e.to.gap = false
	}
	b.head++
	return e, true
}

// empty forgets all envelopes. The caller holds mu.
func (b *mailbox) empty() {
	clear(b.waiting)
	b.waiting, b.head, b.limit = b.waiting[:0], 0, 0
	if cap(b.waiting) > keptCap {
		b.waiting = nil
	}
}

// work calls handlers until the box is empty or the hub is stopped.
func (b *mailbox) work() {
	e, more := b.take()
	defer func() {
		if more { // the handler called runtime.Goexit: go on without it
			b.hub.failed(e.to, errors.New("the handler has ended its goroutine"))
			b.hub.wg.Go(b.work)
		}
	}()
	for ; more; e, more = b.take() {
		if !e.to.retired.Load() {
			b.hub.handle(e)
		}
	}
	if b.abandoned() {
		b.hub.sweep(b)
	}
}

// setUnused notes whether anybody subscribes with the box.
func (b *mailbox) setUnused(yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unused = yes
}

// abandoned reports whether nobody subscribes with the box and no handler
// runs: a new subscription of the session may do without it.
func (b *mailbox) abandoned() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.unused && !b.working
}

// handle calls a handler; what it does wrong ends here.
func (h *Hub) handle(e envelope) {
	ctx, cancel := context.WithTimeout(h.base, h.opts.HandlerTimeout)
	defer cancel()
	defer h.times.handling.Since(time.Now())
	if err := call(ctx, e); err != nil {
		h.failed(e.to, err)
	}
}

func call(ctx context.Context, e envelope) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return e.to.handler(ctx, e.m)
}

// failed counts and logs a handler's failure.
func (h *Hub) failed(s *subscription, err error) {
	h.stats.handlerErrors.Add(1)
	h.log.Warn("handler failed", "session", s.session, "topic", s.topic.name, "err", err)
}
