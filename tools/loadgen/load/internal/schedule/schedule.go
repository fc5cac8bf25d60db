// Package schedule works out what each tab of a workload.Plan does: when it arrives, comes and
// goes, whether it is slow or hidden, and which click is whose. It is arithmetic without a clock:
// every process that carries out a share of a plan finds the same.
package schedule

import (
	"math"
	"time"

	"lockstep/tools/loadgen/load/workload"
)

// Arrival is when a tab of the first stage opens its page, since the ramp began.
func Arrival(p *workload.Plan, slot int) time.Duration {
	first := p.Stages[0]
	return time.Duration(float64(first.Ramp) * float64(slot) / float64(first.Browsers))
}

// Present is how many tabs are open at a time since the load began, as planned.
func Present(p *workload.Plan, at time.Duration) int {
	n := p.Stages[0].Browsers
	for i, s := range p.Stages {
		if i > 0 {
			if at < s.Ramp {
				return n + int(float64(s.Browsers-n)*float64(at)/float64(s.Ramp))
			}
			at -= s.Ramp
		}
		n = s.Browsers
		if at < s.Duration {
			break
		}
		at -= s.Duration
	}
	return n
}

// IsSlow reports whether a tab reads only now and then.
func IsSlow(p *workload.Plan, slot int) bool { return spread(slot, .7548776662466927) < p.Slow }

// IsHidden reports whether a tab is in the background.
func IsHidden(p *workload.Plan, slot int) bool { return spread(slot, .5698402909980532) < p.Hidden }

// spread gives a slot a number from 0 to 1 such that each run of slots is spread evenly: the
// fraction of a multiple of an irrational. (The two irrationals are the base of the R2 sequence, in
// which they don't depend on each other.) Slot 0 is the last to be slow or hidden.
func spread(slot int, irrational float64) float64 {
	_, f := math.Modf(float64(slot) * irrational)
	return 1 - f
}

// clickers is how many of the first n tabs click, not counting that some are slow or hidden.
func clickers(p *workload.Plan, n int) int { return int(math.Ceil(float64(n) * (1 - p.Watchers))) }

// clicker is the tab that makes click n, of the first present tabs. A tab that is slow or hidden
// passes it on to the next.
func clicker(p *workload.Plan, n int64, present int) int {
	count := clickers(p, present)
	if count == 0 {
		return 0
	}
	first := int(mix(p.Seed, uint64(n)) % uint64(count))
	for i := range count {
		slot := min(present-1, int(float64((first+i)%count)/(1-p.Watchers)))
		if !IsSlow(p, slot) && !IsHidden(p, slot) {
			return slot
		}
	}
	return 0
}

// mix makes one number out of two, which looks random (splitmix64).
func mix(seed, n uint64) uint64 {
	z := seed + (n+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
