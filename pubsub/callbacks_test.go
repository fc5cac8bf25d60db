package pubsub_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
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
