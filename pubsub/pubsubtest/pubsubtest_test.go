package pubsubtest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/pubsubtest"
)

var errRefused = errors.New("the broker refuses")

func TestConformance(t *testing.T) {
	disconnect := func(_ testing.TB, d driver.Driver) { d.(*pubsubtest.Recorder).Disconnect() }
	drivertest.Run(t, drivertest.Harness{
		Driver:  func(testing.TB) driver.Driver { return pubsubtest.NewRecorder(nil) },
		Break:   disconnect,
		Restart: disconnect, // the broker in memory has nothing to forget
	})
}

// withConn runs f in a bubble with a connection.
func withConn(t *testing.T, f func(t *testing.T, r *pubsubtest.Recorder, c driver.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := pubsubtest.NewRecorder(nil)
		c, err := r.Open(t.Context())
		must(t, err)
		f(t, r, c)
		must(t, c.Close())
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRecorder(t *testing.T) {
	t.Run("calls are recorded in order, with what they said, but not heartbeats in the summaries", func(t *testing.T) {
		withConn(t, func(t *testing.T, r *pubsubtest.Recorder, c driver.Conn) {
			payload := []byte("1")
			must(t, c.Subscribe(t.Context(), "_hub:x"))
			must(t, c.Subscribe(t.Context(), "a"))
			must(t, c.Publish(t.Context(), "a", payload))
			payload[0] = 'x' // the record is a copy
			must(t, c.Unsubscribe(t.Context(), "a"))
			var ops []pubsubtest.Op
			for _, call := range r.Calls() {
				ops = append(ops, call.Op)
			}
			want := []pubsubtest.Op{pubsubtest.Open, pubsubtest.Subscribe, pubsubtest.Subscribe, pubsubtest.Publish, pubsubtest.Unsubscribe}
			if !slices.Equal(ops, want) {
				t.Errorf("got %v, want %v", ops, want)
			}
			if got := r.Publishes(); len(got) != 1 || string(got[0].Payload) != "1" || got[0].Topic != "a" {
				t.Errorf("got %+v, want 1 on a", got)
			}
			if got := r.Subscribes(); !slices.Equal(got, []string{"a"}) {
				t.Errorf("got %q, want a", got)
			}
			if got := r.Unsubscribes(); !slices.Equal(got, []string{"a"}) {
				t.Errorf("got %q, want a", got)
			}
			if got := r.Subscribed(); len(got) != 0 {
				t.Errorf("got %q, want none", got)
			}
		})
	})
	t.Run("WaitFor returns when its condition holds, or with its context", func(t *testing.T) {
		withConn(t, func(t *testing.T, r *pubsubtest.Recorder, c driver.Conn) {
			published := func() bool { return r.Count(pubsubtest.Publish) > 0 }
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := r.WaitFor(ctx, published); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
			}
			waited := make(chan error)
			go func() { waited <- r.WaitFor(t.Context(), published) }()
			synctest.Wait()
			must(t, c.Publish(t.Context(), "a", nil))
			must(t, <-waited)
		})
	})
}

func TestFaults(t *testing.T) {
	t.Run("as many calls fail as were told to, and do not reach the broker", func(t *testing.T) {
		withConn(t, func(t *testing.T, r *pubsubtest.Recorder, c driver.Conn) {
			r.Fail(pubsubtest.Subscribe, 2, errRefused)
			for i, want := range []error{errRefused, errRefused, nil} {
				if err := c.Subscribe(t.Context(), "a"); !errors.Is(err, want) {
					t.Errorf("call %d: got %v, want %v", i, err, want)
				}
				if got := len(r.Subscribed()); (got == 1) != (want == nil) {
					t.Errorf("call %d: got %d topics at the broker", i, got)
				}
			}
		})
	})
	t.Run("a negative number fails until Heal, of one topic only if so told", func(t *testing.T) {
		withConn(t, func(t *testing.T, r *pubsubtest.Recorder, c driver.Conn) {
			r.FailTopic(pubsubtest.Publish, "a", -1, errRefused)
			for range 100 {
				if err := c.Publish(t.Context(), "a", nil); !errors.Is(err, errRefused) {
					t.Fatalf("got %v, want %v", err, errRefused)
				}
			}
			must(t, c.Publish(t.Context(), "b", nil))
			r.Heal()
			must(t, c.Publish(t.Context(), "a", nil))
		})
	})
	t.Run("what stalls goes on when released, and not before but with its context", func(t *testing.T) {
		withConn(t, func(t *testing.T, r *pubsubtest.Recorder, c driver.Conn) {
			release := r.Stall(pubsubtest.Publish)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := c.Publish(ctx, "a", nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
			}
			published := make(chan error)
			go func() { published <- c.Publish(t.Context(), "a", nil) }()
			synctest.Wait()
			if n := len(r.Publishes()); n != 0 {
				t.Errorf("got %d messages at the broker before the release", n)
			}
			release()
			release() // harmless
			must(t, <-published)
		})
	})
	t.Run("a deaf connection delivers nothing, and a new one does", func(t *testing.T) {
		withConn(t, func(t *testing.T, r *pubsubtest.Recorder, c driver.Conn) {
			must(t, c.Subscribe(t.Context(), "a"))
			r.Deafen()
			fresh, err := r.Open(t.Context())
			must(t, err)
			defer fresh.Close()
			must(t, fresh.Subscribe(t.Context(), "a"))
			must(t, c.Publish(t.Context(), "a", []byte("1")))
			if m, err := fresh.Receive(t.Context()); err != nil || string(m.Payload) != "1" {
				t.Errorf("got %+v, %v; want 1", m, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if m, err := c.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %+v, %v; want %v", m, err, context.DeadlineExceeded)
			}
		})
	})
	t.Run("what is delivered by hand reaches a Receive that waits, subscribed or not", func(t *testing.T) {
		withConn(t, func(t *testing.T, r *pubsubtest.Recorder, c driver.Conn) {
			received := make(chan driver.Message, 1)
			go func() {
				m, _ := c.Receive(t.Context()) // an error shows as an empty message
				received <- m
			}()
			synctest.Wait()
			r.Deliver(driver.Message{Gap: true})
			if m := <-received; !m.Gap {
				t.Errorf("got %+v, want a gap", m)
			}
		})
	})
	t.Run("a disconnected connection says so, and a new one works", func(t *testing.T) {
		withConn(t, func(t *testing.T, r *pubsubtest.Recorder, c driver.Conn) {
			r.Disconnect()
			if _, err := c.Receive(t.Context()); !errors.Is(err, pubsubtest.ErrDisconnected) {
				t.Errorf("got %v, want %v", err, pubsubtest.ErrDisconnected)
			}
			if n := r.Connected(); n != 0 {
				t.Errorf("got %d connections, want none", n)
			}
			fresh, err := r.Open(t.Context())
			must(t, err)
			must(t, fresh.Publish(t.Context(), "a", nil))
			must(t, fresh.Close())
		})
	})
}
