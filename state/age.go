package state

import "time"

// ages is how many ages are a lifetime.
const ages = 7

// An Age numbers the sevenths of a lifetime that have passed, for stores that
// forget lanes. A lane is marked with the number of the Age at its last move,
// and known while that is the newest or one of the eight before.
//
// The number grows by one at a time, however far the clock has jumped. So nine
// steps lead from a mark to oblivion: the first may come at once, one may be a
// jump of the clock, and the others take a lifetime. A clock that goes back
// makes lanes stay longer. Without jumps a lane is known for 8/7 to 9/7 of a
// lifetime, if the store is in use.
type Age struct {
	N     uint64
	Since time.Time // by the store's clock
}

// At returns the age at a time, which is a or the next.
func (a Age) At(now time.Time, lifetime time.Duration) Age {
	switch past := now.Sub(a.Since); {
	case past < 0:
		return Age{a.N, now} // the clock was ahead
	case past >= lifetime/ages:
		return Age{a.N + 1, now}
	}
	return a
}

// Knows reports whether what was marked with n is to be known.
func (a Age) Knows(n uint64) bool { return n+ages+1 >= a.N }

// Generation numbers spans of eight ages, for stores that keep lanes by the
// generation of their last move: what is of the newest, or the one before, is
// known. That is simpler to forget, and keeps what Knows keeps, and more: for
// 8/7 to 16/7 of a lifetime.
func (a Age) Generation() uint64 { return a.N / (ages + 1) }
