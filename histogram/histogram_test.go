package histogram_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"lockstep/histogram"
)

func Example() {
	var calls histogram.Durations
	for _, took := range []time.Duration{80 * time.Microsecond, 3 * time.Millisecond, time.Minute} {
		calls.Observe(took)
	}
	c := calls.Counts()
	fmt.Println(c.Count, "calls took", c.Sum)
	for _, b := range c.Buckets {
		if b.Bound == time.Millisecond || b.Bound == 5*time.Millisecond {
			fmt.Println(b.Count, "of them at most", b.Bound)
		}
	}
	// Output:
	// 3 calls took 1m0.00308s
	// 1 of them at most 1ms
	// 2 of them at most 5ms
}

func TestABoundBelongsToItsBucket(t *testing.T) {
	var d histogram.Durations
	before := d.Counts()
	for _, b := range before.Buckets {
		d.Observe(b.Bound)
	}
	d.Observe(-time.Second)
	d.Observe(time.Hour)
	got := d.Counts()
	for i, b := range got.Buckets {
		if want := uint64(i) + 2; b.Count != want || before.Buckets[i].Count != 0 {
			t.Errorf("%s: got %d, want %d", b.Bound, b.Count, want)
		}
	}
	if want := uint64(len(got.Buckets)) + 2; got.Count != want || got.Sum < time.Hour {
		t.Errorf("got %d in all and %s, want %d", got.Count, got.Sum, want)
	}
}

func TestNothingIsLostWhenManyCount(t *testing.T) {
	var d histogram.Durations
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 1000 {
				d.Observe(time.Duration(i) * time.Millisecond)
				if c := d.Counts(); c.Count < c.Buckets[0].Count {
					t.Errorf("got %d in all and %d in a bucket", c.Count, c.Buckets[0].Count)
				}
			}
		})
	}
	wg.Wait()
	if c := d.Counts(); c.Count != 8000 || c.Sum != 8*999*500*time.Millisecond {
		t.Errorf("got %d and %s", c.Count, c.Sum)
	}
}

func BenchmarkObserve(b *testing.B) {
	var d histogram.Durations
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			d.Observe(3 * time.Millisecond)
		}
	})
}
