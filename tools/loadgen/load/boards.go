package load

import (
	"context"
	"fmt"
	"slices"
	"time"

	"lockstep/tools/loadgen/load/internal/browser"
)

// forget waits until all tabs at boards show what was cast last, and then until nothing is shown
// any more: after twice the time in which a value is forgotten at the latest, by when one that
// stays has been repeated.
func (r *run) forget(ctx context.Context, ttl time.Duration) error {
	began := time.Now()
	r.converge = -1
	for over := false; !over; pause(ctx, pollInterval) {
		if err := r.c.collect(r.workers); err != nil {
			return err
		}
		r.sample(phaseSettle)
		since := time.Since(began)
		if r.converge < 0 && since < ttl/2 {
			if err := r.look(began); err != nil {
				return err
			}
		}
		over = since > 2*ttl || r.converge >= 0 && r.c.values == 0
	}
	return r.c.collect(r.workers)
}

// look asks which tabs don't show what was cast last.
func (r *run) look(began time.Time) error {
	r.behind = nil
	for _, w := range r.workers {
		tabs, err := w.Behind(r.before)
		if err != nil {
			return err
		}
		r.behind = append(r.behind, tabs...)
	}
	if len(r.behind) == 0 {
		r.converge = float64(time.Since(began).Microseconds()) / 1000
	}
	return nil
}

// boardVerdicts are those of boards. What is cast may be lost, so nothing is counted.
func (r *run) boardVerdicts() []Verdict {
	nothing := r.c.totals.Deliveries == 0 || r.c.totals.Sent == 0
	all := []Verdict{
		r.rule(VerdictForward, browser.RuleForward, "no tab was shown an older cast of an owner after a newer one").unless(nothing, nothingSent),
		r.rule(VerdictSound, browser.RuleSound, "each value was one that its owner had cast, and each message was short").unless(nothing, nothingSent),
		r.rule(VerdictForgotten, browser.RuleForgotten, "nothing was shown that its owner had not renewed for long").unless(nothing, nothingSent),
	}
	v := Verdict{
		Name: VerdictInStep, OK: r.converge >= 0, Broken: int64(len(r.behind)),
		Detail: fmt.Sprintf("all %s tabs showed what each owner cast last %s after the load", grouped(int64(r.c.joined)), duration(max(0, r.converge))),
	}
	if !v.OK {
		v.Detail = fmt.Sprintf("%s of %s tabs did not show what owners cast last", grouped(v.Broken), grouped(int64(r.c.joined)))
		for _, t := range r.behind[:min(len(r.behind), maxNamed)] {
			v.Named = append(v.Named, fmt.Sprintf("tab %d of %s shows %s", t.Slot, t.Replica, t.Shown.Value))
		}
		slices.Sort(v.Named)
	}
	return append(all, v.unless(r.c.totals.Joins == 0 || r.c.totals.Sent == 0, nothingSent))
}
