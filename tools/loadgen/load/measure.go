package load

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// errNoValue says that a run has no value of a measure.
var errNoValue = errors.New("nothing was measured")

// measure returns what r has under a name of ParseThresholds, and errNoValue if it has none.
func measure(r *Report, name string) (float64, error) {
	if latency, percentile, ok := latencyMeasure(name); ok {
		return percentileOf(r.Latencies[latency], percentile)
	}
	switch name {
	case "converge":
		return converged(r)
	case "lost":
		return float64(lost(r)), ifAny(r.Totals.Sent + lost(r))
	case "twice":
		return float64(twice(r)), ifAny(r.Totals.Sent + twice(r))
	case "stale":
		return float64(broken(r, VerdictInStep)), ifAny(r.Totals.Joins)
	case "rate":
		return rate(r, r.Totals.Acked), nil
	case "deliveries":
		return rate(r, r.Totals.Deliveries), nil
	case "errors":
		return float64(errorCount(r)), nil
	case "refusals":
		return float64(r.Totals.Refusals), nil
	}
	return 0, fmt.Errorf("no measure %q", name)
}

// latencyMeasure takes "own.p99" apart. A percentile without a name is of the click to the last
// tab.
func latencyMeasure(name string) (latency, percentile string, ok bool) {
	latency, percentile, qualified := strings.Cut(name, ".")
	if !qualified {
		latency, percentile = LatencyAll, name
	}
	return latency, percentile, slices.Contains(latencyNames(), latency) && slices.Contains(percentileNames(), percentile)
}

func percentileOf(s Latency, name string) (float64, error) {
	if s.Count == 0 {
		return 0, errNoValue
	}
	switch name {
	case "p50":
		return s.P50, nil
	case "p90":
		return s.P90, nil
	case "p99":
		return s.P99, nil
	case "p999":
		return s.P999, nil
	}
	return s.Max, nil
}

// ifAny is errNoValue if there was nothing to measure.
func ifAny(n int64) error {
	if n == 0 {
		return errNoValue
	}
	return nil
}

// converged is the time in ms until all tabs were equal; infinite if they never were. It is counted
// from an acknowledgement: without one there is no such time.
func converged(r *Report) (float64, error) {
	if r.Converge < 0 {
		return math.Inf(1), nil
	}
	return r.Converge, ifAny(r.Totals.Acked)
}

// lost counts clicks that were acknowledged and not counted, and those without an answer.
func lost(r *Report) int64 {
	n := r.Totals.Unanswered
	for _, c := range r.Counters {
		n += max(0, c.Want-c.Got)
	}
	return n
}

// twice counts what is counted beyond what was acknowledged, and what the verdict found.
// A click without an answer may be counted once, so as many do not matter.
func twice(r *Report) int64 {
	var more int64
	for _, c := range r.Counters {
		more += max(0, c.Got-c.Want)
	}
	return max(0, more-r.Totals.Unanswered-r.Totals.Forgotten, broken(r, VerdictOnce))
}

// broken is how many tabs, ops or counters broke a rule, as far as the verdict says.
func broken(r *Report, verdict string) int64 {
	for _, v := range r.Verdicts {
		if v.Name == verdict && v.failed() {
			return max(1, int64(len(v.Named)), v.Broken)
		}
	}
	return 0
}

func errorCount(r *Report) int {
	n := 0
	for _, times := range r.Errors {
		n += times
	}
	return n
}

// rate is n per second of the run.
func rate(r *Report, n int64) float64 {
	if r.Seconds <= 0 {
		return 0
	}
	return float64(n) / r.Seconds
}

// Passed reports whether every verdict and every threshold held, to the end of the load. What
// proves nothing did not pass: a run without verdicts, one that was interrupted, and one that was
// to click and has a verdict that could not be judged.
func Passed(r *Report) bool { return OutcomeOf(r) == OutcomePassed }

// An Outcome is what a run comes to, as its reports have it.
type Outcome string

// The outcomes.
const (
	OutcomePassed      Outcome = "PASSED"
	OutcomeFailed      Outcome = "FAILED"      // a verdict or a threshold did not hold
	OutcomeInterrupted Outcome = "INTERRUPTED" // what there was of it held
	OutcomeNotJudged   Outcome = "NOT JUDGED"  // nothing failed, and there was too little to judge
)

// OutcomeOf returns what a run comes to. A failure counts even in a run that was interrupted.
func OutcomeOf(r *Report) Outcome {
	judged := slices.ContainsFunc(r.Verdicts, func(v Verdict) bool { return !v.NotJudged })
	open := slices.ContainsFunc(r.Verdicts, func(v Verdict) bool { return v.NotJudged })
	switch {
	case len(failures(r)) > 0:
		return OutcomeFailed
	case r.Interrupted || r.Knee != nil && r.Knee.Interrupted:
		return OutcomeInterrupted
	case !judged, open && r.Totals.Due > 0:
		return OutcomeNotJudged
	}
	return OutcomePassed
}

// failures has one line for each verdict and each threshold that did not hold.
func failures(r *Report) []string { return append(failedVerdicts(r), r.Failed...) }

func failedVerdicts(r *Report) []string {
	var reasons []string
	for _, v := range r.Verdicts {
		if v.failed() {
			reasons = append(reasons, v.Name+": "+v.Detail)
		}
	}
	return reasons
}
