package live

import (
	"fmt"
	"time"
)

// How old is what tabs are shown?
//
// A room shows what the store had when it was asked last, or something newer that a broadcast has
// said. So what it shows is as old, at most, as the begin of the newest read that succeeded. That
// is the age of the room; anti-entropy keeps it at about RoomsOptions.Refresh. It grows when the
// store can't be read, when reads are slow, and when something here has stopped that should not.

// Age returns the age of the room with tabs in it that is the oldest; 0: there is none whose states
// are in a store. It looks at every room: it is for metrics.
func (r *Runtime) Age() (oldest time.Duration) {
	r.mu.Lock()
	ages := r.ages
	r.mu.Unlock()
	for _, age := range ages {
		oldest = max(oldest, age())
	}
	return oldest
}

// addAge has Age ask for that of a kind of rooms.
func (r *Runtime) addAge(age func() time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ages = append(r.ages[:len(r.ages):len(r.ages)], age) // Age may be reading the one before
}

// age is Runtime.Age for one kind of rooms.
func (rs *Rooms[S]) age() (oldest time.Duration) {
	now := time.Now()
	for _, r := range rs.open() {
		r.mu.Lock()
		if r.members > 0 {
			oldest = max(oldest, now.Sub(r.asked))
		}
		r.mu.Unlock()
	}
	return oldest
}

// borneOut takes note that a read of the store has answered that began at a time.
func (r *stateRoom[S]) borneOut(asked time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if asked.After(r.asked) {
		r.asked = asked
	}
}

// watchAge reports for ever whether the promise of RoomsOptions.Fresh holds.
func (rs *Rooms[S]) watchAge() {
	for rs.rt.pause(rs.opts.Fresh / 4) {
		var stale error
		if age := rs.age(); age > rs.opts.Fresh {
			stale = fmt.Errorf("what is shown may be %s old, and %s is promised", age.Round(time.Millisecond), rs.opts.Fresh)
		}
		rs.rt.ReportOf("freshness", rs.opts.Name, stale)
	}
}
