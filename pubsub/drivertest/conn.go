package drivertest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep/pubsub/driver"
)

// The tests that a backend has beside the suite need these, too.

// Within returns a context that ends with the test, and after d.
func Within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// Open returns a connection of d that ends with the test, which fails if there is none.
func Open(t testing.TB, d driver.Driver) driver.Conn {
	t.Helper()
	c, err := d.Open(Within(t, patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // twice is harmless
	return c
}

// Subscribed is Open, with subscriptions.
func Subscribed(t testing.TB, d driver.Driver, topics ...string) driver.Conn {
	t.Helper()
	c := Open(t, d)
	for _, topic := range topics {
		if err := c.Subscribe(Within(t, patience), topic); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// WantEnd fails the test if c does not end, with an error that says one of says ("" is anything),
// or if it comes back to life after that; ctx bounds how long it may take. Messages that arrived
// before are passed over.
func WantEnd(ctx context.Context, t testing.TB, c driver.Conn, says ...string) {
	t.Helper()
	var end error
	for end == nil {
		_, end = c.Receive(ctx)
	}
	if ctx.Err() != nil || !slices.ContainsFunc(says, func(s string) bool { return strings.Contains(end.Error(), s) }) {
		t.Fatalf("got %v, want the end, and one of %q", end, says)
	}
	for range 3 {
		if _, err := c.Receive(ctx); err == nil {
			t.Fatal("the connection came back to life")
		}
		if err := c.Subscribe(ctx, "y"); err == nil {
			t.Fatal("a lost connection took a subscription")
		}
	}
}
