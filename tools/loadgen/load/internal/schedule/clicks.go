package schedule

import (
	"math"
	"math/rand/v2"
	"time"

	"lockstep/tools/loadgen/load/workload"
)

// A Click is a click that is due.
type Click struct {
	N    int64         // from 0, in the order of Due
	Due  time.Duration // since the load began
	Slot int           // the number of the tab; it may be offline by then
}

// Clicks are the clicks of a plan, one after the other. Its methods must not be called
// concurrently.
type Clicks struct {
	plan     *workload.Plan
	segments []segment
	i        int     // the segment that the next click is in
	before   float64 // clicks of the segments before it
	n        int64
	chance   *rand.Rand // nil: evenly
	random   float64    // where the last click was, in clicks
}

// A segment is a slope with its place in time.
type segment struct {
	start, length float64 // s
	workload.Slope
}

// clicks is how many there are in the segment.
func (s segment) clicks() float64 { return (s.From + s.To) / 2 * s.length }

// at is the time in s at which x clicks of the segment were due: the root of the area below the
// slope, in the form that needs no division by the difference of the rates.
func (s segment) at(x float64) float64 {
	if x <= 0 {
		return s.start
	}
	rise := (s.To - s.From) / s.length
	return s.start + 2*x/(s.From+math.Sqrt(max(0, s.From*s.From+2*rise*x)))
}

// NewClicks begins with the first click of a plan.
func NewClicks(p *workload.Plan) *Clicks {
	c := &Clicks{plan: p}
	if p.Poisson {
		c.chance = rand.New(rand.NewPCG(p.Seed, 0))
	}
	for i, s := range p.Stages {
		if i > 0 {
			before := lastRate(p.Stages[i-1].Rate)
			c.add(s.Ramp, workload.Slope{From: before, To: before})
		}
		if len(s.Rate) == 0 {
			c.add(s.Duration, workload.Slope{})
		}
		for _, slope := range s.Rate {
			c.add(s.Duration/time.Duration(len(s.Rate)), slope)
		}
	}
	return c
}

// add appends a slope that takes a time.
func (c *Clicks) add(d time.Duration, s workload.Slope) {
	if d <= 0 {
		return
	}
	start := 0.0
	if n := len(c.segments); n > 0 {
		start = c.segments[n-1].start + c.segments[n-1].length
	}
	c.segments = append(c.segments, segment{start, d.Seconds(), s})
}

// Next is the next click, and false after the last.
func (c *Clicks) Next() (Click, bool) {
	x := float64(c.n)
	if c.chance != nil {
		c.random += c.chance.ExpFloat64()
		x = c.random
	}
	for c.i < len(c.segments) && x >= c.before+c.segments[c.i].clicks()-1e-9 {
		c.before += c.segments[c.i].clicks()
		c.i++
	}
	if c.i == len(c.segments) {
		return Click{}, false
	}
	due := time.Duration(c.segments[c.i].at(x-c.before) * float64(time.Second))
	click := Click{N: c.n, Due: due, Slot: clicker(c.plan, c.n, Present(c.plan, due))}
	c.n++
	return click, true
}

// lastRate is the rate in the last moment of a stage.
func lastRate(r workload.Rate) float64 {
	if len(r) == 0 {
		return 0
	}
	return r[len(r)-1].To
}
