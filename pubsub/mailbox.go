package pubsub

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// A subscription is one handler of one session for one topic.
type subscription struct {
	session, topic string
	handler        Handler
	box            *mailbox
	retired        atomic.Bool // no call begins any more
}

// A mailbox holds what waits for the handlers of one session. They are called
// one after the other, in a goroutine that exists only while something waits:
// so a slow session delays nobody else, and an idle one costs nothing.
type mailbox struct {
	hub  *Hub
	uses int // subscriptions; guarded by Hub.mu

	mu      sync.Mutex // guards the rest
	waiting []letter
	working bool // a goroutine is in work
}

// A letter is a message and whom it is for.
type letter struct {
	to *subscription
	m  Message
}

// newSubscription makes a subscription in the session's mailbox. The caller
// holds mu.
func (h *Hub) newSubscription(session, topic string, handler Handler) *subscription {
	box := h.boxes[session]
	if box == nil {
		box = &mailbox{hub: h}
		h.boxes[session] = box
	}
	box.uses++
	return &subscription{session: session, topic: topic, handler: handler, box: box}
}

// retire ends a subscription that is no longer in the registry. Nil is
// harmless.
func (h *Hub) retire(s *subscription) {
	if s == nil || s.retired.Swap(true) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s.box.uses--
	if s.box.uses == 0 && h.boxes[s.session] == s.box {
		delete(h.boxes, s.session)
	}
}

// offer puts a message in, and never waits. When the box is full, what it
// holds is dropped and a Gap for each topic takes its place.
func (b *mailbox) offer(to *subscription, m Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) >= b.hub.opts.Queue {
		b.overflow()
	}
	if m.Gap {
		b.hub.stats.gaps.Add(1)
	}
	b.waiting = append(b.waiting, letter{to, m})
	if !b.working {
		b.working = b.hub.spawn(b.work)
	}
}

// overflow replaces all letters by one Gap for each subscription. The caller
// holds mu.
func (b *mailbox) overflow() {
	b.hub.stats.overflows.Add(1)
	told := make(map[*subscription]bool)
	var gaps []letter
	for _, l := range b.waiting {
		if !told[l.to] && !l.to.retired.Load() {
			told[l.to] = true
			gaps = append(gaps, letter{l.to, Message{Topic: l.to.topic, Gap: true}})
		}
	}
	b.hub.stats.gaps.Add(uint64(len(gaps)))
	b.waiting = gaps
}

// work calls handlers until the box is empty or the hub is stopped.
func (b *mailbox) work() {
	for {
		b.mu.Lock()
		if len(b.waiting) == 0 || b.hub.base.Err() != nil {
			b.waiting, b.working = nil, false
			b.mu.Unlock()
			return
		}
		l := b.waiting[0]
		b.waiting[0] = letter{} // let go of the payload
		b.waiting = b.waiting[1:]
		b.mu.Unlock()
		if !l.to.retired.Load() {
			b.hub.handle(l)
		}
	}
}

// handle calls a handler; what it does wrong ends here.
func (h *Hub) handle(l letter) {
	ctx, cancel := context.WithTimeout(h.base, h.opts.HandlerTimeout)
	defer cancel()
	if err := call(ctx, l); err != nil {
		h.stats.handlerErrors.Add(1)
		h.log.Warn("handler failed", "session", l.to.session, "topic", l.to.topic, "err", err)
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
