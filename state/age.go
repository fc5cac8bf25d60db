package state

import "time"

// An Age numbers the lifetimes that have passed, for stores that forget lanes. A
// lane is marked with the number of the Age at its last move, and known while
// that is the newest or the one before: for one lifetime at least, and two at
// most. The number grows by one at a time. So it is no matter how far the clock
// jumps: what was marked before is known for another lifetime. A clock that goes
// back makes lanes stay longer.
type Age struct {
	N     uint64
	Since time.Time // by the store's clock
}

// At returns the age at a time, which is a or the next.
func (a Age) At(now time.Time, lifetime time.Duration) Age {
	switch past := now.Sub(a.Since); {
	case past < 0:
		return Age{a.N, now} // the clock was ahead
	case past >= lifetime:
		return Age{a.N + 1, now}
	}
	return a
}

// Knows reports whether what was marked with n is to be known.
func (a Age) Knows(n uint64) bool { return n+1 >= a.N }
