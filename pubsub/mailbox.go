package pubsub

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// A subscription is one handler of one session for one topic.
type subscription struct {
	// set once
	session string
	topic   *topic
	handler Handler
	box     *mailbox

	before  *subscription // the one it replaces, until it has; guarded by Hub.mu
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

	mu       sync.Mutex // guards the rest; Hub.mu may be held, never taken
	waiting  []letter
	head     int  // index of the first in waiting
	limit    int  // of letters; 0: Options.Queue
	working  bool // a goroutine is in work
	deserted bool // nobody subscribes with it any more
}

// A letter is a message and whom it is for.
type letter struct {
	to *subscription
	m  Message
}

// keptCap is the capacity, in letters, that an empty mailbox may keep.
const keptCap = 16

// offer puts a message in, and never waits. When the box is full, what it
// holds is dropped and a Gap for each topic takes its place. The caller is
// counted in Hub.wg.
func (b *mailbox) offer(to *subscription, m Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hub.base.Err() != nil || to.retired.Load() {
		return
	}
	if len(b.waiting)-b.head >= max(b.limit, b.hub.opts.Queue) {
		b.overflow()
	}
	if m.Gap {
		b.hub.stats.gaps.Add(1)
	}
	b.compact()
	b.waiting = append(b.waiting, letter{to, m})
	if !b.working {
		b.working = true
		b.hub.wg.Go(b.work)
	}
}

// overflow replaces all letters by one Gap for each subscription. The caller
// holds mu.
func (b *mailbox) overflow() {
	b.hub.stats.overflows.Add(1)
	told := make(map[*subscription]bool)
	var gaps []letter
	for _, l := range b.waiting[b.head:] {
		if !told[l.to] && !l.to.retired.Load() {
			told[l.to] = true
			gaps = append(gaps, letter{l.to, Message{Topic: l.to.topic.name, Gap: true}})
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

// take returns the next letter. It reports false when there is none, or the
// hub has been stopped: then the goroutine that asks is no longer in charge.
func (b *mailbox) take() (letter, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.head == len(b.waiting) || b.hub.base.Err() != nil {
		b.empty()
		b.working = false
		return letter{}, false
	}
	l := b.waiting[b.head]
	b.waiting[b.head] = letter{} // let go of the payload
	b.head++
	return l, true
}

// empty forgets all letters. The caller holds mu.
func (b *mailbox) empty() {
	clear(b.waiting)
	b.waiting, b.head, b.limit = b.waiting[:0], 0, 0
	if cap(b.waiting) > keptCap {
		b.waiting = nil
	}
}

// work calls handlers until the box is empty or the hub is stopped.
func (b *mailbox) work() {
	l, more := b.take()
	defer func() {
		if more { // the handler called runtime.Goexit: go on without it
			b.hub.failed(l.to, errors.New("the handler has ended its goroutine"))
			b.hub.wg.Go(b.work)
		}
	}()
	for ; more; l, more = b.take() {
		if !l.to.retired.Load() {
			b.hub.handle(l)
		}
	}
	if b.abandoned() {
		b.hub.sweep(b)
	}
}

// desert notes whether anybody subscribes with the box.
func (b *mailbox) desert(yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deserted = yes
}

// abandoned reports whether nobody subscribes with the box and no handler
// runs: a new subscription of the session may do without it.
func (b *mailbox) abandoned() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.deserted && !b.working
}

// handle calls a handler; what it does wrong ends here.
func (h *Hub) handle(l letter) {
	ctx, cancel := context.WithTimeout(h.base, h.opts.HandlerTimeout)
	defer cancel()
	if err := call(ctx, l); err != nil {
		h.failed(l.to, err)
	}
}

func call(ctx context.Context, l letter) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return l.to.handler(ctx, l.m)
}

// failed counts and logs a handler's failure.
func (h *Hub) failed(s *subscription, err error) {
	h.stats.handlerErrors.Add(1)
	h.log.Warn("handler failed", "session", s.session, "topic", s.topic.name, "err", err)
}
