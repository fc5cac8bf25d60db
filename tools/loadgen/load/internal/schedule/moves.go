package schedule

import (
	"slices"
	"time"

	"lockstep/tools/loadgen/load/workload"
)

// A Move is a tab that comes or goes while the load goes on.
type Move struct {
	At    time.Duration // since the load began
	Slot  int           // the number of the tab
	Leave bool          // the tab is closed
	Join  bool          // a page is opened; after Leave if both: another person on the same slot
}

// Moves are all tabs that come and go after the load began, in the order of time.
func Moves(p *workload.Plan) []Move {
	var moves []Move
	var start time.Duration
	var churned uint64
	for i, s := range p.Stages {
		if i > 0 {
			moves = append(moves, resize(start, s.Ramp, p.Stages[i-1].Browsers, s.Browsers)...)
			start += s.Ramp
		}
		for k := 1; s.Churn > 0; k++ {
			at := time.Duration(float64(k) / s.Churn * float64(time.Second))
			if at >= s.Duration {
				break
			}
			slot := int(mix(p.Seed^churnSeed, churned) % uint64(s.Browsers))
			moves = append(moves, Move{At: start + at, Slot: slot, Leave: true, Join: true})
			churned++
		}
		start += s.Duration
	}
	slices.SortStableFunc(moves, func(a, b Move) int { return int(a.At - b.At) })
	return moves
}

// churnSeed keeps the tabs that leave apart from those that click.
const churnSeed = 0x636875726e

// resize has tabs come or go evenly, from one number to another.
func resize(start, ramp time.Duration, from, to int) (moves []Move) {
	at := func(i, n int) time.Duration {
		return start + time.Duration(float64(ramp)*float64(i)/float64(n))
	}
	for i := range max(0, to-from) {
		moves = append(moves, Move{At: at(i, to-from), Slot: from + i, Join: true})
	}
	for i := range max(0, from-to) {
		moves = append(moves, Move{At: at(i, from-to), Slot: from - 1 - i, Leave: true})
	}
	return moves
}
