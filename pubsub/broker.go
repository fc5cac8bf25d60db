package pubsub

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"lockstep/pubsub/driver"
)

// resubscribers is how many topics are subscribed at once after a
// reconnection: enough to hide the round trip, few enough for any broker.
const resubscribers = 16

// confirm subscribes a topic at the broker and tells its handlers of what they
// may have missed. The caller holds the topic's sem.
func (h *Hub) confirm(ctx context.Context, c *connection, t *topic) error {
	h.mu.Lock()
	t.at, t.confirmed = c, false // from now on nobody knows
	h.mu.Unlock()
	if err := c.conn.Subscribe(ctx, h.opts.Prefix+t.name); err != nil {
		return err
	}
	h.mu.Lock()
	if h.conn != c {
		// It was lost meanwhile: the next one subscribes again.
		t.at = nil
		h.mu.Unlock()
		return ErrNotConnected
	}
	t.confirmed = true
	missed := t.missed
	t.missed = false
	h.mu.Unlock()
	if missed {
		h.dispatch(driver.Message{Topic: h.opts.Prefix + t.name, Gap: true})
	}
	return nil
}

// leave unsubscribes a topic at the broker if it has no handlers, and takes it
// out of the registry.
func (h *Hub) leave(ctx context.Context, t *topic) error {
	if err := t.lock(ctx); err != nil {
		return err
	}
	defer t.unlock()
	h.mu.Lock()
	// Somebody else may have left while we waited for sem.
	unused, c := len(t.subs) == 0 && h.topics[t.name] == t, t.at
	h.mu.Unlock()
	if !unused {
		return nil
	}
	if c != nil {
		err := c.conn.Unsubscribe(ctx, h.opts.Prefix+t.name)
		// With the connection the subscription is gone in any case.
		if err != nil && c.life.Err() == nil {
			h.unsure(t)
			return err
		}
	}
	h.drop(t)
	return nil
}

// unsure notes that the broker may or may not have a topic subscribed. It is
// looked at again with the next heartbeat.
func (h *Hub) unsure(t *topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t.confirmed = false
}

// drop takes a topic out of the registry, where it is. The caller holds its
// sem.
func (h *Hub) drop(t *topic) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.topics, t.name)
}

// reconcile brings the subscriptions at the broker in line with the registry:
// all of them after a reconnection, later what the broker refused. No topic
// holds up another. It returns why topics with handlers are not subscribed, or
// nil.
func (h *Hub) reconcile(c *connection) error {
	topics := h.unsettled(c)
	errs := make([]error, len(topics))
	slots := make(chan struct{}, resubscribers)
	var wg sync.WaitGroup
	for i, t := range topics {
		slots <- struct{}{}
		wg.Go(func() {
			errs[i] = h.align(c, t)
			<-slots
		})
	}
	wg.Wait()
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return fmt.Errorf("%w (and %d topics more)", errs[0], len(errs)-1)
}

// unsettled returns the topics whose subscription is not as it should be, in
// the order of their names.
func (h *Hub) unsettled(c *connection) []*topic {
	var topics []*topic
	h.mu.Lock()
	for _, t := range h.topics {
		if wanted := len(t.subs) > 0; !wanted || !t.on(c) {
			topics = append(topics, t)
		}
	}
	h.mu.Unlock()
	slices.SortFunc(topics, func(a, b *topic) int { return cmp.Compare(a.name, b.name) })
	return topics
}

// align brings one topic in line.
func (h *Hub) align(c *connection, t *topic) error {
	ctx, cancel := h.bound(c.life)
	defer cancel()
	wanted, err := h.resubscribe(ctx, c, t)
	switch {
	case err != nil:
		return fmt.Errorf("pubsub: topic %q is not subscribed: %w", t.name, err)
	case wanted:
		return nil
	}
	if err := h.leave(ctx, t); err != nil {
		// Messages for nobody are no reason to call the hub degraded.
		h.log.Debug("topic not unsubscribed yet", "topic", t.name, "err", err)
	}
	return nil
}

// resubscribe subscribes a topic that has handlers, if it is still necessary.
// It reports whether the topic is wanted.
func (h *Hub) resubscribe(ctx context.Context, c *connection, t *topic) (bool, error) {
	if err := t.lock(ctx); err != nil {
		return true, err
	}
	defer t.unlock()
	h.mu.Lock()
	wanted, on := len(t.subs) > 0 && h.topics[t.name] == t, t.on(c)
	h.mu.Unlock()
	if !wanted || on {
		return wanted, nil
	}
	return true, h.confirm(ctx, c, t)
}

// dispatch hands a message of the broker to the mailboxes of its handlers. The
// caller is counted in wg.
func (h *Hub) dispatch(m driver.Message) {
	if m.Forged {
		h.forged(m.Topic)
	}
	if m.Gap && m.Topic == "" {
		h.dispatchAll()
		return
	}
	name, mine := strings.CutPrefix(m.Topic, h.opts.Prefix)
	if !mine {
		return
	}
	for _, s := range h.subscriptions(name) {
		s.box.offer(s, Message{Topic: name, Payload: m.Payload, Gap: m.Gap, Trusted: m.Trusted})
	}
}

// dispatchAll hands a Gap to every handler.
func (h *Hub) dispatchAll() {
	h.mu.Lock()
	names := make([]string, 0, len(h.topics))
	for name := range h.topics {
		names = append(names, name)
	}
	h.mu.Unlock()
	for _, name := range names {
		for _, s := range h.subscriptions(name) {
			s.box.offer(s, Message{Topic: name, Gap: true})
		}
	}
}

// subscriptions returns the handlers of a topic. The slice is shared.
func (h *Hub) subscriptions(name string) []*subscription {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[name]
	if t == nil {
		return nil
	}
	if t.all == nil {
		t.all = make([]*subscription, 0, len(t.subs))
		for _, s := range t.subs {
			t.all = append(t.all, s)
		}
	}
	return t.all
}
