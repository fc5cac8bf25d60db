package browser

import (
	"slices"
	"sort"

	"lockstep/tools/loadgen/load/protocol"
)

// A frontier knows which states the tabs of one counter show: how many show each of them. That
// answers, at a cost that does not depend on the number of tabs, when the last of them had come as
// far as a state, and for how long a tab showed what was no longer the newest.
//
// The levels lie in the order of their states. As a rule there are one to three: tabs move from the
// first to the last, and the first goes when its last tab has left.
type frontier struct {
	levels   []level
	reached  protocol.State // by all tabs; what joins later may lie behind it
	advances []Advance      // since they were last taken
}

// A level is a state and how many tabs show it.
type level struct {
	state     protocol.State
	tabs      int
	first     int64 // when it was first shown, ns
	overtaken int64 // when a newer one was; 0: never
}

// add adds a tab, and reports whether it is the first to show the state.
func (f *frontier) add(s protocol.State, now int64) bool {
	i, isNew := f.level(s, now)
	f.levels[i].tabs++
	f.advanced(now)
	return isNew
}

// remove takes a tab away.
func (f *frontier) remove(s protocol.State, now int64) {
	if i := f.find(s); i < len(f.levels) && f.levels[i].state.Same(s) {
		f.levels[i].tabs--
	}
	f.trim(now)
}

// move has a tab show another state. It returns for how long the tab had shown an older one than
// some other tab, in ns, and the state as it was shown first: with another count it is not the
// same, though it says so.
func (f *frontier) move(from, to protocol.State, now int64) (stale int64, first protocol.State, isNew bool) {
	j, isNew := f.level(to, now)
	f.levels[j].tabs++
	first = f.levels[j].state
	if i := f.find(from); i < len(f.levels) && f.levels[i].state.Same(from) {
		f.levels[i].tabs--
		if at := f.levels[i].overtaken; at != 0 {
			stale = now - at
		}
	}
	f.trim(now)
	return max(stale, 0), first, isNew
}

// stalest is for how long the tab that is furthest behind has been so, in ns.
func (f *frontier) stalest(now int64) int64 {
	if len(f.levels) < 2 || f.levels[0].tabs == 0 {
		return 0
	}
	return max(0, now-f.levels[0].overtaken)
}

// find is the level of s, or the one that it would go before.
func (f *frontier) find(s protocol.State) int {
	n := len(f.levels)
	switch { // most look for the first or the last
	case n > 0 && !f.levels[0].state.Older(s):
		return 0
	case n > 0 && f.levels[n-1].state.Older(s):
		return n
	case n > 0 && f.levels[n-1].state.Same(s):
		return n - 1
	}
	return sort.Search(n, func(i int) bool { return !f.levels[i].state.Older(s) })
}

// level is the level of s, which is made if there is none.
func (f *frontier) level(s protocol.State, now int64) (i int, isNew bool) {
	i = f.find(s)
	if i < len(f.levels) && f.levels[i].state.Same(s) {
		return i, false
	}
	if len(f.levels) >= crowded {
		f.compact()
		i = f.find(s)
	}
	made := level{state: s, first: now}
	switch n := len(f.levels); {
	case i < n:
		made.overtaken = f.levels[i].first
		if at := f.levels[i].overtaken; at != 0 {
			made.overtaken = min(made.overtaken, at)
		}
	case n > 0:
		f.levels[n-1].overtaken = now
	}
	f.levels = slices.Insert(f.levels, i, made)
	return i, true
}

// crowded is the number of levels from which on those without tabs are taken out.
const crowded = 64

// compact takes out the levels without tabs but the newest. (A tab that later comes to a state
// between them which no tab has shown may seem less stale than it was.)
func (f *frontier) compact() {
	newest := f.levels[len(f.levels)-1]
	f.levels = slices.DeleteFunc(f.levels[:len(f.levels)-1], func(l level) bool { return l.tabs == 0 })
	f.levels = append(f.levels, newest)
}

// trim drops the oldest states as far as no tab shows them any more, and notes that all have come
// further.
func (f *frontier) trim(now int64) {
	gone := 0
	for gone < len(f.levels)-1 && f.levels[gone].tabs == 0 {
		gone++
	}
	if gone == 0 {
		return
	}
	f.levels = f.levels[:copy(f.levels, f.levels[gone:])]
	f.advanced(now)
}

// advanced notes what the last tab shows by now.
func (f *frontier) advanced(now int64) {
	oldest := f.levels[0].state
	if !f.reached.Older(oldest) {
		return
	}
	f.reached = oldest
	f.advances = append(f.advances, Advance{State: oldest, At: now})
}

// observe moves what the tabs show to c.
func (f *frontier) observe(c *Counter, now int64) {
	for _, l := range f.levels {
		c.Tabs += l.tabs
	}
	c.Advances, f.advances = f.advances, nil
	if len(f.levels) > 0 {
		c.Oldest, c.Newest = f.levels[0].state, f.levels[len(f.levels)-1].state
		c.Stalest = float64(f.stalest(now)) / 1e6
	}
}
