package mempubsub_test

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
)

func TestQueue(t *testing.T) {
	t.Run("a connection that does not receive loses what waits and gets one gap for all topics", func(t *testing.T) {
		bus := mempubsub.NewBus()
		c, other := open(t, bus), open(t, bus)
		for _, c := range []driver.Conn{c, other} {
			if err := c.Subscribe(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
		}
		const limit, more = 1024, 5
		for i := range limit + more {
			if err := c.Publish(t.Context(), "a", strconv.AppendInt(nil, int64(i), 10)); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, other); string(got.Payload) != strconv.Itoa(i) {
				t.Fatalf("the other connection got %q, want %d", got.Payload, i)
			}
		}
		if m := receive(t, c); !m.Gap || m.Topic != "" || m.Payload != nil {
			t.Errorf("got %+v, want a gap without a topic", m)
		}
		for i := limit; i < limit+more; i++ {
			if m := receive(t, c); m.Gap || string(m.Payload) != strconv.Itoa(i) {
				t.Errorf("got %+v, want %d", m, i)
			}
		}
	})
	t.Run("a closed connection neither receives nor takes part", func(t *testing.T) {
		bus := mempubsub.NewBus()
		c := open(t, bus)
		if err := errors.Join(c.Subscribe(t.Context(), "a"), c.Publish(t.Context(), "a", nil), c.Close(), c.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Receive(t.Context()); !errors.Is(err, driver.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	})
	t.Run("Open with a context that has ended fails", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := mempubsub.NewBus().Open(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func open(t testing.TB, bus *mempubsub.Bus) driver.Conn {
	t.Helper()
	c, err := bus.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func receive(t testing.TB, c driver.Conn) driver.Message {
	t.Helper()
	m, err := c.Receive(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// BenchmarkPublish measures one message from one connection to another.
func BenchmarkPublish(b *testing.B) {
	bus := mempubsub.NewBus()
	from, to := open(b, bus), open(b, bus)
	if err := to.Subscribe(b.Context(), "a"); err != nil {
		b.Fatal(err)
	}
	payload := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		if err := from.Publish(b.Context(), "a", payload); err != nil {
			b.Fatal(err)
		}
		receive(b, to)
	}
}
