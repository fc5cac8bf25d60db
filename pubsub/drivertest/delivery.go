package drivertest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"lockstep/pubsub/driver"
)

// deliveryCases say which connection gets what, and in which order.
func deliveryCases() []testCase {
	return []testCase{
		{name: "own and other connections receive", run: everyConnection},
		{name: "what is published right after Subscribe returned arrives", run: rightAfterSubscribe},
		{name: "what is not subscribed does not arrive", run: notSubscribed},
		{name: "nothing arrives after Unsubscribe", run: unsubscribed},
		{name: "unsubscribing one connection leaves the other alone", run: unsubscribedElsewhere},
		{name: "subscribing twice delivers once", run: subscribedTwice},
		{name: "unsubscribing what was never subscribed is harmless", run: neverSubscribed},
		{name: "a topic can be subscribed again", run: subscribedAgain},
		{name: "the order of one publisher is kept", run: orderKept},
		{name: "two subscribers see the same order", run: sameOrder},
		{name: "concurrent publishers lose nothing", run: concurrentPublishers},
		{name: "equal payloads are all delivered", run: equalPayloads},
		{name: "Receive with nothing subscribed blocks, and works afterwards", run: nothingSubscribed},
		{name: "a cancelled Receive loses nothing", run: cancelledReceive},
		{name: "subscribing and unsubscribing under traffic loses nothing of other topics", run: storm},
	}
}

func everyConnection(e *env) error {
	a, b, err := e.pair("t")
	if err != nil {
		return err
	}
	if err := b.Subscribe(e.ctx, "t"); err != nil {
		return err
	}
	for _, from := range []driver.Conn{a, b} {
		if err := e.publish(from, "t", "x"); err != nil {
			return err
		}
	}
	for _, to := range []driver.Conn{a, b, a, b} {
		if err := e.expect(to, "t", "x"); err != nil {
			return err
		}
	}
	return nil
}

func rightAfterSubscribe(e *env) error {
	sub, pub, err := e.pair()
	if err != nil {
		return err
	}
	for i := range 200 {
		topic := "t" + strconv.Itoa(i)
		if err := sub.Subscribe(e.ctx, topic); err != nil {
			return err
		}
		if err := e.roundTrip(pub, sub, topic, topic); err != nil {
			return err
		}
	}
	return nil
}

func notSubscribed(e *env) error {
	sub, pub, err := e.pair("marker")
	if err != nil {
		return err
	}
	if err := e.publish(pub, "other", "no"); err != nil {
		return err
	}
	return e.roundTrip(pub, sub, "marker", "yes")
}

func unsubscribed(e *env) error {
	sub, pub, err := e.pair("t", "marker")
	if err != nil {
		return err
	}
	if err := e.roundTrip(pub, sub, "t", "before"); err != nil {
		return err
	}
	if err := sub.Unsubscribe(e.ctx, "t"); err != nil {
		return err
	}
	if err := e.publish(pub, "t", "after"); err != nil {
		return err
	}
	return e.roundTrip(pub, sub, "marker", "yes")
}

func unsubscribedElsewhere(e *env) error {
	a, b, err := e.pair("t")
	if err != nil {
		return err
	}
	if err := b.Subscribe(e.ctx, "t"); err != nil {
		return err
	}
	if err := b.Unsubscribe(e.ctx, "t"); err != nil {
		return err
	}
	return e.roundTrip(b, a, "t", "x")
}

func subscribedTwice(e *env) error {
	sub, pub, err := e.pair("t", "t", "marker")
	if err != nil {
		return err
	}
	if err := e.roundTrip(pub, sub, "t", "once"); err != nil {
		return err
	}
	if err := e.roundTrip(pub, sub, "marker", "1"); err != nil {
		return err
	}
	// One Unsubscribe ends both.
	if err := sub.Unsubscribe(e.ctx, "t"); err != nil {
		return err
	}
	if err := e.publish(pub, "t", "no"); err != nil {
		return err
	}
	return e.roundTrip(pub, sub, "marker", "2")
}

func neverSubscribed(e *env) error {
	sub, pub, err := e.pair()
	if err != nil {
		return err
	}
	for range 2 { // with no subscription at all, and with another one
		if err := sub.Unsubscribe(e.ctx, "unknown"); err != nil {
			return fmt.Errorf("unsubscribe: %w", err)
		}
		if err := sub.Subscribe(e.ctx, "t"); err != nil {
			return err
		}
		if err := e.roundTrip(pub, sub, "t", "x"); err != nil {
			return err
		}
	}
	return nil
}

func subscribedAgain(e *env) error {
	sub, pub, err := e.pair()
	if err != nil {
		return err
	}
	for i := range 50 {
		if err := sub.Subscribe(e.ctx, "t"); err != nil {
			return err
		}
		if err := e.roundTrip(pub, sub, "t", strconv.Itoa(i)); err != nil {
			return err
		}
		if err := sub.Unsubscribe(e.ctx, "t"); err != nil {
			return err
		}
	}
	return nil
}

func orderKept(e *env) error {
	sub, pub, err := e.pair("t")
	if err != nil {
		return err
	}
	got, err := e.stream(sub, pub, "t", 1, 2000, nil)
	if err != nil {
		return err
	}
	for i, payload := range got {
		if want := numbered(0, i); payload != want {
			return fmt.Errorf("message %d: got %q, want %q", i, payload, want)
		}
	}
	return nil
}

func sameOrder(e *env) error {
	a, b, err := e.pair("t")
	if err != nil {
		return err
	}
	if err := b.Subscribe(e.ctx, "t"); err != nil {
		return err
	}
	const each = window / 2
	var g errgroup.Group
	for i, pub := range []driver.Conn{a, b} {
		g.Go(func() error { return sendAll(e.ctx, pub, "t", i, each, make(chan struct{}, each)) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i := range 2 * each {
		m, err := a.Receive(e.ctx)
		if err != nil {
			return fmt.Errorf("receive of message %d: %w", i, err)
		}
		if err := e.expect(b, "t", string(m.Payload)); err != nil {
			return fmt.Errorf("message %d of the second subscriber: %w", i, err)
		}
	}
	return nil
}

func concurrentPublishers(e *env) error {
	sub, pub, err := e.pair("t")
	if err != nil {
		return err
	}
	const publishers, each = 8, 200
	got, err := e.stream(sub, pub, "t", publishers, each, nil)
	if err != nil {
		return err
	}
	next := make([]int, publishers)
	for _, payload := range got {
		p := publisherOf(payload)
		if p < 0 || p >= publishers || payload != numbered(p, next[p]) {
			return fmt.Errorf("got %s, out of turn: next are %v", short(payload), next)
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

func equalPayloads(e *env) error {
	sub, pub, err := e.pair("t", "marker")
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(e.ctx)
	for range 8 { // at once, so that a driver that batches does batch
		g.Go(func() error {
			for range 8 {
				if err := pub.Publish(ctx, "t", []byte("same")); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for range 64 {
		if err := e.expect(sub, "t", "same"); err != nil {
			return err
		}
	}
	return e.roundTrip(pub, sub, "marker", "yes")
}

func nothingSubscribed(e *env) error {
	sub, pub, err := e.pair()
	if err != nil {
		return err
	}
	for range 2 { // before the first subscription, and after the last
		if err := e.idle(sub); err != nil {
			return err
		}
		if err := sub.Subscribe(e.ctx, "t"); err != nil {
			return err
		}
		if err := e.roundTrip(pub, sub, "t", "x"); err != nil {
			return err
		}
		if err := sub.Unsubscribe(e.ctx, "t"); err != nil {
			return err
		}
	}
	return nil
}

// idle receives for a moment and wants nothing but the end of it.
func (e *env) idle(c driver.Conn) error {
	ctx, cancel := context.WithTimeout(e.ctx, 50*time.Millisecond)
	defer cancel()
	m, err := c.Receive(ctx)
	if err == nil {
		return fmt.Errorf("with nothing to receive: got %+v", m)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("with nothing to receive: got %w, want the context's error", err)
	}
	return nil
}

func cancelledReceive(e *env) error {
	sub, pub, err := e.pair("t")
	if err != nil {
		return err
	}
	const n = 500
	got, err := e.stream(sub, pub, "t", 1, n, func(ctx context.Context) (driver.Message, error) {
		return impatient(ctx, sub)
	})
	if err != nil {
		return err
	}
	for i, payload := range got {
		if want := numbered(0, i); payload != want {
			return fmt.Errorf("message %d: got %q, want %q", i, payload, want)
		}
	}
	return nil
}

// impatient receives with a context that ends at about the same time, and
// then patiently.
func impatient(ctx context.Context, c driver.Conn) (driver.Message, error) {
	brief, cancel := context.WithCancel(ctx)
	cancelled := make(chan struct{})
	go func() { cancel(); close(cancelled) }()
	m, err := c.Receive(brief)
	<-cancelled
	if !errors.Is(err, context.Canceled) {
		return m, err
	}
	return c.Receive(ctx)
}

func storm(e *env) error {
	sub, pub, err := e.pair("steady")
	if err != nil {
		return err
	}
	// The topics of the storm carry no traffic of their own: what arrives of
	// them would be a leak.
	g, ctx := errgroup.WithContext(e.ctx)
	done := make(chan struct{})
	for i := range 4 {
		g.Go(func() error { return churn(ctx, sub, "storm"+strconv.Itoa(i), done) })
	}
	got, err := e.stream(sub, pub, "steady", 1, 500, nil)
	close(done)
	if err := errors.Join(err, g.Wait()); err != nil {
		return err
	}
	for i, payload := range got {
		if want := numbered(0, i); payload != want {
			return fmt.Errorf("message %d: got %q, want %q", i, payload, want)
		}
	}
	return nil
}

// churn subscribes and unsubscribes a topic many times, but stops when done is
// closed.
func churn(ctx context.Context, c driver.Conn, topic string, done <-chan struct{}) error {
	for range 1000 {
		if err := c.Subscribe(ctx, topic); err != nil {
			return fmt.Errorf("subscribe to %q: %w", topic, err)
		}
		if err := c.Unsubscribe(ctx, topic); err != nil {
			return fmt.Errorf("unsubscribe from %q: %w", topic, err)
		}
		select {
		case <-done:
			return nil
		default:
		}
	}
	return nil
}
