package drivertest

import (
	"testing"

	"lockstep/pubsub/driver"
)

// Benchmark measures the way of one message through the broker and back to the
// same connection.
func Benchmark(b *testing.B, d driver.Driver) {
	c, err := d.Open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }() // the benchmark is over
	if err := c.Subscribe(b.Context(), "bench"); err != nil {
		b.Fatal(err)
	}
	payload := []byte(`{"n":1,"v":2,"e":1790000000000}`)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Publish(b.Context(), "bench", payload); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Receive(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
