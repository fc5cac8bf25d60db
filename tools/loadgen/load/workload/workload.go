// Package workload says what virtual browsers do and when: how many tabs are open, which of them
// leave and come, how often they click. A Plan is written in Go, or read from YAML by
// ParseScenario. The same Plan with the same seed gives the same clicks at the same times, in
// however many processes it is carried out. The package opens nothing and has no clock.
package workload

import (
	"errors"
	"fmt"
	"time"
)

// The limits of a plan. They keep a slip of the keyboard from becoming a denial of service.
const (
	MaxBrowsers = 1_000_000      // tabs that are open at once
	MaxRate     = 1_000_000      // clicks a second
	MaxDuration = 24 * time.Hour // of a ramp, of a stage and of all stages together
)

// A Plan is a load. Tabs are numbered from 0: in a stage with n browsers those below n are open.
// A Plan is not changed once it is in use, and may be read concurrently. The zero value is no valid
// plan: it has no stage.
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
	Duration time.Duration `yaml:"duration"` // after the ramp
	Rate     Rate          `yaml:"rate"`     // of clicks, of all tabs together
	Churn    float64       `yaml:"churn"`    // tabs a second that leave, each followed by a new one
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
	if p.Watchers == 1 && p.hasClicks() {
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

// hasClicks reports whether anybody is to click at all.
func (p *Plan) hasClicks() bool {
	for _, s := range p.Stages {
		for _, r := range s.Rate {
			if r.From > 0 || r.To > 0 {
				return true
			}
		}
	}
	return false
}
