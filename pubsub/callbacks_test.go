package pubsub_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/pubsub"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/mempubsub"
	"lockstep/pubsub/pubsubtest"
)

func TestACallbackThatPanicsStopsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		broker := pubsubtest.NewRecorder(nil)
		h := pubsub.NewHub(broker, &pubsub.Options{
			Logger:   slog.New(slog.NewTextHandler(&log, nil)),
			OnStatus: func(error) { panic("sabotage") }, OnRoundTrip: func(time.Duration) { panic("sabotage") },
			OnForged: func(string) { panic("sabotage") },
		})
		if err := h.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer h.Stop(context.Background())
		heard := 0
		if err := h.SubscribeTopic(t.Context(), "s", "a", func(context.Context, pubsub.Message) error { heard++; return nil }); err != nil {
			t.Fatal(err)
		}
		broker.Disconnect()
		time.Sleep(time.Minute)
		broker.Deliver(driver.Message{Topic: "b", Gap: true, Forged: true})
		if err := h.Broadcast(t.Context(), "a", nil); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if heard != 2 || h.Err() != nil { // the Gap, and the message
			t.Errorf("got %d messages and %v, want that the hub goes on", heard, h.Err())
		}
		if n := strings.Count(log.String(), "callback failed"); n == 0 || n > 8 {
			t.Errorf("got %d lines of log in a minute, want a few", n)
		}
	})
}

func TestAWrongHubIsRefusedInASentence(t *testing.T) {
	for name, c := range map[string]struct {
		d    driver.Driver
		opts pubsub.Options
		want string
	}{
		"no driver":           {nil, pubsub.Options{}, "needs a driver"},
		"a negative interval": {mempubsub.NewBus(), pubsub.Options{HeartbeatInterval: -1}, "HeartbeatInterval is negative"},
		"a negative queue":    {mempubsub.NewBus(), pubsub.Options{Queue: -1}, "Queue is negative"},
		"a negative pause":    {mempubsub.NewBus(), pubsub.Options{MaxBackoff: -1}, "MaxBackoff is negative"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p := recover(); !strings.Contains(fmt.Sprint(p), c.want) {
					t.Errorf("got %v, want %q", p, c.want)
				}
			}()
			pubsub.NewHub(c.d, &c.opts)
		})
	}
}

// A clumsyDriver panics in one of its methods, as often as it is told to.
type clumsyDriver struct {
	driver.Driver
	method string
	left   atomic.Int64
}

func (d *clumsyDriver) strike(method string) {
	if method == d.method && d.left.Add(-1) >= 0 {
		panic("sabotage")
	}
}

func (d *clumsyDriver) Open(ctx context.Context) (driver.Conn, error) {
	d.strike("Open")
	c, err := d.Driver.Open(ctx)
	return clumsyConn{c, d}, err
}

type clumsyConn struct {
	driver.Conn
	d *clumsyDriver
}

func (c clumsyConn) Publish(ctx context.Context, topic string, payload []byte) error {
	c.d.strike("Publish")
	return c.Conn.Publish(ctx, topic, payload)
}

func (c clumsyConn) Subscribe(ctx context.Context, topic string) error {
	c.d.strike("Subscribe")
	return c.Conn.Subscribe(ctx, topic)
}

func (c clumsyConn) Unsubscribe(ctx context.Context, topic string) error {
	c.d.strike("Unsubscribe")
	return c.Conn.Unsubscribe(ctx, topic)
}

func (c clumsyConn) Receive(ctx context.Context) (driver.Message, error) {
	c.d.strike("Receive")
	return c.Conn.Receive(ctx)
}

func (c clumsyConn) Close() error {
	c.d.strike("Close")
	return c.Conn.Close()
}

func TestADriverThatPanicsIsOneThatFails(t *testing.T) {
	for _, method := range []string{"Open", "Publish", "Subscribe", "Unsubscribe", "Receive", "Close"} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				broker := pubsubtest.NewRecorder(nil)
				d := &clumsyDriver{Driver: broker, method: method}
				h := pubsub.NewHub(d, nil)
				if err := h.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				defer h.Stop(context.Background())
				heard := 0
				handler := func(_ context.Context, m pubsub.Message) error {
					if !m.Gap {
						heard++
					}
					return nil
				}
				d.left.Store(3)
				for range 3 {
					_ = h.SubscribeTopic(t.Context(), "s", "a", handler) // it may fail
					_ = h.Broadcast(t.Context(), "a", nil)
					_ = h.UnsubscribeAll(t.Context(), "s")
				}
				broker.Disconnect()
				time.Sleep(time.Minute)
				if err := h.Err(); err != nil {
					t.Errorf("got %v after a minute", err)
				}
				if err := h.SubscribeTopic(t.Context(), "s", "a", handler); err != nil {
					t.Error(err)
				}
				before := heard
				if err := h.Broadcast(t.Context(), "a", nil); err != nil {
					t.Error(err)
				}
				synctest.Wait()
				if heard != before+1 {
					t.Errorf("got %d messages, want that the hub works again", heard-before)
				}
				if h.Stats().HandlerErrors == 0 {
					t.Error("no failure was counted")
				}
			})
		})
	}
}
