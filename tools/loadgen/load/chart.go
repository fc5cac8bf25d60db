package load

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// The inner edges of a chart in its own units; the text beside them is drawn outside.
// It is small, so that text stays legible on a phone, where a chart has this size.
const (
	chartWidth, chartHeight = 400, 210
	left, right             = 48, 390
	top, bottom             = 12, 180
)

// A chart is an SVG drawing: the template turns it into elements and escapes all text.
type chart struct {
	Title, Unit, Summary string // Summary is for readers who can't see it
	Width, Height        int
	Left, Right          int
	Top, Bottom          int
	X, Y                 []tick
	Stages               []tick // where one begins, and its name
	Lines                []line
}

type tick struct {
	At    float64
	Label string
}

type line struct {
	Name       string
	Class      string // of its colour: a, b or c
	Path, Area string // Area: "" if nothing is filled
}

// A series is values by rising x.
type series struct {
	name, class string
	fill        bool
	at          []point
}

// A point is a value, or that there is none: what was not measured is not 0.
type point struct {
	x, y float64
	none bool
}

// charts are the charts of a report, without those for which there is nothing to draw.
func charts(r *Report) []chart {
	if len(r.Series) == 0 {
		return curves(r)
	}
	always := func(Sample) bool { return true }
	own := func(s Sample) bool { return s.OwnCount > 0 }
	over := func(name, class string, measured func(Sample) bool, value func(Sample) float64) series {
		s := series{name: name, class: class}
		for _, p := range r.Series {
			s.at = append(s.at, point{p.At, value(p), !measured(p)})
		}
		return s
	}
	deliveries := over("deliveries", "a", always, func(s Sample) float64 { return float64(s.Deliveries) })
	deliveries.fill = true
	connected := over("connected", "a", always, func(s Sample) float64 { return float64(s.Connected) })
	connected.fill = true
	timed := func(title, unit string, label func(float64) string, all ...series) chart {
		return timeChart(title, unit, label, stagesToShow(r), all...)
	}
	all := []chart{
		timed("Deliveries", "a second", compact, deliveries),
		timed("Latency", "by second", duration,
			over("last tab p99", "b", func(s Sample) bool { return s.AllCount > 0 }, func(s Sample) float64 { return s.AllP99 }),
			over("own p99", "c", own, func(s Sample) float64 { return s.OwnP99 }),
			over("own p50", "a", own, func(s Sample) float64 { return s.OwnP50 })),
		timed("Clicks", "a second", compact,
			over("clicks", "b", always, func(s Sample) float64 { return float64(s.Clicks) }),
			over("acknowledged", "a", always, func(s Sample) float64 { return float64(s.Acks) })),
	}
	all = append(all, curves(r)...)
	all = append(all,
		timed("Staleness", "of the worst tab", duration,
			over("behind", "b", func(s Sample) bool { return s.Connected > 0 }, func(s Sample) float64 { return s.Stalest })),
		timed("Browsers", "connected", compact, connected))
	return slices.DeleteFunc(all, chart.empty)
}

// empty reports whether nothing was measured of what the chart is of.
func (c chart) empty() bool {
	return !slices.ContainsFunc(c.Lines, func(l line) bool { return l.Path != "" })
}

// curves is the percentile chart. Its axis gives each nine as much room as the one before:
// what happens to one click in a thousand is as visible as what happens to one in ten.
func curves(r *Report) []chart {
	var all []series
	for _, l := range []struct{ latency, name, class string }{
		{LatencyAll, "last tab", "b"}, {LatencyAck, "acknowledged", "c"}, {LatencyOwn, "own tab", "a"},
	} {
		if s := curve(r.Latencies[l.latency], l.name, l.class); len(s.at) > 1 {
			all = append(all, s)
		}
	}
	if len(all) == 0 {
		return nil
	}
	nines := max(1, highest(all, func(p point) float64 { return p.x }))
	c := newChart("Latency", "by percentile", duration, all, nines)
	for n := range int(math.Floor(nines)) + 1 {
		c.X = append(c.X, tick{scale(float64(n), nines, left, right), quantileLabel(n)})
	}
	return []chart{c}
}

func curve(s Latency, name, class string) series {
	out := series{name: name, class: class}
	// The last point is at quantile 1, an infinite number of nines: it is drawn where half a value
	// would be left.
	most := 1 - 1/(2*float64(max(1, s.Count)))
	for _, p := range s.Curve {
		out.at = append(out.at, point{x: -math.Log10(1 - min(p.Quantile, most)), y: p.Value})
	}
	return out
}

// quantileLabel is the label of n nines.
func quantileLabel(n int) string {
	switch n {
	case 0:
		return "0 %"
	case 1:
		return "90 %"
	case 2:
		return "99 %"
	}
	return "99." + strings.Repeat("9", n-2) + " %"
}

// maxStageLabel is how much of a stage's name has room in a chart, in characters.
const maxStageLabel = 12

// timeChart begins where the tabs begin to join, before 0 as a rule: 0 is the first click.
func timeChart(title, unit string, label func(float64) string, stages []StageReport, all ...series) chart {
	start := 0.0
	for _, s := range all {
		for _, p := range s.at {
			start = min(start, p.x)
		}
	}
	for _, s := range all {
		for i := range s.at {
			s.at[i].x -= start
		}
	}
	length := max(1, highest(all, func(p point) float64 { return p.x }))
	c := newChart(title, unit, label, all, length)
	step := roundUp(length / 5)
	for t := math.Ceil(start/step) * step; t <= start+length; t += step {
		c.X = append(c.X, tick{scale(t-start, length, left, right), trim(t) + " s"})
	}
	for _, s := range stages {
		c.Stages = append(c.Stages, tick{scale(s.At-start, length, left, right), cut(s.Name, maxStageLabel)})
	}
	return c
}

func newChart(title, unit string, label func(float64) string, all []series, width float64) chart {
	c := chart{Title: title, Unit: unit, Width: chartWidth, Height: chartHeight, Left: left, Right: right, Top: top, Bottom: bottom}
	peak := highest(all, func(p point) float64 { return p.y })
	marks := ticks(peak, 4)
	ceiling := marks[len(marks)-1]
	for _, m := range marks {
		c.Y = append(c.Y, tick{scale(m, ceiling, bottom, top), label(m)})
	}
	for _, s := range all {
		c.Lines = append(c.Lines, s.draw(width, ceiling))
	}
	c.Summary = fmt.Sprintf("%s %s: at most %s", title, unit, label(peak))
	return c
}

// draw leaves a gap where there is no value. A value between two gaps is a dot.
func (s series) draw(width, height float64) line {
	l := line{Name: s.name, Class: s.class}
	if len(s.at) == 0 {
		return l
	}
	var b strings.Builder
	missing := func(i int) bool { return i < 0 || i >= len(s.at) || s.at[i].none }
	for i, p := range s.at {
		if p.none {
			continue
		}
		command := 'L'
		if missing(i - 1) {
			command = 'M'
		}
		fmt.Fprintf(&b, "%c%.1f %.1f", command, scale(p.x, width, left, right), scale(p.y, height, bottom, top))
		if missing(i-1) && missing(i+1) {
			b.WriteString("h0")
		}
	}
	l.Path = b.String()
	if s.fill {
		l.Area = fmt.Sprintf("%sL%.1f %dL%.1f %dZ", l.Path, scale(s.at[len(s.at)-1].x, width, left, right), bottom,
			scale(s.at[0].x, width, left, right), bottom)
	}
	return l
}

// scale maps v from the range 0 to most to the range from to to.
func scale(v, most, from, to float64) float64 {
	return from + (to-from)*max(0, min(1, v/most))
}

func highest(all []series, value func(point) float64) float64 {
	most := 0.0
	for _, s := range all {
		for _, p := range s.at {
			most = max(most, value(p))
		}
	}
	return most
}

// ticks are round numbers from 0 to at least most, n steps at most as a rule.
func ticks(most float64, n int) []float64 {
	if !(most > 0) {
		return []float64{0, 1}
	}
	step := roundUp(most / float64(n))
	var all []float64
	for i := 0; ; i++ {
		v := float64(i) * step
		all = append(all, v)
		if v >= most {
			return all
		}
	}
}

// roundUp is the next of 1, 2, 2.5 and 5 times a power of ten.
func roundUp(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 2.5, 5} {
		if m*power >= v {
			return m * power
		}
	}
	return 10 * power
}
