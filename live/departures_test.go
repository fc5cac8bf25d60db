package live

import (
	"testing"
	"time"
)

// TestDeparturesCatchUpSlowly: pauses that are too long are made up for, but
// after a stall not all leave together.
func TestDeparturesCatchUpSlowly(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name       string
		sent, all  int
		gap, since time.Duration
		n          int
		wait       time.Duration
	}{
		{"the first", 0, 10, 10 * ms, 0, 1, 10 * ms},
		{"in time", 3, 10, 10 * ms, 30 * ms, 1, 10 * ms},
		{"too early", 3, 10, 10 * ms, 25 * ms, 1, 15 * ms},
		{"a little late", 3, 10, 10 * ms, 34 * ms, 1, 6 * ms},
		{"a pause for several", 3, 100, ms, 7 * ms, 5, 2500 * time.Microsecond},
		{"a stall", 100, 10_000, ms, time.Second, 100, 50 * ms},
		{"the rest of a stall", 9990, 10_000, ms, time.Minute, 10, 5 * ms},
		{"a stall where few leave", 3, 10, time.Second, time.Minute, 1, 500 * ms},
		{"all at once", 3, 10, 0, 0, 7, 0},
	} {
		if n, wait := departures(c.sent, c.all, c.gap, c.since); n != c.n || wait != c.wait {
			t.Errorf("%s: got %d and then a pause of %v, want %d and %v", c.name, n, wait, c.n, c.wait)
		}
	}
}
