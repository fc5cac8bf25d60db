package drivertest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lockstep/pubsub/driver"
)

// moment is how long a call is left without an answer before it is ended.
const moment = 50 * time.Millisecond

// frozenCases say what happens while the broker does not answer: a process
// that is stopped, or a network that swallows everything.
func frozenCases() []testCase {
	lacks := func(h Harness) string { return unless(h.Freeze != nil, "Freeze") }
	return []testCase{
		{name: "a call without an answer ends with its context", run: unanswered, lacks: lacks},
		{name: "Close ends calls without an answer", run: closeUnanswered, lacks: lacks},
	}
}

// A call is one that the broker has to answer, unless it may be local.
type call struct {
	name  string
	local bool // may succeed without an answer
	run   func(ctx context.Context) error
}

func callsOf(c driver.Conn) []call {
	return []call{
		{"Publish", false, func(ctx context.Context) error { return c.Publish(ctx, "frozen", []byte("x")) }},
		{"Subscribe", true, func(ctx context.Context) error { return c.Subscribe(ctx, "u") }},
		{"Unsubscribe", true, func(ctx context.Context) error { return c.Unsubscribe(ctx, "frozen") }},
		{"Receive", false, func(ctx context.Context) error { _, err := c.Receive(ctx); return err }},
	}
}

// begin starts calls and returns where they report, one each.
func begin(ctx context.Context, calls []call) chan error {
	results := make(chan error, len(calls))
	for _, c := range calls {
		go func() { // ends with ctx or its connection: that is what is tested
			err := c.run(ctx)
			if err == nil && !c.local {
				results <- fmt.Errorf("%s: got no error", c.name)
				return
			}
			results <- nil
		}()
	}
	return results
}

// collect waits for the results of n calls.
func (e *env) collect(results <-chan error, n int) error {
	for range n {
		if err := e.within("a call under way", func() error { return <-results }); err != nil {
			return err
		}
	}
	return nil
}

func unanswered(e *env) error {
	c, _, err := e.pair("frozen")
	if err == nil {
		err = c.alone()
	}
	if err != nil {
		return err
	}
	thaw := e.harness.Freeze(e.t, e.made)
	defer func() { thaw() }()
	calls := append(callsOf(c), call{"Open", false, func(ctx context.Context) error {
		c, err := e.driver.Open(ctx)
		if err == nil {
			err = c.Close()
		}
		return err
	}})
	// Cancelled, without a deadline: a client's socket knows deadlines only.
	ctx, cancel := context.WithCancel(context.WithoutCancel(e.ctx))
	defer cancel()
	results := begin(ctx, calls)
	select {
	case <-time.After(moment):
	case <-e.ctx.Done():
	}
	cancel()
	if err := e.collect(results, len(calls)); err != nil {
		return fmt.Errorf("after the end of its context: %w", err)
	}
	thaw()
	thaw = func() {}
	return e.worksAnew()
}

func closeUnanswered(e *env) error {
	c, _, err := e.pair("frozen")
	if err == nil {
		err = c.alone()
	}
	if err != nil {
		return err
	}
	thaw := e.harness.Freeze(e.t, e.made)
	defer thaw()
	calls := callsOf(c)
	ctx, cancel := context.WithCancel(context.WithoutCancel(e.ctx)) // only Close is to end them
	defer cancel()
	results := begin(ctx, calls)
	select {
	case <-time.After(moment):
	case <-e.ctx.Done():
	}
	if err := e.within("Close", c.Close); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	if err := e.collect(results, len(calls)); err != nil {
		return errors.Join(errors.New("after Close"), err)
	}
	return nil
}

// worksAnew wants new connections to work, on a topic of which nothing is
// under way.
func (e *env) worksAnew() error {
	sub, pub, err := e.pair("anew")
	if err != nil {
		return fmt.Errorf("afterwards: %w", err)
	}
	return e.roundTrip(pub, sub, "anew", "after")
}
