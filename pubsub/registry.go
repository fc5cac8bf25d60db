package pubsub

import (
	"context"
	"fmt"
	"strings"

	"lockstep/pubsub/driver"
)

// A topic is the local side of one topic: its handlers, and whether the broker
// has confirmed the subscription that they share.
type topic struct {
	// set once
	name string
	gate chan struct{} // of size 1: held around calls of the broker for this topic

	// guarded by Hub.mu
	subs   map[string]*subscription // by session
	on     *link                    // the connection it is confirmed on; nil: none
	missed bool                     // messages may have been lost since handlers came
}

// lock is a mutex that gives up when ctx ends.
func (t *topic) lock(ctx context.Context) error {
	select {
	case t.gate <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *topic) unlock() { <-t.gate }

// SubscribeTopic has handler called with the messages of topic. The first
// handler of a topic subscribes it at the broker; a second one of the same
// session replaces the first.
//
// Nil means that everything broadcast from now on arrives. An error means that
// nothing was recorded, or that an earlier handler is still in place. While
// there is no connection the subscription is recorded and nil returned: the
// handler gets a Gap when the broker has confirmed it. Before Start and after
// Stop the error is ErrStopped.
func (h *Hub) SubscribeTopic(ctx context.Context, session, name string, handler Handler) error {
	if err := h.checkTopic(name); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, h.opts.OpTimeout)
	defer cancel()
	t, err := h.lockTopic(ctx, name)
	if err != nil {
		return fmt.Errorf("pubsub: subscribe to %q: %w", name, err)
	}
	defer t.unlock()

	// The handler is in place before the broker is asked: messages may come
	// right after its confirmation.
	h.mu.Lock()
	before := t.subs[session]
	t.subs[session] = h.newSubscription(session, name, handler)
	l := h.link
	if l == nil {
		t.missed = true
	}
	needed := l != nil && t.on != l
	h.mu.Unlock()
	if !needed {
		h.retire(before)
		return nil
	}
	err = h.confirm(ctx, l, t)
	if err == nil {
		h.retire(before)
		return nil
	}
	if h.kept(l, t) {
		h.retire(before)
		return nil
	}
	h.rollBack(t, session, before)
	return fmt.Errorf("pubsub: subscribe to %q: %w", name, err)
}

// lockTopic returns the entry of a topic, locked; it makes it if there is none.
func (h *Hub) lockTopic(ctx context.Context, name string) (*topic, error) {
	for {
		h.mu.Lock()
		if h.phase != running {
			h.mu.Unlock()
			return nil, ErrStopped
		}
		t := h.topics[name]
		if t == nil {
			t = &topic{name: name, gate: make(chan struct{}, 1), subs: make(map[string]*subscription)}
			h.topics[name] = t
		}
		h.mu.Unlock()
		if err := t.lock(ctx); err != nil {
			return nil, err
		}
		h.mu.Lock()
		current := h.topics[name] == t
		h.mu.Unlock()
		if current {
			return t, nil
		}
		t.unlock() // it was removed while we waited
	}
}

// confirm subscribes a topic at the broker and tells its handlers of what they
// may have missed. The caller holds the topic's lock.
func (h *Hub) confirm(ctx context.Context, l *link, t *topic) error {
	if err := l.conn.Subscribe(ctx, h.opts.Prefix+t.name); err != nil {
		return fmt.Errorf("topic %q: %w", t.name, err)
	}
	h.mu.Lock()
	if h.link != l {
		h.mu.Unlock()
		return ErrNotConnected // it was lost meanwhile: the next one subscribes again
	}
	t.on = l
	missed := t.missed
	t.missed = false
	h.mu.Unlock()
	if missed {
		h.dispatch(driver.Message{Topic: h.opts.Prefix + t.name, Gap: true})
	}
	return nil
}

// kept reports whether the connection was lost while the topic was being
// subscribed on it: then the subscription stays, for the next connection.
func (h *Hub) kept(l *link, t *topic) bool {
	select {
	case <-l.lost:
	default:
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t.missed = true
	return h.phase == running
}

// rollBack undoes a subscription that the broker has refused.
func (h *Hub) rollBack(t *topic, session string, before *subscription) {
	h.mu.Lock()
	refused := t.subs[session]
	if before != nil {
		t.subs[session] = before
	} else {
		delete(t.subs, session)
	}
	h.dropIfUnused(t)
	h.mu.Unlock()
	h.retire(refused)
}

// UnsubscribeTopic ends the handler of session for topic; the last one of a
// topic ends the subscription at the broker. When it returns, no further call
// of the handler begins; one that is under way may still be running, so a
// handler may unsubscribe itself. What was not subscribed is no error. An
// error is the broker's: the handler has ended all the same.
func (h *Hub) UnsubscribeTopic(ctx context.Context, session, name string) error {
	h.mu.Lock()
	t := h.topics[name]
	if t == nil || t.subs[session] == nil {
		h.mu.Unlock()
		return nil
	}
	sub := t.subs[session]
	delete(t.subs, session)
	h.mu.Unlock()
	h.retire(sub)

	// Clean-up is not cut short by a caller who has gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.opts.OpTimeout)
	defer cancel()
	if err := t.lock(ctx); err != nil {
		return fmt.Errorf("pubsub: unsubscribe from %q: %w", name, err)
	}
	defer t.unlock()
	return h.leave(ctx, t)
}

// leave unsubscribes a topic without handlers at the broker. The caller holds
// the topic's lock.
func (h *Hub) leave(ctx context.Context, t *topic) error {
	h.mu.Lock()
	unused := len(t.subs) == 0
	l := t.on
	h.mu.Unlock()
	if !unused {
		return nil
	}
	var err error
	if l != nil {
		err = l.conn.Unsubscribe(ctx, h.opts.Prefix+t.name)
	}
	h.mu.Lock()
	t.on = nil // a stray subscription at the broker is harmless, a missing one is not
	h.dropIfUnused(t)
	h.mu.Unlock()
	if err != nil {
		return fmt.Errorf("pubsub: unsubscribe from %q: %w", t.name, err)
	}
	return nil
}

// dropIfUnused forgets a topic without handlers. The caller holds mu and the
// topic's lock.
func (h *Hub) dropIfUnused(t *topic) {
	if len(t.subs) == 0 && h.topics[t.name] == t {
		delete(h.topics, t.name)
	}
}

// UnsubscribeAll ends all handlers of session, as UnsubscribeTopic does for
// one. The error is the first of the broker's.
func (h *Hub) UnsubscribeAll(ctx context.Context, session string) error {
	var names []string
	h.mu.Lock()
	for name, t := range h.topics {
		if t.subs[session] != nil {
			names = append(names, name)
		}
	}
	h.mu.Unlock()
	var first error
	for _, name := range names {
		if err := h.UnsubscribeTopic(ctx, session, name); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// dispatch hands a message of the broker to the mailboxes of its handlers.
func (h *Hub) dispatch(m driver.Message) {
	name, mine := strings.CutPrefix(m.Topic, h.opts.Prefix)
	var subs []*subscription
	h.mu.Lock()
	switch t := h.topics[name]; {
	case m.Gap && m.Topic == "":
		for _, t := range h.topics {
			subs = t.appendSubs(subs)
		}
	case mine && t != nil:
		subs = t.appendSubs(subs)
	}
	h.mu.Unlock()
	for _, s := range subs {
		s.box.offer(s, Message{Topic: s.topic, Payload: m.Payload, Gap: m.Gap})
	}
}

func (t *topic) appendSubs(subs []*subscription) []*subscription {
	for _, s := range t.subs {
		subs = append(subs, s)
	}
	return subs
}
