package live

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"lockstep/htmx"
)

// How a replica comes to call itself degraded.
//
// Whoever finds out reports how a part is: one part may have several sources, as
// two kinds of rooms read the same store, and each counts by itself. A part is
// degraded when a source has had nothing but bad news for healthPatience, and
// until all have had nothing but good news for healthHold: one failed try is no
// fault, and one that succeeds no cure. Err, Degraded and Status say so at once;
// tabs are told of a change at most once in tellInterval.

const (
	// healthPatience is added to the time in which a fault is found.
	healthPatience = 500 * time.Millisecond
	// healthHold is added to the time in which a part is well again.
	healthHold = 2 * time.Second
	// tellInterval is the shortest time between two changes of status that tabs
	// are told. The first is told at once.
	tellInterval = 3 * time.Second
)

// A source reports on a part.
type source struct{ part, name string }

// String is how operators read it.
func (s source) String() string {
	if s.name == "" {
		return s.part
	}
	return s.part + " (" + s.name + ")"
}

// A condition is what a source has reported.
type condition struct {
	err      error // the newest; nil: it is well
	reason   error // the newest that was not nil
	since    time.Time
	degraded bool // when since began
}

// isDegraded reports whether the source counts as not well. It needs no clock
// that runs: it is asked when somebody wants to know.
func (c *condition) isDegraded(now time.Time) bool {
	lasted := now.Sub(c.since)
	if c.err != nil {
		return c.degraded || lasted >= healthPatience
	}
	return c.degraded && lasted < healthHold
}

// due returns when isDegraded changes by itself; zero: it does not.
func (c *condition) due(now time.Time) time.Time {
	switch degraded := c.isDegraded(now); {
	case c.err != nil && !degraded:
		return c.since.Add(healthPatience)
	case c.err == nil && degraded:
		return c.since.Add(healthHold)
	}
	return time.Time{}
}

// health is how the parts are that tabs depend on. mu of the runtime guards it.
type health struct {
	sources map[source]*condition
	logged  map[source]struct{} // degraded as far as the log knows
	told    htmx.Status         // what the tabs know
	toldAt  time.Time           // when that changed
}

// Report says how a part that tabs depend on is doing, e.g. "broker" or
// "store"; nil: it is well. A part that goes on not being well is degraded, and
// then the tabs show it. Calling it again with the same news costs little.
func (r *Runtime) Report(part string, err error) { r.ReportOf(part, "", err) }

// ReportOf is Report by one of several that use a part: it is well when all say
// so. The name is for operators.
func (r *Runtime) ReportOf(part, name string, err error) {
	if r.record(source{part, name}, err, time.Now()) {
		select {
		case r.news <- struct{}{}:
		default:
		}
	}
}

// record takes in a report. It reports whether it is news.
func (r *Runtime) record(s source, err error, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.health.sources[s]
	if c == nil {
		if err == nil {
			return false
		}
		c = &condition{since: now}
		r.health.sources[s] = c
	}
	news := (c.err == nil) != (err == nil)
	if news {
		c.degraded, c.since = c.isDegraded(now), now
	}
	if c.err = err; err != nil {
		c.reason = err // the newest counts
	}
	return news
}

// degradedNow returns the sources that are not well, sorted. The
// caller holds mu.
func (r *Runtime) degradedNow(now time.Time) (sorted []source) {
	for s, c := range r.health.sources {
		if c.isDegraded(now) {
			sorted = append(sorted, s)
		}
	}
	slices.SortFunc(sorted, func(a, b source) int {
		return cmp.Or(cmp.Compare(a.part, b.part), cmp.Compare(a.name, b.name))
	})
	return sorted
}

// Err returns nil, or what keeps this replica from being in step, part by
// part. ErrDraining is among it while the runtime shuts down.
func (r *Runtime) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	if r.phase != phaseRunning {
		errs = append(errs, ErrDraining)
	}
	for _, s := range r.degradedNow(time.Now()) {
		errs = append(errs, fmt.Errorf("%s: %w", s, r.health.sources[s].reason))
	}
	return errors.Join(errs...)
}

// Degraded returns the parts that are not well, sorted. It may be shown in public;
// Err is for the operators of the replica.
func (r *Runtime) Degraded() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var parts []string
	for _, s := range r.degradedNow(time.Now()) {
		parts = append(parts, s.part)
	}
	return slices.Compact(parts)
}

// Status is how this replica is, for pages that are rendered now. Tabs that are
// connected are told it too, but changes at most once in three seconds.
func (r *Runtime) Status() htmx.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.statusAt(time.Now())
}

// statusAt is Status for a caller that holds mu.
func (r *Runtime) statusAt(now time.Time) htmx.Status {
	for _, c := range r.health.sources {
		if c.isDegraded(now) {
			return htmx.Degraded
		}
	}
	return htmx.Live
}

// toldStatus is what tabs are told.
func (r *Runtime) toldStatus() htmx.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.health.told
}

// watchHealth logs what becomes degraded and what recovers, and tells the tabs,
// until the runtime stops.
func (r *Runtime) watchHealth() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	timer.Stop()
	for {
		select {
		case <-r.news:
		case <-timer.C:
		case <-r.stopped:
			return
		}
		c := r.examine(time.Now())
		for _, s := range c.worse {
			r.log.Warn("degraded", "part", s.source.part, "of", s.source.name, "err", s.reason)
		}
		for _, s := range c.better {
			r.log.Info("recovered", "part", s.part, "of", s.name)
		}
		if c.tell {
			r.tellAll()
		}
		timer.Stop()
		if !c.next.IsZero() {
			timer.Reset(max(time.Until(c.next), time.Millisecond)) // not in a loop, whatever the clock does
		}
	}
}

// A change is what has come of the reports.
type change struct {
	worse  []worse
	better []source
	tell   bool
	next   time.Time // when to look again; zero: with the next report
}

type worse struct {
	source source
	reason error
}

// examine compares how the sources are with what was said of them.
func (r *Runtime) examine(now time.Time) (c change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := &r.health
	degraded := make(map[source]struct{})
	for _, s := range r.degradedNow(now) {
		degraded[s] = struct{}{}
		if _, known := h.logged[s]; !known {
			c.worse = append(c.worse, worse{s, h.sources[s].reason})
		}
	}
	for s := range h.logged {
		if _, still := degraded[s]; !still {
			c.better = append(c.better, s)
		}
	}
	h.logged = degraded
	soonest := func(t time.Time) {
		if !t.IsZero() && (c.next.IsZero() || t.Before(c.next)) {
			c.next = t
		}
	}
	maps.DeleteFunc(h.sources, func(_ source, one *condition) bool { return one.err == nil && !one.isDegraded(now) })
	for _, one := range h.sources {
		soonest(one.due(now))
	}
	status := r.statusAt(now)
	switch at := h.toldAt.Add(tellInterval); {
	case status == h.told:
	case !h.toldAt.IsZero() && now.Before(at):
		soonest(at)
	default:
		h.told, h.toldAt, c.tell = status, now, true
	}
	return c
}
