package pubsub_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/pubsub"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/pubsubtest"
)

func TestAForgedMessageIsAGapCountedAndLoggedWithinLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		broker := pubsubtest.NewRecorder(nil)
		told := 0
		h := pubsub.NewHub(broker, &pubsub.Options{
			Prefix: "x:", Logger: slog.New(slog.NewTextHandler(&log, nil)),
			OnForged: func(topic string) {
				if told++; topic != "x:a" {
					t.Errorf("got %q, want x:a", topic)
				}
			},
		})
		if err := h.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer h.Stop(context.Background())
		busy, calls := make(chan struct{}), 0
		handler := func(_ context.Context, m pubsub.Message) error {
			if !m.Gap || m.Payload != nil || m.Trusted {
				t.Errorf("got %+v, want a Gap", m)
			}
			calls++
			<-busy
			return nil
		}
		if err := h.SubscribeTopic(t.Context(), "s", "a", handler); err != nil {
			t.Fatal(err)
		}
		const n = 1000
		for i := range n {
			if i == 1 {
				synctest.Wait() // the handler is busy with the first
			}
			broker.Deliver(driver.Message{Topic: "x:a", Gap: true, Forged: true})
		}
		synctest.Wait()
		close(busy)
		synctest.Wait()
		if calls != 2 {
			t.Errorf("got %d calls of the handler, want the one that was busy and one for all that came meanwhile", calls)
		}
		if got := h.Stats().Forged; got != n || told != n {
			t.Errorf("got %d, and was told of %d, want %d", got, told, n)
		}
		if got := strings.Count(log.String(), "valid signature"); got != 1 {
			t.Errorf("got %d lines of log, want one", got)
		}
		time.Sleep(10 * time.Second)
		broker.Deliver(driver.Message{Topic: "x:a", Gap: true, Forged: true})
		synctest.Wait()
		if !strings.Contains(log.String(), "messages=1000") {
			t.Errorf("got %s, want how many were left out", log.String())
		}
	})
}

func TestOnlyWhatTheDriverTrustsIsTrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broker := pubsubtest.NewRecorder(nil)
		h := pubsub.NewHub(broker, nil)
		if err := h.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer h.Stop(context.Background())
		var got []bool
		if err := h.SubscribeTopic(t.Context(), "s", "a", func(_ context.Context, m pubsub.Message) error {
			got = append(got, m.Trusted)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := h.Broadcast(t.Context(), "a", []byte("x")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		broker.Deliver(driver.Message{Topic: "a", Payload: []byte("x")})
		synctest.Wait()
		if len(got) != 2 || !got[0] || got[1] {
			t.Errorf("got %v, want that of the broker in memory, and not the other", got)
		}
	})
}
