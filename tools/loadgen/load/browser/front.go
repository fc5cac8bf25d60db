package browser

import (
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
	since int64 // when this state or a newer one was first shown, ns
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
		if i+1 < len(f.rows) {
			stale = now - f.rows[i+1].since
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
	return max(0, now-f.rows[1].since)
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
	since := now
	if i < len(f.rows) {
		since = f.rows[i].since // a newer one was seen before
	}
	f.rows = append(f.rows, row{})
	copy(f.rows[i+1:], f.rows[i:])
	f.rows[i] = row{state: s, since: since}
	return i, true
}

// crowded is the number of rows from which those without tabs are taken out.
const crowded = 64

// compact takes out rows without tabs but the newest. What follows one keeps when it was
// overtaken.
func (f *front) compact() {
	kept := f.rows[:0]
	since := int64(0)
	for i, r := range f.rows {
		if since != 0 {
			r.since = min(r.since, since)
		}
		since = 0
		if r.tabs == 0 && i < len(f.rows)-1 {
			since = r.since
			continue
		}
		kept = append(kept, r)
	}
	f.rows = kept
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
