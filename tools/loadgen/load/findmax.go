package load

import (
	"context"
	"fmt"
	"strings"
)

// A search ends when the rate that fails is within searchStep of the one that holds, or when a rate
// holds that is searchSpan times the first, or fails that is as small a fraction of it; after
// searchTries runs in any case.
const (
	searchStep  = 1.05
	searchSpan  = 1 << 20
	searchTries = 100
)

// enough is how many runs have to say the same of a rate, of three at most.
const enough = 2

// A Knee is where a search by FindMax ended.
type Knee struct {
	Goal        string   `json:"goal"`                  // the thresholds, as ParseThresholds reads them
	Unit        string   `json:"unit"`                  // of what was raised: "clicks/s" or "tabs"
	Best        float64  `json:"best"`                  // the highest that held, in Unit; 0: none did
	Failing     float64  `json:"failing"`               // the lowest that did not hold; 0: none failed
	Why         []string `json:"why,omitempty"`         // what did not hold at Failing
	Tries       []Try    `json:"tries"`                 // in the order they were made
	Interrupted bool     `json:"interrupted,omitempty"` // the search ended before it had found the knee
	Report      *Report  `json:"-"`                     // of the best rate; nil: none held
}

// A Try is one run of a search.
type Try struct {
	Rate float64  `json:"rate"`          // in the unit of the search
	P99  float64  `json:"p99"`           // ms, click to the last tab
	Why  []string `json:"why,omitempty"` // what did not hold; nil: all did
}

// FindMax looks for the most with which a run keeps to goal, in a unit such as "clicks/s". It
// starts at from, doubles it until the goal no longer holds (or halves it until it does) and then
// bisects to about 5 %. A verdict that fails, or that could not be judged, counts as not holding.
//
// One run is no proof: near the knee each rate is tried until two runs come to the same. Only while
// nothing has failed yet a rate that holds is believed at once.
//
// FindMax calls run for one rate after the other, and log, unless that is nil, with one line about
// each run. An error of run or an interrupted run ends the search; the Knee has what is known by
// then.
func FindMax(ctx context.Context, goal Thresholds, unit string, from float64,
	run func(ctx context.Context, rate float64) (*Report, error), log func(string)) (Knee, error) {
	if !(from > 0) {
		return Knee{}, fmt.Errorf("load: find max: %w: the first try is %g %s, it has to be more than 0", ErrUsage, from, unit)
	}
	s := search{goal: goal, run: run, log: log, knee: Knee{Goal: goal.String(), Unit: unit}, votes: make(map[float64]*votes)}
	rate := from
	for ok := true; ok; rate, ok = s.next(from) {
		if err := s.decide(ctx, rate); err != nil {
			s.knee.Interrupted = true
			return s.knee, fmt.Errorf("load: find max: at %s %s: %w", short(rate), unit, err)
		}
	}
	return s.knee, nil
}

// String says in one line where the search ended.
func (k Knee) String() string {
	early := ""
	if k.Interrupted {
		early = "; the search was not finished"
	}
	switch {
	case k.Best == 0 && k.Failing == 0:
		return "nothing was measured"
	case k.Best == 0:
		return fmt.Sprintf("not even %s %s hold: %s%s", short(k.Failing), k.Unit, strings.Join(k.Why, "; "), early)
	case k.Failing == 0:
		return fmt.Sprintf("%s %s hold, nothing higher was found that fails%s", short(k.Best), k.Unit, early)
	}
	return fmt.Sprintf("%s %s hold, %s do not: %s%s", short(k.Best), k.Unit, short(k.Failing), strings.Join(k.Why, "; "), early)
}

type search struct {
	goal  Thresholds
	run   func(ctx context.Context, rate float64) (*Report, error)
	log   func(string)
	knee  Knee
	votes map[float64]*votes // by rate
}

// votes are what the runs with one rate came to.
type votes struct {
	held, failed int
	report       *Report // of the last that held
	why          []string
}

// next is the rate to try now, and false at the end.
func (s *search) next(from float64) (float64, bool) {
	k := s.knee
	switch {
	case len(k.Tries) >= searchTries:
		return 0, false
	case k.Best == 0:
		return k.Failing / 2, k.Failing > from/searchSpan && k.Failing > 1
	case k.Failing == 0 && k.Best < from*searchSpan:
		return k.Best * 2, true
	case s.votes[k.Best].held < enough:
		return k.Best, true
	}
	return (k.Best + k.Failing) / 2, k.Failing > k.Best*searchStep
}

// decide makes runs with a rate until it is known whether that holds.
func (s *search) decide(ctx context.Context, rate float64) error {
	v := s.votes[rate]
	if v == nil {
		v = new(votes)
		s.votes[rate] = v
	}
	for {
		if err := s.try(ctx, rate, v); err != nil {
			return err
		}
		switch {
		case v.failed >= enough:
			s.fails(rate, v)
			return nil
		case v.held >= enough, v.failed == 0 && s.knee.Failing == 0:
			s.holds(rate, v)
			return nil
		}
	}
}

func (s *search) try(ctx context.Context, rate float64, v *votes) error {
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
	why := append(openVerdicts(r), s.goal.Check(r)...)
	s.knee.Tries = append(s.knee.Tries, Try{Rate: rate, P99: r.Latencies[LatencyAll].P99, Why: why})
	head := short(rate) + " " + s.knee.Unit + ": "
	if len(why) == 0 {
		v.held++
		v.report = r
		s.say(head + "holds")
		return nil
	}
	v.failed++
	// A generator that was the bottleneck says nothing about the target: its warning goes with it.
	v.why = append(why, r.Warnings...)
	s.say(head + strings.Join(v.why, "; "))
	return nil
}

// openVerdicts has one line for each verdict that did not hold, or could not be judged.
func openVerdicts(r *Report) []string {
	reasons := failedVerdicts(r)
	for _, v := range r.Verdicts {
		if v.NotJudged && r.Totals.Due > 0 {
			reasons = append(reasons, v.Name+": "+v.Detail)
		}
	}
	return reasons
}

func (s *search) holds(rate float64, v *votes) {
	s.knee.Best, s.knee.Report = rate, v.report
}

// fails takes a rate for too much. If it was believed to be the best, that is the next lower one.
func (s *search) fails(rate float64, v *votes) {
	s.knee.Failing, s.knee.Why = rate, v.why
	if s.knee.Best != rate {
		return
	}
	s.knee.Best, s.knee.Report = 0, nil
	for lower, v := range s.votes {
		if lower < rate && lower > s.knee.Best && v.failed < enough {
			s.holds(lower, v)
		}
	}
}

func (s *search) say(line string) {
	if s.log != nil {
		s.log(line)
	}
}
