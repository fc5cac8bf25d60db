package load

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Expectations are what a run has to keep to. Nil expects nothing.
type Expectations []Expectation

// An Expectation compares one measure of a report with a limit.
type Expectation struct {
	Measure string  // e.g. "p99" or "own.p50": see ParseExpect
	Op      string  // < <= > >= =
	Want    float64 // ms if the measure is a time
}

// ParseExpect reads expectations as the flag -expect has them: measure, operator and
// limit, parted by commas, such as "p99<250ms,lost=0,converge<1s".
//
// The operators are < <= > >= and =. The measures are
//
//   - p50 p90 p99 p999 max: click to the last tab; of another latency with its name
//     before it, as in own.p99. The names are those of LatencyNames. A limit is a
//     duration or a number of ms.
//   - converge: from the last acknowledged click until all tabs are equal
//   - lost: clicks that were acknowledged and not counted, or not answered
//   - twice: clicks that count more than once
//   - stale: tabs that were not equal to the others in the end
//   - rate, deliveries: acknowledged clicks and states that arrived, each second
//   - errors, refusals: of any cause; connections that a server turned away
//
// An error says what is wrong with which part, and what there is instead.
func ParseExpect(s string) (Expectations, error) {
	var all Expectations
	for part := range strings.SplitSeq(s, ",") {
		e, err := parseExpectation(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("load: expect %q: %w", part, err)
		}
		all = append(all, e)
	}
	return all, nil
}

// Check returns one line for each expectation that r fails: what was wanted and what it
// is. A latency of which there is no value fails: a run that measured nothing proves nothing.
func (es Expectations) Check(r *Report) []string {
	var failed []string
	for _, e := range es {
		if reason := e.check(r); reason != "" {
			failed = append(failed, reason)
		}
	}
	return failed
}

// String is what ParseExpect reads.
func (es Expectations) String() string {
	parts := make([]string, len(es))
	for i, e := range es {
		parts[i] = e.Measure + e.Op + e.limit()
	}
	return strings.Join(parts, ",")
}

func parseExpectation(s string) (Expectation, error) {
	at := strings.IndexAny(s, "<>=")
	if at < 0 {
		return Expectation{}, fmt.Errorf("no operator: one of < <= > >= = stands between a measure and its limit, as in p99<250ms")
	}
	name, rest := strings.TrimSpace(s[:at]), s[at:]
	op := rest[:1]
	if op != "=" && strings.HasPrefix(rest[1:], "=") {
		op = rest[:2]
	}
	name = strings.Replace(name, "p99.9", "p999", 1)
	if !isMeasure(name) {
		return Expectation{}, fmt.Errorf("no measure %q: there are %s", name, strings.Join(measureNames(), " "))
	}
	want, err := parseLimit(strings.TrimSpace(rest[len(op):]), isTime(name))
	if err != nil {
		return Expectation{}, err
	}
	return Expectation{Measure: name, Op: op, Want: want}, nil
}

func parseLimit(s string, isTime bool) (float64, error) {
	if isTime {
		return parseTime(s)
	}
	// No sign, no hexadecimal, no Inf: nothing here is negative or endless.
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

// measureNames is for people: it says how a latency is qualified, not each combination.
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

func (e Expectation) check(r *Report) string {
	got, err := measure(r, e.Measure)
	if err != nil {
		return fmt.Sprintf("%s: wanted %s %s, got nothing: %v", e.Measure, e.Op, e.limit(), err)
	}
	if e.holds(got) {
		return ""
	}
	return fmt.Sprintf("%s: wanted %s %s, got %s", e.Measure, e.Op, e.limit(), e.value(got))
}

func (e Expectation) holds(got float64) bool {
	switch e.Op {
	case "<":
		return got < e.Want
	case "<=":
		return got <= e.Want
	case ">":
		return got > e.Want
	case ">=":
		return got >= e.Want
	case "=":
		return got == e.Want
	}
	return false
}

func (e Expectation) limit() string {
	return strconv.FormatFloat(e.Want, 'f', -1, 64) + e.unit()
}

// value has three digits after the point at most: a measure has no more.
func (e Expectation) value(got float64) string {
	if math.IsInf(got, 0) {
		return "never"
	}
	return strconv.FormatFloat(math.Round(got*1000)/1000, 'f', -1, 64) + e.unit()
}

func (e Expectation) unit() string {
	if isTime(e.Measure) {
		return "ms"
	}
	return ""
}
