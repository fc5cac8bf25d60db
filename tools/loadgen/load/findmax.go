package load

import (
	"context"
	"fmt"
	"strings"
)

// A search ends when the rate that fails is within searchStep of the one that holds, or when a rate
// holds that is searchSpan times the first, or fails that is as small a fraction of it.
const (
	searchStep = 1.05
	searchSpan = 1 << 20
)

// A Knee is where a search by FindMax ended.
type Knee struct {
	Goal    string   `json:"goal"`          // the thresholds, as ParseThresholds reads them
	Unit    string   `json:"unit"`          // of what was raised: "clicks/s" or "tabs"
	Best    float64  `json:"best"`          // the highest that held, in Unit; 0: none did
	Failing float64  `json:"failing"`       // the lowest that did not hold; 0: none failed
	Why     []string `json:"why,omitempty"` // what did not hold at Failing
	Tries   []Try    `json:"tries"`         // in the order they were made
	Report  *Report  `json:"-"`             // of the best rate; nil: none held
}

// A Try is one run of a search.
type Try struct {
	Rate float64  `json:"rate"`          // in the unit of the search
	P99  float64  `json:"p99"`           // ms, click to the last tab
	Why  []string `json:"why,omitempty"` // what did not hold; nil: all did
}

// FindMax looks for the most with which a run keeps to goal, in a unit such as "clicks/s". It
// starts at from, doubles it until the goal no longer holds (or halves it until it does) and then
// bisects to about 5 %. A verdict that fails counts as not holding. FindMax calls run for one rate
// after the other, and log, unless that is nil, with one line about each.
//
// An error of run or an interrupted run ends the search; the Knee has what is known by then.
func FindMax(ctx context.Context, goal Thresholds, unit string, from float64,
	run func(ctx context.Context, rate float64) (*Report, error), log func(string)) (Knee, error) {
	if !(from > 0) {
		return Knee{}, fmt.Errorf("load: find max: %w: the first try is %g %s, it has to be more than 0", ErrUsage, from, unit)
	}
	s := search{goal: goal, run: run, log: log, knee: Knee{Goal: goal.String(), Unit: unit}}
	rate := from
	for ok := true; ok; rate, ok = s.next(from) {
		if err := s.try(ctx, rate); err != nil {
			return s.knee, fmt.Errorf("load: find max: at %s %s: %w", short(rate), unit, err)
		}
	}
	return s.knee, nil
}

// String says in one line where the search ended.
func (k Knee) String() string {
	switch {
	case k.Best == 0 && k.Failing == 0:
		return "nothing was measured"
	case k.Best == 0:
		return fmt.Sprintf("not even %s %s hold: %s", short(k.Failing), k.Unit, strings.Join(k.Why, "; "))
	case k.Failing == 0:
		return fmt.Sprintf("%s %s hold, nothing higher was found that fails", short(k.Best), k.Unit)
	}
	return fmt.Sprintf("%s %s hold, %s do not: %s", short(k.Best), k.Unit, short(k.Failing), strings.Join(k.Why, "; "))
}

type search struct {
	goal Thresholds
	run  func(ctx context.Context, rate float64) (*Report, error)
	log  func(string)
	knee Knee
}

// next is the rate to try now, and false at the end.
func (s *search) next(from float64) (float64, bool) {
	k := s.knee
	switch {
	case k.Failing == 0:
		return k.Best * 2, k.Best < from*searchSpan
	case k.Best == 0:
		return k.Failing / 2, k.Failing > from/searchSpan && k.Failing > 1
	}
	return (k.Best + k.Failing) / 2, k.Failing > k.Best*searchStep
}

func (s *search) try(ctx context.Context, rate float64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r, err := s.run(ctx, rate)
	if err != nil {
		return err
	}
	if r.Interrupted {
		return context.Canceled
	}
	s.judge(rate, r)
	return nil
}

func (s *search) judge(rate float64, r *Report) {
	why := append(failedVerdicts(r), s.goal.Check(r)...)
	s.knee.Tries = append(s.knee.Tries, Try{Rate: rate, P99: r.Latencies[LatencyAll].P99, Why: why})
	if len(why) == 0 {
		s.knee.Best, s.knee.Report = rate, r
		s.say(short(rate) + " " + s.knee.Unit + ": holds")
		return
	}
	// A generator that was the bottleneck says nothing about the target: its warning goes with it.
	why = append(why, r.Warnings...)
	s.knee.Failing, s.knee.Why = rate, why
	s.say(short(rate) + " " + s.knee.Unit + ": " + strings.Join(why, "; "))
}

func (s *search) say(line string) {
	if s.log != nil {
		s.log(line)
	}
}
