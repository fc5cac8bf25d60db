package browser

import (
	"slices"
	"sort"

	"lockstep/tools/loadgen/load/protocol"
)

// A front knows which states the tabs of one counter show: how many show each of them. That
// answers, at a cost that does not depend on the number of tabs, when the last of them had come as
// far as a state, and for how long a tab showed what was no longer the newest.
//
// The rows lie in the order of the states. As a rule there are one to three: tabs move from the
// first to the last, and the first goes when its last tab has left.
type front struct {
	rows     []row
	reached  protocol.State // by all tabs; what joins later may lie behind it
	advances []Advance      // since they were last taken
}

// A row is a state and who shows it.
type row struct {
	state protocol.State
	tabs  int
	first int64 // when it was first shown, ns
	over  int64 // when a newer one was; 0: never
}

// add has one more tab, and reports whether nobody has shown the state before.
func (f *front) add(s protocol.State, now int64) bool {
	i, isNew := f.row(s, now)
	f.rows[i].tabs++
	f.advanced(now)
	return isNew
}

// remove has one tab less.
func (f *front) remove(s protocol.State, now int64) {
	if i := f.find(s); i < len(f.rows) && f.rows[i].state.Same(s) {
		f.rows[i].tabs--
	}
	f.trim(now)
}

// move has a tab show another state. It returns for how long the tab had shown an older one than
// some other tab, in ns, and the state as it was shown first: with another count it is not the
// same, though it says so.
func (f *front) move(from, to protocol.State, now int64) (stale int64, first protocol.State, isNew bool) {
	j, isNew := f.row(to, now)
	f.rows[j].tabs++
	first = f.rows[j].state
	if i := f.find(from); i < len(f.rows) && f.rows[i].state.Same(from) {
		f.rows[i].tabs--
		if over := f.rows[i].over; over != 0 {
			stale = now - over
		}
	}
	f.trim(now)
	return max(stale, 0), first, isNew
}

// stalest is for how long the tab that is furthest behind has been so, in ns.
func (f *front) stalest(now int64) int64 {
	if len(f.rows) < 2 || f.rows[0].tabs == 0 {
		return 0
	}
	return max(0, now-f.rows[0].over)
}

// find is the row of s, or the one that it would go before.
func (f *front) find(s protocol.State) int {
	n := len(f.rows)
	switch { // most look for the first or the last
	case n > 0 && !f.rows[0].state.Older(s):
		return 0
	case n > 0 && f.rows[n-1].state.Older(s):
		return n
	case n > 0 && f.rows[n-1].state.Same(s):
		return n - 1
	}
	return sort.Search(n, func(i int) bool { return !f.rows[i].state.Older(s) })
}

// row is the row of s, which may have to be made.
func (f *front) row(s protocol.State, now int64) (i int, isNew bool) {
	i = f.find(s)
	if i < len(f.rows) && f.rows[i].state.Same(s) {
		return i, false
	}
	if len(f.rows) >= crowded {
		f.compact()
		i = f.find(s)
	}
	made := row{state: s, first: now}
	switch n := len(f.rows); {
	case i < n:
		made.over = f.rows[i].first
		if over := f.rows[i].over; over != 0 {
			made.over = min(made.over, over)
		}
	case n > 0:
		f.rows[n-1].over = now
	}
	f.rows = append(f.rows, row{})
	copy(f.rows[i+1:], f.rows[i:])
	f.rows[i] = made
	return i, true
}

// crowded is the number of rows from which those without tabs are taken out.
const crowded = 64

// compact takes out rows without tabs but the newest. (A tab that later comes to a state between
// them which nobody has shown may seem less stale than it was.)
func (f *front) compact() {
	newest := f.rows[len(f.rows)-1]
	f.rows = slices.DeleteFunc(f.rows[:len(f.rows)-1], func(r row) bool { return r.tabs == 0 })
	f.rows = append(f.rows, newest)
}

// trim lets go of the states that nobody shows any more, and notes that all have come further.
func (f *front) trim(now int64) {
	gone := 0
	for gone < len(f.rows)-1 && f.rows[gone].tabs == 0 {
		gone++
	}
	if gone == 0 {
		return
	}
	f.rows = f.rows[:copy(f.rows, f.rows[gone:])]
	f.advanced(now)
}

// advanced notes what the last tab shows by now.
func (f *front) advanced(now int64) {
	oldest := f.rows[0].state
	if !f.reached.Older(oldest) {
		return
	}
	f.reached = oldest
	f.advances = append(f.advances, Advance{State: oldest, At: now})
}
