package pubsub

import (
	"context"
	"fmt"
)

// A topic is the local side of one topic: its handlers, and the subscription
// at the broker that they share.
type topic struct {
	// set once
	name string
	// sem is a mutex of size 1, held around calls of the broker for this topic.
	// Only its holder adds handlers, or takes the topic out of the registry.
	sem chan struct{}

	// guarded by Hub.mu
	subs map[string]*subscription // by session
	all  []*subscription          // subs for dispatch, never changed in place; nil: to be made
	// at is the connection on which the topic is, or may be, subscribed; nil:
	// on none. It is certain when the broker has confirmed it.
	at        *connection
	confirmed bool
	missed    bool // messages may have been lost since handlers came
}

// lock locks sem, or returns ctx's error when that ends first.
func (t *topic) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case t.sem <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *topic) unlock() { <-t.sem }

// on reports whether the broker has confirmed the topic on a connection. The
// caller holds Hub.mu.
func (t *topic) on(c *connection) bool { return t.confirmed && t.at == c }

// SubscribeTopic calls handler with the messages of topic from now on. The first
// handler of a topic subscribes it at the broker; a second one of the same
// session replaces the first, with what still waits for it.
//
// Nil means that everything broadcast from now on arrives, or a Gap in its
// place. An error means that nothing was recorded, and that an earlier handler
// is still in place. While there is no connection, or when it is lost
// meanwhile, the subscription is recorded and nil returned: the handler gets a
// Gap when the broker has confirmed it. Before Start and after Stop the error
// is ErrStopped.
func (h *Hub) SubscribeTopic(ctx context.Context, session, topic string, handler Handler) error {
	if err := h.checkTopic(topic); err != nil {
		return err
	}
	if err := h.enter(); err != nil {
		return err
	}
	defer h.wg.Done()
	ctx, cancel := h.bound(ctx)
	defer cancel()
	err := h.subscribe(ctx, session, topic, handler)
	switch {
	case err == nil:
		return nil
	case h.base.Err() != nil:
		return ErrStopped
	}
	return fmt.Errorf("pubsub: subscribe to %q: %w", topic, err)
}

func (h *Hub) subscribe(ctx context.Context, session, name string, handler Handler) error {
	t, err := h.lockTopic(ctx, name)
	if err != nil {
		return err
	}
	defer t.unlock()
	// The handler is in place before the broker is asked: messages may come
	// right after its confirmation.
	s, c := h.insert(t, session, handler)
	if c != nil {
		if err := h.confirm(ctx, c, t); err != nil && !h.outlives(c) {
			h.rollBack(s, c)
			return err
		}
	}
	h.settle(s)
	return nil
}

// lockTopic returns the entry of a topic, locked; it makes it if there is none.
func (h *Hub) lockTopic(ctx context.Context, name string) (*topic, error) {
	for {
		t := h.entry(name)
		if err := t.lock(ctx); err != nil {
			return nil, err
		}
		if h.registered(t) {
			return t, nil
		}
		t.unlock() // it was removed while we waited
	}
}

func (h *Hub) entry(name string) *topic {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[name]
	if t == nil {
		t = &topic{name: name, sem: make(chan struct{}, 1), subs: make(map[string]*subscription)}
		h.topics[name] = t
	}
	return t
}

func (h *Hub) registered(t *topic) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.topics[t.name] == t
}

// insert records a handler. It returns the connection on which the topic must
// be subscribed first, or nil.
func (h *Hub) insert(t *topic, session string, handler Handler) (*subscription, *connection) {
	h.mu.Lock()
	defer h.mu.Unlock()
	box := h.boxes[session]
	if box == nil {
		box = &mailbox{hub: h, session: session, subs: make(map[string]*subscription)}
		h.boxes[session] = box
	}
	box.setUnused(false)
	s := &subscription{session: session, topic: t, handler: handler, box: box, before: t.subs[session]}
	h.place(s)
	if h.conn == nil {
		t.missed = true
		return s, nil
	}
	if t.on(h.conn) {
		return s, nil
	}
	return s, h.conn
}

// place makes s the handler of its session and topic. The caller holds mu.
func (h *Hub) place(s *subscription) {
	s.topic.subs[s.session], s.topic.all = s, nil
	s.box.subs[s.topic.name] = s
}

// settle ends the handler that s has replaced.
func (h *Hub) settle(s *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.before != nil {
		s.before.retired.Store(true)
		s.before = nil
	}
}

// rollBack undoes a subscription that the broker has refused on c.
func (h *Hub) rollBack(s *subscription, c *connection) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := s.before
	s.before = nil
	if s.topic.subs[s.session] != s {
		return // it was unsubscribed meanwhile, and before with it
	}
	h.remove(s)
	if before != nil {
		s.box.setUnused(false)
		h.boxes[s.session] = s.box
		h.place(before)
	}
	c.markDirty() // the broker may have recorded it all the same
}

// remove ends a subscription, with the one that it was about to replace. The
// caller holds mu.
func (h *Hub) remove(s *subscription) {
	delete(s.topic.subs, s.session)
	s.topic.all = nil
	delete(s.box.subs, s.topic.name)
	s.retired.Store(true)
	if s.before != nil {
		s.before.retired.Store(true)
	}
	if len(s.box.subs) > 0 {
		return
	}
	s.box.setUnused(true)
	h.forget(s.box)
}

// sweep forgets a mailbox if it is not used any more.
func (h *Hub) sweep(b *mailbox) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forget(b)
}

// forget is sweep for a caller that holds mu. A box whose handler still runs is
// kept, so that a new subscription of the session waits for its turn.
func (h *Hub) forget(b *mailbox) {
	if h.boxes[b.session] == b && b.abandoned() {
		delete(h.boxes, b.session)
	}
}

// outlives reports whether a subscription stays although the broker has not
// confirmed it: its connection was lost, the next one subscribes again.
func (h *Hub) outlives(c *connection) bool {
	return c.life.Err() != nil && h.base.Err() == nil
}

// UnsubscribeTopic ends the handler of session for topic; the last one of a
// topic ends the subscription at the broker. When it returns no further
// message is handed to the handler. A call that is under way is not waited
// for, so that a handler may unsubscribe itself. What was not subscribed is no
// error. An error is the broker's: the handler has ended all the same, and the
// hub tries again. It does not end with ctx, as it cleans up, but after
// OpTimeout.
func (h *Hub) UnsubscribeTopic(ctx context.Context, session, topic string) error {
	return h.unsubscribe(ctx, func() []*subscription {
		if t := h.topics[topic]; t != nil && t.subs[session] != nil {
			return []*subscription{t.subs[session]}
		}
		return nil
	})
}

// UnsubscribeAll ends all handlers of session, as UnsubscribeTopic does for
// one: all of them before it unsubscribes at the broker. The error is the first of the
// broker's.
func (h *Hub) UnsubscribeAll(ctx context.Context, session string) error {
	return h.unsubscribe(ctx, func() (subs []*subscription) {
		if b := h.boxes[session]; b != nil {
			for _, s := range b.subs {
				subs = append(subs, s)
			}
		}
		return subs
	})
}

// unsubscribe ends the subscriptions that find returns, called with mu held.
func (h *Hub) unsubscribe(ctx context.Context, find func() []*subscription) error {
	if h.enter() != nil {
		return nil // nothing is subscribed before Start and after Stop
	}
	defer h.wg.Done()
	h.mu.Lock()
	subs := find()
	for _, s := range subs {
		h.remove(s)
	}
	h.mu.Unlock()

	ctx, cancel := h.bound(context.WithoutCancel(ctx))
	defer cancel()
	var first error
	for _, s := range subs {
		if err := h.leave(ctx, s.topic); err != nil && first == nil {
			first = fmt.Errorf("pubsub: unsubscribe from %q: %w", s.topic.name, err)
		}
	}
	return first
}
