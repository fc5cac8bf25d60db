package drivertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
		{name: "subscribing again under traffic loses nothing", run: insistent},
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
	for _, from := range []*link{a, b} {
		if err := e.publish(from, "t", "x"); err != nil {
			return err
		}
	}
	for _, to := range []*link{a, b, a, b} {
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
	n := 2000
	if e.harness.Unordered {
		n = 200 // there is no order to be seen, and such brokers are far away
	}
	return e.stream(sub, pub, "t", 1, n, nil)
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
	for i, pub := range []*link{a, b} {
		g.Go(func() error { return sendAll(e.ctx, pub, "t", i, each, make(chan struct{}, each)) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var got [2][]string
	for i, sub := range []*link{a, b} {
		for range 2 * each {
			m, err := sub.next(e.ctx)
			if err != nil {
				return fmt.Errorf("receive of message %d: %w", len(got[i]), err)
			}
			got[i] = append(got[i], string(m.Payload))
		}
		if err := e.inOrder(got[i], 2, each); err != nil {
			return err
		}
	}
	if !e.harness.Unordered && !e.harness.PublishersApart && !slices.Equal(got[0], got[1]) {
		return errors.New("they have seen different orders")
	}
	return nil
}

func concurrentPublishers(e *env) error {
	sub, pub, err := e.pair("t")
	if err != nil {
		return err
	}
	return e.stream(sub, pub, "t", 8, 200, nil)
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
func (e *env) idle(c *link) error {
	if err := c.alone(); err != nil {
		return err
	}
	defer c.resume()
	ctx, cancel := context.WithTimeout(e.ctx, 50*time.Millisecond)
	defer cancel()
	for {
		m, err := c.Receive(ctx)
		switch {
		case err == nil && c.excused(message{m.Topic, string(m.Payload)}):
			continue
		case err == nil:
			return fmt.Errorf("with nothing to receive: got %+v", m)
		case !errors.Is(err, context.DeadlineExceeded):
			return fmt.Errorf("with nothing to receive: got %w, want the context's error", err)
		}
		return nil
	}
}

func cancelledReceive(e *env) error {
	sub, pub, err := e.pair("t")
	if err != nil {
		return err
	}
	if err := sub.alone(); err != nil {
		return err
	}
	return e.stream(sub, pub, "t", 1, 500, func(ctx context.Context) (driver.Message, error) {
		return impatient(ctx, sub)
	})
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
	err = e.stream(sub, pub, "steady", 1, 500, nil)
	close(done)
	return errors.Join(err, g.Wait())
}

// insistent subscribes a topic again and again while messages of it arrive.
func insistent(e *env) error {
	sub, pub, err := e.pair("t")
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(e.ctx)
	done := make(chan struct{})
	g.Go(func() error {
		for range 1000 {
			if err := sub.Subscribe(ctx, "t"); err != nil {
				return fmt.Errorf("subscribe again: %w", err)
			}
			select {
			case <-done:
				return nil
			default:
			}
		}
		return nil
	})
	err = e.stream(sub, pub, "t", 1, 500, nil)
	close(done)
	return errors.Join(err, g.Wait())
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
