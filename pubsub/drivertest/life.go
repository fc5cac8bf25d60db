package drivertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"lockstep/pubsub/driver"
)

// lifeCases say how connections begin and end.
func lifeCases() []testCase {
	return []testCase{
		{name: "the driver has a name", run: named},
		{name: "Close ends a blocked Receive", run: closeUnblocks},
		{name: "closing twice is harmless", run: closeTwice},
		{name: "nothing works after Close", run: afterClose},
		{name: "closing one connection leaves the other alone", run: closeOne},
		{name: "a call whose context has ended fails at once", run: contextDone},
		{name: "Close in the middle of traffic ends every call", run: closeUnderTraffic},
		{name: "nothing runs on after Close", run: leavesNothing},
		{name: "a cut connection fails, and a new one works", run: brokenBy(func(h Harness) fault { return h.Break }),
			lacks: func(h Harness) string { return unless(h.Break != nil, "Break") }},
		{name: "a restart of the broker ends the connection, and a new one works", run: brokenBy(func(h Harness) fault { return h.Restart }),
			lacks: func(h Harness) string { return unless(h.Restart != nil, "Restart") }},
	}
}

// A fault is something that a harness does to the broker.
type fault = func(t testing.TB, d driver.Driver)

func unless(has bool, name string) string {
	if has {
		return ""
	}
	return "the harness has no " + name
}

func named(e *env) error {
	if e.driver.Name() == "" {
		return errors.New("the driver has no name")
	}
	return nil
}

// within wants f to return promptly. It must not outlive the case: it ends with
// the connections at the latest.
func (e *env) within(what string, f func() error) error { return during(prompt, what, f) }

// during is within, with another limit.
func during(limit time.Duration, what string, f func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- f() }()
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case err := <-ended:
		return err
	case <-late.C:
		call, _, _ := strings.Cut(what, ",")
		return fmt.Errorf("%s did not return within %v: %s", what, limit, advice(call))
	}
}

func closeUnblocks(e *env) error {
	sub, pub, err := e.pair("t")
	if err != nil {
		return err
	}
	if err := e.roundTrip(pub, sub, "t", "x"); err != nil {
		return err
	}
	if err := sub.alone(); err != nil {
		return err
	}
	received := make(chan error, 1)
	go func() {
		m, err := sub.Receive(context.WithoutCancel(e.ctx)) // only Close may end it
		for err == nil && sub.excused(message{m.Topic, string(m.Payload)}) {
			m, err = sub.Receive(context.WithoutCancel(e.ctx))
		}
		received <- err
	}()
	if err := e.within("Close", sub.Close); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return e.within("Receive", func() error {
		if <-received == nil {
			return errors.New("Receive on a closed connection returned a message")
		}
		return nil
	})
}

func closeTwice(e *env) error {
	c, err := e.open()
	if err != nil {
		return err
	}
	for range 2 {
		if err := e.within("Close", c.Close); err != nil {
			return fmt.Errorf("close: %w", err)
		}
	}
	return nil
}

func afterClose(e *env) error {
	c, _, err := e.pair("t")
	if err != nil {
		return err
	}
	if err := c.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return e.allFail(e.ctx, c)
}

// allFail wants an error from each call of c.
func (e *env) allFail(ctx context.Context, c *link) error {
	if err := c.alone(); err != nil {
		return err
	}
	calls := []struct {
		name string
		call func() error
	}{
		{"Publish", func() error { return c.Publish(ctx, "t", []byte("x")) }},
		{"Subscribe", func() error { return c.Subscribe(ctx, "u") }},
		{"Unsubscribe", func() error { return c.Unsubscribe(ctx, "t") }},
		{"Receive", func() error { _, err := c.Receive(ctx); return err }},
	}
	for _, c := range calls {
		failed := false
		if err := e.within(c.name, func() error { failed = c.call() != nil; return nil }); err != nil {
			return err
		}
		if !failed {
			return fmt.Errorf("%s: got no error", c.name)
		}
	}
	return nil
}

// closeUnderTraffic closes a connection while it does everything at once.
func closeUnderTraffic(e *env) error {
	c, pub, err := e.pair("traffic")
	if err != nil {
		return err
	}
	if err := c.alone(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(e.ctx)) // only Close is to end it
	defer cancel()
	var closed atomic.Bool
	var traffic errgroup.Group
	started := make(chan struct{}, 3)
	for _, call := range []func(ctx context.Context) error{
		func(ctx context.Context) error { _, err := c.Receive(ctx); return err },
		func(ctx context.Context) error { return c.Publish(ctx, "traffic", []byte("x")) },
		func(ctx context.Context) error {
			return errors.Join(c.Subscribe(ctx, "more"), c.Unsubscribe(ctx, "more"))
		},
	} {
		traffic.Go(func() error { return untilClosed(ctx, call, &closed, started) })
	}
	for range cap(started) {
		if err := e.publish(pub, "traffic", "y"); err != nil {
			return err
		}
		<-started
	}
	if err := e.within("Close", c.Close); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	closed.Store(true)
	return e.within("a call under way", traffic.Wait)
}

// untilClosed repeats a call until it fails, and tells started of the first one,
// which must not. Nor may a call succeed that begins after the end.
func untilClosed(ctx context.Context, call func(context.Context) error, closed *atomic.Bool, started chan<- struct{}) error {
	err := call(ctx)
	started <- struct{}{}
	if err != nil {
		return fmt.Errorf("before Close: %w", err)
	}
	for range 1000 { // more than there is time for
		late := closed.Load()
		if call(ctx) != nil {
			return nil
		}
		if late {
			return errors.New("a call succeeded after Close")
		}
	}
	return nil
}

// leavesNothing uses connections, closes them and counts goroutines.
func leavesNothing(e *env) error {
	before := goleak.IgnoreCurrent()
	sub, pub, err := e.pair("t")
	if err != nil {
		return err
	}
	if err := e.roundTrip(pub, sub, "t", "x"); err != nil {
		return err
	}
	if err := errors.Join(sub.Close(), pub.Close()); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return goleak.Find(before)
}

func closeOne(e *env) error {
	a, b, err := e.pair("t")
	if err != nil {
		return err
	}
	if err := b.Subscribe(e.ctx, "t"); err != nil {
		return err
	}
	if err := b.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return e.roundTrip(a, a, "t", "x")
}

func contextDone(e *env) error {
	c, err := e.open()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	if err := e.within("Open", func() error {
		c, err := e.driver.Open(ctx)
		if err == nil {
			return errors.Join(errors.New("Open: got no error"), c.Close())
		}
		return nil
	}); err != nil {
		return err
	}
	return e.allFail(ctx, c)
}

// brokenBy returns a case in which the connections are lost.
func brokenBy(which func(Harness) fault) func(*env) error {
	return func(e *env) error {
		sub, pub, err := e.pair("t")
		if err != nil {
			return err
		}
		if err := e.roundTrip(pub, sub, "t", "before"); err != nil {
			return err
		}
		which(e.harness)(e.t, e.made)
		if err := e.lost(sub); err != nil {
			return err
		}
		return e.worksAnew()
	}
}

// lost wants the end of a connection, which may be announced by a Gap; of a driver that heals, a
// Gap is enough if messages arrive again.
func (e *env) lost(c *link) error {
	for {
		m, err := c.Receive(e.ctx)
		switch {
		case e.ctx.Err() != nil:
			return errors.New("Receive did not notice that the connection is gone: is the client's own reconnection on, or has nobody read from the socket?")
		case err != nil:
			return nil
		case m.Gap && e.harness.Heals:
			return e.healed(c)
		case !m.Gap && !c.excused(message{m.Topic, string(m.Payload)}):
			return fmt.Errorf("got %+v from a connection that is gone", m)
		}
	}
}

// healed wants messages to arrive again on a connection that has announced a gap, or its end.
func (e *env) healed(c *link) error {
	again := time.NewTicker(moment)
	defer again.Stop()
	for n := 0; ; n++ {
		_ = c.Publish(e.ctx, "t", []byte("again")) // what is lost is sent again
		ctx, cancel := context.WithTimeout(e.ctx, moment)
		m, err := c.Receive(ctx)
		cancel()
		switch {
		case e.ctx.Err() != nil:
			return errors.New("after the Gap nothing arrived again: are topics subscribed anew?")
		case err == nil && string(m.Payload) == "again":
			return nil
		case err != nil && !errors.Is(err, context.DeadlineExceeded):
			return nil // it has ended after all
		}
		select {
		case <-again.C:
		case <-e.ctx.Done():
		}
	}
}
