package load

import (
	"slices"
	"sort"
	"time"

	"lockstep/tools/loadgen/load/internal/browser"
	"lockstep/tools/loadgen/load/protocol"
)

// A counterSum is one counter as all tabs show it.
type counterSum struct {
	acked       int64
	outstanding int
	clicks      []browser.Resolved // acknowledged ones that some tabs have not seen yet, as far as is known
	newest      protocol.State
	stalest     float64
	first       protocol.State // before the load
	reader      string         // who the page was given to that was read then
	forgotten   int64          // clicks of which nobody says whether they count
	book        *book          // of what its clicks come to, unless they only count
}

// A loopSum is what one loop has seen, by counter.
type loopSum struct {
	busy         float64 // share of the time that it did not wait, summed over the observations of this second
	observations int
	tabs         []int
	oldest       []protocol.State
	advances     [][]browser.Advance
}

func (c *collector) addCounter(loop, i int, seen browser.Counter) {
	l, sum := &c.loops[loop], &c.counters[i]
	l.tabs[i], l.oldest[i] = seen.Tabs, seen.Oldest
	l.advances[i] = append(l.advances[i], seen.Advances...)
	sum.acked += seen.Acked
	sum.outstanding += seen.Outstanding
	sum.forgotten += seen.Forgotten
	if sum.book != nil {
		sum.book.take(seen.Notes)
		sum.book.learn(seen.Entries)
	}
	sum.clicks = append(sum.clicks, seen.Clicks...)
	sum.stalest = max(sum.stalest, seen.Stalest)
	if sum.newest.Older(seen.Newest) {
		sum.newest = seen.Newest
	}
}

// open is how many clicks may count, or not.
func (s *counterSum) open() int64 { return int64(s.outstanding) + s.forgotten }

// keepAdvances is for how long advances are remembered: the acknowledgement of a click may come
// that much later than its state.
const keepAdvances = 30 * time.Second

// resolve measures the clicks that have reached all tabs.
func (c *collector) resolve(i int) {
	sum := &c.counters[i]
	sum.clicks = slices.DeleteFunc(sum.clicks, func(click browser.Resolved) bool {
		at, ok := c.reached(i, click.State)
		if ok {
			ms := float64(max(0, at-click.Due)) / 1e6
			c.sum[LatencyAll].Add(ms)
			c.last[LatencyAll].Add(ms)
			c.stage[LatencyAll].Add(ms)
		}
		return ok
	})
	for l := range c.loops {
		all := c.loops[l].advances[i]
		if n := len(all); n > 0 {
			old := sort.Search(n-1, func(k int) bool { return all[n-1].At-all[k].At < int64(keepAdvances) })
			c.loops[l].advances[i] = slices.Delete(all, 0, old)
		}
	}
}

// reached is when the last tab was shown a state or a newer one, and false if some tab was not yet.
func (c *collector) reached(counter int, s protocol.State) (at int64, ok bool) {
	for l := range c.loops {
		if c.loops[l].tabs[counter] == 0 {
			continue
		}
		all := c.loops[l].advances[counter]
		k := sort.Search(len(all), func(k int) bool { return !all[k].State.Older(s) })
		if k == len(all) {
			return 0, false
		}
		at = max(at, all[k].At)
	}
	return at, true
}

// equal reports whether all tabs that are connected and not slow show the same.
func (c *collector) equal() bool {
	for i, sum := range c.counters {
		for _, l := range c.loops {
			if l.tabs[i] > 0 && l.oldest[i] != sum.newest {
				return false
			}
		}
	}
	return true
}
