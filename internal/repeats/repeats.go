// Package repeats keeps the log short about what may go on for long.
package repeats

import (
	"sync"
	"time"
)

// Interval is the shortest time between two lines of the log about the same.
const Interval = 10 * time.Second

// A Counter counts what has happened since the log has said so. It may be used
// concurrently. The zero value has counted nothing.
type Counter struct {
	mu     sync.Mutex // guards the rest
	silent uint64
	said   time.Time
}

// Add counts one more, and returns how many the log is to speak of now; 0: none.
func (c *Counter) Add(now time.Time) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silent++
	if !c.said.IsZero() && now.Sub(c.said) < Interval {
		return 0
	}
	n := c.silent
	c.silent, c.said = 0, now
	return n
}
