package load

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Thresholds are what a run has to keep to. Nil has none, and always holds. They may be used
// concurrently.
type Thresholds []threshold

// A threshold compares one measure of a report with a limit.
type threshold struct {
	measure string  // e.g. "p99" or "own.p50": see ParseThresholds
	op      string  // < <= > >= =
	limit   float64 // ms if the measure is a time
}

// ParseThresholds reads thresholds as the flag -expect has them: measure, operator and limit, with
// commas between them, such as "p99<250ms,lost=0,converge<1s".
//
// The operators are < <= > >= and =. The measures are
//
//   - p50 p90 p99 p999 max: click to the last tab; of another latency with its name before it, as
//     in own.p99. The names are the values of LatencyOwn and so on. A limit is a duration or a
//     number of ms.
//   - converge: from the last acknowledged click until all tabs are equal
//   - lost: clicks that were acknowledged and not counted, or not answered
//   - twice: clicks that count more than once
//   - stale: tabs that were not equal to the others in the end
//   - rate, deliveries: acknowledged clicks and states that arrived, each second
//   - errors, refusals: of any cause; connections that a server turned away
//
// An error says what is wrong with which part, and what there is instead.
func ParseThresholds(s string) (Thresholds, error) {
	var all Thresholds
	for part := range strings.SplitSeq(s, ",") {
		t, err := parseThreshold(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("load: expect %q: %w", part, err)
		}
		all = append(all, t)
	}
	return all, nil
}

// Check returns one line for each threshold that r crosses: what was wanted and what it is. A
// latency of which there is no value crosses it: a run that measured nothing proves nothing.
func (ts Thresholds) Check(r *Report) []string {
	var failed []string
	for _, t := range ts {
		if reason := t.check(r); reason != "" {
			failed = append(failed, reason)
		}
	}
	return failed
}

// String is what ParseThresholds reads.
func (ts Thresholds) String() string {
	parts := make([]string, len(ts))
	for i, t := range ts {
		parts[i] = t.measure + t.op + t.limitText()
	}
	return strings.Join(parts, ",")
}

func parseThreshold(s string) (threshold, error) {
	at := strings.IndexAny(s, "<>=")
	if at < 0 {
		return threshold{}, fmt.Errorf("no operator: one of < <= > >= = stands between a measure and its limit, as in p99<250ms")
	}
	name, rest := strings.TrimSpace(s[:at]), s[at:]
	op := rest[:1]
	if op != "=" && strings.HasPrefix(rest[1:], "=") {
		op = rest[:2]
	}
	name = strings.Replace(name, "p99.9", "p999", 1)
	if !isMeasure(name) {
		return threshold{}, fmt.Errorf("no measure %q: there are %s", name, strings.Join(measureNames(), " "))
	}
	limit, err := parseLimit(strings.TrimSpace(rest[len(op):]), isTime(name))
	if err != nil {
		return threshold{}, err
	}
	return threshold{measure: name, op: op, limit: limit}, nil
}

func parseLimit(s string, isTime bool) (float64, error) {
	if isTime {
		return parseTime(s)
	}
	// No sign, no hexadecimal, no Inf: a limit is neither negative nor endless.
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || strings.Trim(s, "0123456789.") != "" {
		return 0, fmt.Errorf("limit %q is no number of at least 0", s)
	}
	return v, nil
}

// parseTime returns ms.
func parseTime(s string) (float64, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		d, err = time.ParseDuration(s + "ms")
	}
	if err != nil || d < 0 || d > 24*time.Hour {
		return 0, fmt.Errorf("limit %q is no duration up to 24h, such as 250ms or 1s", s)
	}
	return float64(d) / float64(time.Millisecond), nil
}

func percentileNames() []string { return []string{"p50", "p90", "p99", "p999", "max"} }

func countNames() []string {
	return []string{"lost", "twice", "stale", "rate", "deliveries", "errors", "refusals"}
}

// measureNames are for people: they show how a latency is qualified, not each combination.
func measureNames() []string {
	names := append(percentileNames(), "converge")
	names = append(names, countNames()...)
	for _, l := range latencyNames() {
		names = append(names, l+".p99")
	}
	return names
}

func isMeasure(name string) bool {
	_, err := measure(&Report{}, name)
	return err == nil || errors.Is(err, errNoValue)
}

func isTime(name string) bool {
	_, _, ok := latencyMeasure(name)
	return ok || name == "converge"
}

func (t threshold) check(r *Report) string {
	got, err := measure(r, t.measure)
	if err != nil {
		return fmt.Sprintf("%s: wanted %s %s, got nothing: %v", t.measure, t.op, t.limitText(), err)
	}
	if t.holds(got) {
		return ""
	}
	return fmt.Sprintf("%s: wanted %s %s, got %s", t.measure, t.op, t.limitText(), t.value(got))
}

func (t threshold) holds(got float64) bool {
	switch t.op {
	case "<":
		return got < t.limit
	case "<=":
		return got <= t.limit
	case ">":
		return got > t.limit
	case ">=":
		return got >= t.limit
	case "=":
		return got == t.limit
	}
	return false
}

func (t threshold) limitText() string {
	return strconv.FormatFloat(t.limit, 'f', -1, 64) + t.unit()
}

// value writes a measured value with at most three digits after the point: it has no more.
func (t threshold) value(got float64) string {
	if math.IsInf(got, 0) {
		return "never"
	}
	return strconv.FormatFloat(math.Round(got*1000)/1000, 'f', -1, 64) + t.unit()
}

func (t threshold) unit() string {
	if isTime(t.measure) {
		return "ms"
	}
	return ""
}
