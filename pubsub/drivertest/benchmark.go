package drivertest

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"

	"lockstep/pubsub/driver"
)

// publishers is how many goroutines publish at once in BenchmarkThroughput, for each core.
const publishers = 32

// Benchmark measures a message's way through the broker and back to the same
// connection: BenchmarkRoundTrip and BenchmarkThroughput.
func Benchmark(b *testing.B, d driver.Driver) {
	b.Run("one publisher", func(b *testing.B) { BenchmarkRoundTrip(b, d) })
	b.Run("many publishers", func(b *testing.B) { BenchmarkThroughput(b, d) })
}

// BenchmarkRoundTrip measures one message after the other: each is published when the one before
// has come back.
func BenchmarkRoundTrip(b *testing.B, d driver.Driver) {
	c, received := listen(b, d)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if err := publish(b.Context(), c, n); err != nil {
			b.Fatal(err)
		}
		for got := -1; got != n; { // one that comes twice is an older one
			var open bool
			if got, open = <-received; !open {
				b.Fatal("the connection has ended")
			}
		}
		n++
	}
}

// BenchmarkThroughput measures messages of 32 publishers for each core, of which not more are under
// way than a driver must take.
func BenchmarkThroughput(b *testing.B, d driver.Driver) {
	c, received := listen(b, d)
	b.ReportAllocs()
	b.SetParallelism(publishers)
	slots, all := make(chan struct{}, window), make(chan error, 1)
	go func() { all <- each(received, b.N, slots) }() // ends with the last message
	b.ResetTimer()
	var next atomic.Int64
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			slots <- struct{}{}
			if err := publish(b.Context(), c, int(next.Add(1))-1); err != nil {
				b.Error(err)
			}
		}
	})
	if err := <-all; err != nil {
		b.Error(err)
	}
}

// each takes n messages, each once, and frees a slot for each.
func each(received <-chan int, n int, slots <-chan struct{}) error {
	had := make([]bool, n)
	for left := n; left > 0; {
		got, open := <-received
		if !open || got >= n {
			go drain(slots) // the benchmark fails, and must end
			return errors.New("the connection has ended, or messages were lost")
		}
		if !had[got] {
			had[got] = true
			left--
			<-slots
		}
	}
	return nil
}

// drain lets all that wait go on.
func drain(slots <-chan struct{}) {
	for range slots {
	}
}

// listen opens a connection that is subscribed, with a goroutine that receives all the time. The
// numbers of what has come are on the channel, which is closed when the connection has ended, or
// when messages were lost.
func listen(b *testing.B, d driver.Driver) (driver.Conn, <-chan int) {
	c, err := d.Open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() }) // the benchmark is over
	received := make(chan int, 2*window)
	go func() { // ends with the connection
		defer close(received)
		for {
			m, err := c.Receive(b.Context())
			if err != nil || m.Gap {
				return
			}
			if n, err := strconv.Atoi(string(m.Payload[len(filling):])); err == nil {
				select {
				case received <- n:
				case <-b.Context().Done():
				}
			}
		}
	}()
	if err := c.Subscribe(b.Context(), "bench"); err != nil {
		b.Fatal(err)
	}
	return c, received
}

// filling makes messages as long as one of a counter is.
const filling = `{"v":2,"e":1790000000000} `

func publish(ctx context.Context, c driver.Conn, n int) error {
	return c.Publish(ctx, "bench", strconv.AppendInt([]byte(filling), int64(n), 10))
}
