package workload

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// A Rate is clicks a second over a stage: its parts are equally long, and within each the rate
// changes evenly. Nil: none.
type Rate []Slope

// A Slope is a rate that changes evenly from one value to another.
type Slope struct{ From, To float64 }

// ParseRate reads a rate: "200", "100..5000" for one that rises evenly, "100,200,400" for steps
// of equal length, and any mixture. "" is none.
func ParseRate(s string) (Rate, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	var r Rate
	for part := range strings.SplitSeq(s, ",") {
		from, to, rising := strings.Cut(strings.TrimSpace(part), "..")
		if !rising {
			to = from
		}
		a, errA := strconv.ParseFloat(from, 64)
		b, errB := strconv.ParseFloat(to, 64)
		if errA != nil || errB != nil {
			return nil, fmt.Errorf("the rate %q is not clicks a second: 200, a slope 100..5000 or steps 100,200,400", part)
		}
		r = append(r, Slope{a, b})
	}
	return r, r.validate()
}

// UnmarshalText reads what ParseRate does, out of a scenario.
func (r *Rate) UnmarshalText(text []byte) (err error) {
	*r, err = ParseRate(string(text))
	return err
}

// MarshalText is what ParseRate reads.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func (r Rate) String() string {
	parts := make([]string, len(r))
	for i, s := range r {
		parts[i] = strconv.FormatFloat(s.From, 'f', -1, 64)
		if s.To != s.From {
			parts[i] += ".." + strconv.FormatFloat(s.To, 'f', -1, 64)
		}
	}
	return strings.Join(parts, ",")
}

func (r Rate) validate() error {
	for _, s := range r {
		for _, v := range []float64{s.From, s.To} {
			if !(v >= 0 && v <= MaxRate) {
				return fmt.Errorf("%g clicks a second: from 0 to %d are possible", v, MaxRate)
			}
		}
	}
	return nil
}

// end is the rate in the last moment.
func (r Rate) end() float64 {
	if len(r) == 0 {
		return 0
	}
	return r[len(r)-1].To
}

// Clicks are the clicks of a plan, one after the other. Its methods must not be called concurrently.
type Clicks struct {
	plan   *Plan
	pieces []piece
	i      int     // the piece that the next click is in
	before float64 // clicks of the pieces before it
	n      int64
	chance *rand.Rand // nil: evenly
	random float64    // where the last click was, in clicks
}

// A piece is a slope with its place in time.
type piece struct {
	start, length float64 // s
	Slope
}

// clicks is how many there are in the piece.
func (p piece) clicks() float64 { return (p.From + p.To) / 2 * p.length }

// at is the time in s at which x clicks of the piece were due: the root of the area below the
// slope, in the form that needs no division by the difference of the rates.
func (p piece) at(x float64) float64 {
	if x <= 0 {
		return p.start
	}
	rise := (p.To - p.From) / p.length
	return p.start + 2*x/(p.From+math.Sqrt(max(0, p.From*p.From+2*rise*x)))
}

// Clicks begins with the first click.
func (p *Plan) Clicks() *Clicks {
	c := &Clicks{plan: p}
	if p.Poisson {
		c.chance = rand.New(rand.NewPCG(p.Seed, 0))
	}
	var start float64
	add := func(d time.Duration, s Slope) {
		if d > 0 {
			c.pieces = append(c.pieces, piece{start, d.Seconds(), s})
			start += d.Seconds()
		}
	}
	for i, s := range p.Stages {
		if i > 0 {
			last := p.Stages[i-1].Rate.end()
			add(s.Ramp, Slope{last, last})
		}
		if len(s.Rate) == 0 {
			add(s.Duration, Slope{})
		}
		for _, slope := range s.Rate {
			add(s.Duration/time.Duration(len(s.Rate)), slope)
		}
	}
	return c
}

// Next is the next click, and false after the last.
func (c *Clicks) Next() (Click, bool) {
	x := float64(c.n)
	if c.chance != nil {
		c.random += c.chance.ExpFloat64()
		x = c.random
	}
	for c.i < len(c.pieces) && x >= c.before+c.pieces[c.i].clicks()-1e-9 {
		c.before += c.pieces[c.i].clicks()
		c.i++
	}
	if c.i == len(c.pieces) {
		return Click{}, false
	}
	due := time.Duration(c.pieces[c.i].at(x-c.before) * float64(time.Second))
	click := Click{N: c.n, Due: due, Slot: c.plan.clicker(c.n, c.plan.Present(due))}
	c.n++
	return click, true
}
