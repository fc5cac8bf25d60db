// Package histogram counts durations in buckets, which say how long most of them were and how long
// the longest. It is cheap enough for what is done ten thousand times a second.
package histogram

import (
	"sync/atomic"
	"time"
)

// buckets is how many have an upper bound. One more has none.
const buckets = 16

// bounds are their upper bounds: from what memory takes to what a person waits for.
func bounds() [buckets]time.Duration {
	return [...]time.Duration{
		100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
		time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
		10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
		100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
		time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
	}
}

// Durations count durations. The zero value has counted none. It may be used concurrently, and must
// not be copied.
type Durations struct {
	counts [buckets + 1]atomic.Uint64 // of each bucket alone
	sum    atomic.Int64               // nanoseconds
}

// Observe counts a duration. A negative one, as of a clock that was set back, counts as 0.
func (d *Durations) Observe(took time.Duration) {
	took = max(took, 0)
	all, i := bounds(), 0
	for i < len(all) && took > all[i] {
		i++
	}
	d.counts[i].Add(1)
	d.sum.Add(int64(took))
}

// Since counts the time that has passed since began. It is for defer.
func (d *Durations) Since(began time.Time) { d.Observe(time.Since(began)) }

// A Bucket is how many durations were as long as its bound, or shorter.
type Bucket struct {
	Bound time.Duration
	Count uint64
}

// Counts are what Durations had counted at one time.
type Counts struct {
	Count   uint64        // how many there were
	Sum     time.Duration // of all
	Buckets []Bucket      // by their bounds; what is longer than the last is in Count alone
}

// Counts returns what was counted so far. What is counted meanwhile is in it, or is not; Count is
// at least that of each bucket.
func (d *Durations) Counts() Counts {
	c := Counts{Sum: time.Duration(d.sum.Load())}
	for i, bound := range bounds() {
		c.Count += d.counts[i].Load()
		c.Buckets = append(c.Buckets, Bucket{bound, c.Count})
	}
	c.Count += d.counts[buckets].Load()
	return c
}
