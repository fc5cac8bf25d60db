package drivertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"lockstep/pubsub/driver"
)

// window is how many messages of a publisher are under way at most. A driver
// may bound its queue, and more than this at once is no one's promise.
const window = 128

// env is what a case works with. Its methods may be called concurrently.
type env struct {
	t       testing.TB // for the harness; cases return errors
	ctx     context.Context
	harness Harness
	made    driver.Driver // by the harness, and given back to it
	driver  driver.Driver // for the case: made, but apart

	mu     sync.Mutex // guards the rest
	opened []*link
	calls  map[*doing]struct{} // under way
}

// A doing is a call that is under way.
type doing struct {
	what, call string
	since      time.Time
}

// doing notes a call until the end of it.
func (e *env) doing(on, call, topic string) (done func()) {
	d := &doing{what: call + " on " + on, call: call, since: time.Now()}
	if topic != "" {
		d.what = call + " of " + short(topic) + " on " + on
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls[d] = struct{}{}
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.calls, d)
	}
}

// stuck says which calls have outlived the case, the first of them first, and what to look at.
func (e *env) stuck() error {
	e.mu.Lock()
	calls := slices.SortedFunc(maps.Keys(e.calls), func(a, b *doing) int { return a.since.Compare(b.since) })
	e.mu.Unlock()
	if len(calls) == 0 {
		return errors.New("the case does not end, and no call of the driver is under way: does the harness?")
	}
	var all []string
	for _, d := range calls {
		all = append(all, d.what)
	}
	return fmt.Errorf("outlived their context by %v: %s; look at the first: %s", grace, strings.Join(all, ", "), advice(calls[0].call))
}

// open opens a connection that ends with the case.
func (e *env) open() (*link, error) {
	defer e.doing("the driver", "Open", "")()
	c, err := e.driver.Open(e.ctx)
	if err != nil {
		return nil, e.explain("Open", fmt.Errorf("open: %w", err))
	}
	e.mu.Lock()
	name := "connection " + strconv.Itoa(len(e.opened)+1)
	e.mu.Unlock()
	l := e.newLink(c, name)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.opened = append(e.opened, l)
	return l, nil
}

// pair opens two connections and subscribes the first to topics.
func (e *env) pair(topics ...string) (sub, pub *link, err error) {
	if sub, err = e.open(); err != nil {
		return nil, nil, err
	}
	if pub, err = e.open(); err != nil {
		return nil, nil, err
	}
	for _, topic := range topics {
		if err := sub.Subscribe(e.ctx, topic); err != nil {
			return nil, nil, fmt.Errorf("subscribe to %q: %w", topic, err)
		}
	}
	return sub, pub, nil
}

// leftOver returns an error if a message has come too early, as it seemed, that no one has sent.
func (e *env) leftOver() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range e.opened {
		l.mu.Lock()
		early := slices.Clone(l.early)
		l.mu.Unlock()
		if len(early) > 0 {
			return fmt.Errorf("%s: got %s on %s, which was not expected", l.name, short(early[0].payload), short(early[0].topic))
		}
	}
	return nil
}

// close closes what the case has opened. It reports what does not end by that.
func (e *env) close() error {
	e.mu.Lock()
	opened := slices.Clone(e.opened)
	e.mu.Unlock()
	var failed error
	for _, c := range opened {
		// Cases about Close look at its error, and at how long it takes, themselves.
		err := during(grace, "Close", func() error { _ = c.Close(); return nil })
		if err = errors.Join(err, c.end()); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", c.name, err))
		}
	}
	return failed
}

// publish sends one payload.
func (e *env) publish(c *link, topic, payload string) error {
	if err := c.Publish(e.ctx, topic, []byte(payload)); err != nil {
		return fmt.Errorf("publish on %q: %w", topic, err)
	}
	return nil
}

// expect receives one message and compares it.
func (e *env) expect(c *link, topic, payload string) error {
	return c.expect(e.ctx, message{topic, payload})
}

// roundTrip sends one payload and expects it next.
func (e *env) roundTrip(from, to *link, topic, payload string) error {
	if err := e.publish(from, topic, payload); err != nil {
		return err
	}
	return e.expect(to, topic, payload)
}

// stream sends n numbered payloads from each of publishers goroutines over
// pub, and wants sub to receive all of them on topic, in their order. It keeps a
// bounded number under way. Nil receive is sub's.
func (e *env) stream(sub, pub *link, topic string, publishers, n int, receive func(context.Context) (driver.Message, error)) error {
	if receive == nil {
		receive = sub.Receive
	}
	g, ctx := errgroup.WithContext(e.ctx)
	slots := make(chan struct{}, window)
	for p := range publishers {
		g.Go(func() error { return sendAll(ctx, pub, topic, p, n, slots) })
	}
	var got []string
	had := make(map[string]bool)
	g.Go(func() error {
		for len(got) < publishers*n {
			m, err := receive(ctx)
			if err != nil {
				return fmt.Errorf("receive after %d of %d messages: %w", len(got), publishers*n, err)
			}
			if m.Gap && e.harness.Heals {
				return fmt.Errorf("%w after %d of %d messages", errGap, len(got), publishers*n)
			}
			if m.Gap || m.Topic != topic {
				return fmt.Errorf("message %d: got topic %q (gap %v), want %q", len(got), m.Topic, m.Gap, topic)
			}
			if e.harness.Duplicates && had[string(m.Payload)] {
				continue
			}
			had[string(m.Payload)] = true
			got = append(got, string(m.Payload))
			<-slots
		}
		return nil
	})
	if err := g.Wait(); err != nil {
		return err
	}
	return e.inOrder(got, publishers, n)
}

// inOrder wants what publishers have sent, n each: all of it, once, and of each in its order.
func (e *env) inOrder(got []string, publishers, n int) error {
	if e.harness.Unordered {
		var want []string
		for p := range publishers {
			for i := range n {
				want = append(want, numbered(p, i))
			}
		}
		if got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
			return errors.New("not all have arrived, or others in their place")
		}
		return nil
	}
	next := make([]int, publishers)
	for at, payload := range got {
		p := publisherOf(payload)
		if p < 0 || p >= publishers || payload != numbered(p, next[p]) {
			return fmt.Errorf("message %d: got %s, out of turn: next are %v", at, short(payload), next)
		}
		next[p]++
	}
	return nil
}

// publisherOf reads the first number of a payload of sendAll; -1: there is none.
func publisherOf(payload string) int {
	var p, i int
	if _, err := fmt.Sscanf(payload, "%d/%d", &p, &i); err != nil {
		return -1
	}
	return p
}

func sendAll(ctx context.Context, pub driver.Conn, topic string, publisher, n int, slots chan<- struct{}) error {
	for i := range n {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := pub.Publish(ctx, topic, []byte(numbered(publisher, i))); err != nil {
			return fmt.Errorf("publish %d of publisher %d: %w", i, publisher, err)
		}
	}
	return nil
}

func numbered(publisher, i int) string {
	return strconv.Itoa(publisher) + "/" + strconv.Itoa(i)
}

// short quotes a string for an error.
func short(s string) string {
	if len(s) > 60 {
		return fmt.Sprintf("%q… (%d bytes)", s[:60], len(s))
	}
	return strconv.Quote(s)
}
