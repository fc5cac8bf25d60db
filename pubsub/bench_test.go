package pubsub_test

import (
	"context"
	"strconv"
	"sync"
	"testing"

	"lockstep/pubsub"
	"lockstep/pubsub/mempubsub"
)

// BenchmarkDispatch measures one message from Broadcast to the return of all
// its handlers.
func BenchmarkDispatch(b *testing.B) {
	for _, handlers := range []int{1, 100} {
		b.Run(strconv.Itoa(handlers)+" handlers", func(b *testing.B) {
			h := startedHub(b)
			var called sync.WaitGroup
			for i := range handlers {
				err := h.SubscribeTopic(b.Context(), strconv.Itoa(i), "t", func(context.Context, pubsub.Message) error {
					called.Done()
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			payload := make([]byte, 100)
			b.ReportAllocs()
			for b.Loop() {
				called.Add(handlers)
				if err := h.Broadcast(b.Context(), "t", payload); err != nil {
					b.Fatal(err)
				}
				called.Wait()
			}
		})
	}
}

// BenchmarkBroadcast measures a broadcast that nobody hears.
func BenchmarkBroadcast(b *testing.B) {
	h := startedHub(b)
	payload := make([]byte, 100)
	b.ReportAllocs()
	for b.Loop() {
		if err := h.Broadcast(b.Context(), "t", payload); err != nil {
			b.Fatal(err)
		}
	}
}

// startedHub returns a hub over a broker in memory, for the benchmark's time.
func startedHub(b *testing.B) *pubsub.Hub {
	b.Helper()
	h := pubsub.NewHub(mempubsub.NewBus(), nil)
	if err := h.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = h.Stop(context.WithoutCancel(b.Context())) })
	return h
}
