package drivertest

import (
	"testing"

	"lockstep/pubsub/driver"
)

// Benchmark measures a message's way through the broker and back to the same
// connection: one after the other, and from 32 publishers at once for each
// core.
func Benchmark(b *testing.B, d driver.Driver) {
	c, err := d.Open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }() // the benchmark is over
	if err := c.Subscribe(b.Context(), "bench"); err != nil {
		b.Fatal(err)
	}
	roundTrip := func(b *testing.B) {
		if err := c.Publish(b.Context(), "bench", []byte(`{"n":1,"v":2,"e":1790000000000}`)); err != nil {
			b.Error(err)
		}
		if _, err := c.Receive(b.Context()); err != nil {
			b.Error(err)
		}
	}
	b.Run("one publisher", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			roundTrip(b)
		}
	})
	b.Run("many publishers", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(32)
		received := make(chan struct{})
		go func() { // ends with the last message: one goroutine receives
			defer close(received)
			for range b.N {
				if _, err := c.Receive(b.Context()); err != nil {
					b.Error(err)
					return
				}
			}
		}()
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				if err := c.Publish(b.Context(), "bench", []byte(`{"n":1,"v":2,"e":1790000000000}`)); err != nil {
					b.Error(err)
				}
			}
		})
		<-received
	})
}
