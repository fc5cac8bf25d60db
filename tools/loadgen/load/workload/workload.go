// Package workload says what virtual browsers do and when: how many tabs are open, which
// of them leave and come, who clicks at which moment. It is arithmetic without a clock:
// the same Plan with the same seed gives the same clicks at the same times, in however
// many processes it is carried out.
package workload

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// The limits of a plan. They keep a slip of the keyboard from becoming a denial of service.
const (
	MaxBrowsers = 1_000_000
	MaxRate     = 1_000_000 // clicks a second
	MaxDuration = 24 * time.Hour
)

// A Plan is a load. Tabs are numbered from 0: in a stage with n browsers those below n are open.
// A Plan is not changed once it is in use, and may be read concurrently.
type Plan struct {
	Seed    uint64  `yaml:"seed"`    // decides who clicks when
	Poisson bool    `yaml:"poisson"` // clicks at random times, as those of many people are; otherwise evenly
	Stages  []Stage `yaml:"stages"`  // one after the other

	// Shares of the tabs, from 0 to 1. They need not add up: a slow tab may be hidden.
	Watchers float64 `yaml:"watchers"` // never click
	Slow     float64 `yaml:"slow"`     // read only now and then, and never click
	Hidden   float64 `yaml:"hidden"`   // are in the background, where a browser's timers are late; never click
}

// A Stage is a part of a load: first its ramp, in which tabs come or go evenly while the clicks
// go on as the stage before ended, then its duration.
type Stage struct {
	Name     string        `yaml:"name"`     // for people
	Browsers int           `yaml:"browsers"` // that are open from the end of the ramp on
	Ramp     time.Duration `yaml:"ramp"`     // of the first stage it is over before the first click
	Duration time.Duration `yaml:"duration"`
	Rate     Rate          `yaml:"rate"`  // of clicks, of all tabs together
	Churn    float64       `yaml:"churn"` // tabs a second that leave, each followed by a new one
}

// A Click is one that is due.
type Click struct {
	N    int64         // from 0, in the order of Due
	Due  time.Duration // since the load began
	Slot int           // the number of the tab; it may be offline by then
}

// Validate says what is wrong with a plan, for the person who wrote it.
func (p *Plan) Validate() error {
	if len(p.Stages) == 0 {
		return errors.New("a load needs at least one stage")
	}
	for _, share := range []struct {
		name  string
		value float64
	}{{"watchers", p.Watchers}, {"slow", p.Slow}, {"hidden", p.Hidden}} {
		if !(share.value >= 0 && share.value <= 1) {
			return fmt.Errorf("%s is %g: it is a share of the tabs, from 0 to 1", share.name, share.value)
		}
	}
	for i, s := range p.Stages {
		if err := s.validate(); err != nil {
			return fmt.Errorf("stage %d: %w", i+1, err)
		}
	}
	if p.Length() > MaxDuration {
		return fmt.Errorf("a load of %v: at most %v are possible", p.Length(), MaxDuration)
	}
	if p.Clicking() && p.clickers(p.Stages[0].Browsers) == 0 {
		return errors.New("all tabs only watch: nobody is left to click")
	}
	return nil
}

func (s Stage) validate() error {
	switch {
	case s.Browsers < 1 || s.Browsers > MaxBrowsers:
		return fmt.Errorf("%d browsers: from 1 to %d are possible", s.Browsers, MaxBrowsers)
	case s.Duration <= 0 || s.Duration > MaxDuration:
		return fmt.Errorf("a duration of %v: from more than 0 to %v is possible", s.Duration, MaxDuration)
	case s.Ramp < 0 || s.Ramp > MaxDuration:
		return fmt.Errorf("a ramp of %v: from 0 to %v is possible", s.Ramp, MaxDuration)
	case !(s.Churn >= 0 && s.Churn <= float64(s.Browsers)):
		return fmt.Errorf("a churn of %g tabs a second: from 0 to the %d that are open is possible", s.Churn, s.Browsers)
	}
	return s.Rate.validate()
}

// Slots is the number of tabs that are ever open at once.
func (p *Plan) Slots() int {
	n := 0
	for _, s := range p.Stages {
		n = max(n, s.Browsers)
	}
	return n
}

// Length is the time from the first click that may be due to the end.
func (p *Plan) Length() time.Duration {
	d := -p.Stages[0].Ramp
	for _, s := range p.Stages {
		d += s.Ramp + s.Duration
	}
	return d
}

// Clicking reports whether anybody clicks at all.
func (p *Plan) Clicking() bool {
	for _, s := range p.Stages {
		for _, r := range s.Rate {
			if r.From > 0 || r.To > 0 {
				return true
			}
		}
	}
	return false
}

// IsSlow reports whether a tab reads only now and then.
func (p *Plan) IsSlow(slot int) bool { return spread(slot, .7548776662466927) < p.Slow }

// IsHidden reports whether a tab is in the background.
func (p *Plan) IsHidden(slot int) bool { return spread(slot, .5698402909980532) < p.Hidden }

// spread gives numbers from 0 to 1 such that each run of slots has its share of each part: a
// multiple of an irrational, its fraction. (The two are the base of the R2 sequence, in which
// they don't depend on each other.) Slot 0 is the last to be slow or hidden.
func spread(slot int, irrational float64) float64 {
	_, f := math.Modf(float64(slot) * irrational)
	return 1 - f
}

// clickers is how many of the first n tabs click, not counting that some are slow or hidden.
func (p *Plan) clickers(n int) int { return int(math.Ceil(float64(n) * (1 - p.Watchers))) }

// clicker is the tab that makes click n among those of the first present tabs that click. What is
// slow or hidden passes it on to the next.
func (p *Plan) clicker(n int64, present int) int {
	count := p.clickers(present)
	if count == 0 {
		return 0
	}
	first := int(mix(p.Seed, uint64(n)) % uint64(count))
	for i := range count {
		slot := min(present-1, int(float64((first+i)%count)/(1-p.Watchers)))
		if !p.IsSlow(slot) && !p.IsHidden(slot) {
			return slot
		}
	}
	return 0
}

// mix makes a number out of two that looks like chance (splitmix64).
func mix(seed, n uint64) uint64 {
	z := seed + (n+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
