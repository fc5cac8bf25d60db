package drivertest

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"

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

	mu     sync.Mutex
	opened []driver.Conn // guarded by mu
}

// open opens a connection that ends with the case.
func (e *env) open() (driver.Conn, error) {
	c, err := e.driver.Open(e.ctx)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.opened = append(e.opened, c)
	return c, nil
}

// pair opens two connections and subscribes the first to topics.
func (e *env) pair(topics ...string) (sub, pub driver.Conn, err error) {
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

func (e *env) close() {
	e.mu.Lock()
	opened := e.opened
	e.mu.Unlock()
	for _, c := range opened {
		_ = c.Close() // cases about Close look at its error themselves
	}
}

// publish sends one payload.
func (e *env) publish(c driver.Conn, topic, payload string) error {
	if err := c.Publish(e.ctx, topic, []byte(payload)); err != nil {
		return fmt.Errorf("publish on %q: %w", topic, err)
	}
	return nil
}

// expect receives one message and compares it.
func (e *env) expect(c driver.Conn, topic, payload string) error {
	m, err := c.Receive(e.ctx)
	if err != nil {
		return fmt.Errorf("receive, waiting for %s on %s: %w", short(payload), short(topic), err)
	}
	if m.Gap || m.Topic != topic || string(m.Payload) != payload {
		return fmt.Errorf("got %s on %s (gap %v), want %s on %s", short(string(m.Payload)), short(m.Topic), m.Gap, short(payload), short(topic))
	}
	return nil
}

// roundTrip sends one payload and expects it next.
func (e *env) roundTrip(from, to driver.Conn, topic, payload string) error {
	if err := e.publish(from, topic, payload); err != nil {
		return err
	}
	return e.expect(to, topic, payload)
}

// stream sends n numbered payloads from each of publishers goroutines over
// pub, and returns what sub received of topic. It keeps a bounded number
// under way.
func (e *env) stream(sub, pub driver.Conn, topic string, publishers, n int, receive func(context.Context) (driver.Message, error)) ([]string, error) {
	if receive == nil {
		receive = sub.Receive
	}
	g, ctx := errgroup.WithContext(e.ctx)
	slots := make(chan struct{}, window)
	for p := range publishers {
		g.Go(func() error { return sendAll(ctx, pub, topic, p, n, slots) })
	}
	var got []string
	g.Go(func() error {
		for len(got) < publishers*n {
			m, err := receive(ctx)
			if err != nil {
				return fmt.Errorf("receive after %d of %d messages: %w", len(got), publishers*n, err)
			}
			if m.Gap || m.Topic != topic {
				return fmt.Errorf("message %d: got topic %q (gap %v), want %q", len(got), m.Topic, m.Gap, topic)
			}
			got = append(got, string(m.Payload))
			<-slots
		}
		return nil
	})
	err := g.Wait()
	return got, err
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
