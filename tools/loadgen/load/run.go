package load

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"lockstep/tools/loadgen/load/internal/browser"
	"lockstep/tools/loadgen/load/internal/workers"
	"lockstep/tools/loadgen/load/protocol"
)

// The names of phases, as Progress has them.
const (
	phaseJoin   = "join"
	phaseLoad   = "load"
	phaseSettle = "settle"
)

// second is the time between two samples.
const second = time.Second

// pollInterval is the time between two observations of all tabs.
const pollInterval = 100 * time.Millisecond

// Run opens the tabs, makes the clicks, waits until all tabs show the same and judges. It returns
// when it has closed every tab. Several runs may be made concurrently.
//
// When ctx ends the load ends early; what was done until then is settled, judged and reported all
// the same. Errors are ErrUsage, ErrUnreachable, or of a worker process. A target that disappears
// later is no error but part of the report.
func Run(ctx context.Context, o Options) (*Report, error) {
	s, err := o.check()
	if err != nil {
		return nil, err
	}
	if err := s.split(); err != nil {
		return nil, usageError(err)
	}
	r := run{settings: s, client: browser.NewClient(s.TLS, browser.NewLogin(s.Header, s.targets)), c: newCollector(s.Counters), report: &Report{
		Schema: ReportSchema, Command: s.Command, Seed: s.Plan.Seed, Targets: s.names(),
	}}
	defer r.client.CloseIdleConnections()
	if err := r.waitForPages(ctx); err != nil {
		return nil, err
	}
	if r.workers, err = workers.Start(s.browsers(), s.processes, s.Worker); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	err = r.phases(ctx)
	if cerr := workers.Close(r.workers); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return r.report, nil
}

// A run is one load under way. Its methods are called one after the other.
type run struct {
	settings
	client  *http.Client
	workers []workers.Worker
	c       *collector
	before  []protocol.State // of each counter
	start   time.Time
	load    time.Time // when the first click was due
	end     time.Time // of the load
	sampled time.Time // when the last sample was taken
	since   Totals    // the totals at that time
	stage   stage
	heard   int64 // deliveries by the last observation of settle
	silent  int   // observations since that had none
	report  *Report

	final      []protocol.State // of each counter, by the pages after the load
	finalViews []*protocol.View // these pages
	behind     []browser.Tab
	converge   float64
}

func (r *run) phases(ctx context.Context) error {
	r.start = time.Now()
	r.sampled = r.start
	r.show(phaseJoin, Sample{}, nil)
	if err := r.join(ctx); err != nil {
		return err
	}
	if err := r.click(ctx); err != nil {
		return err
	}
	// ctx may have ended by now: what was clicked is judged all the same.
	if err := r.settle(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	r.judge()
	return nil
}

// join opens the tabs of the first stage, and waits for them.
func (r *run) join(ctx context.Context) error {
	for _, w := range r.workers {
		if err := w.Join(); err != nil {
			return err
		}
	}
	first := r.Plan.Stages[0]
	deadline := r.start.Add(first.Ramp + r.Patience)
	all := func() bool { return r.c.joined == first.Browsers && r.c.connected == first.Browsers }
	if err := r.await(ctx, phaseJoin, deadline, all); err != nil {
		return err
	}
	if ctx.Err() == nil && r.c.totals.Joins == 0 {
		return fmt.Errorf("%w: no tab could join within %v: %s", ErrUnreachable, first.Ramp+r.Patience, r.mainCause())
	}
	if ctx.Err() == nil && !all() {
		r.warn("only %d of %d tabs had joined %v after the ramp: %s", r.c.connected, first.Browsers, r.Patience, r.mainCause())
	}
	return nil
}

// mainCause is the cause of most errors.
func (r *run) mainCause() string {
	most, times := "nothing went wrong, it only took too long", 0
	for _, cause := range slices.Sorted(maps.Keys(r.c.errors)) {
		if r.c.errors[cause] > times {
			most, times = cause, r.c.errors[cause]
		}
	}
	if times == 0 {
		return most
	}
	return fmt.Sprintf("%s (%d times)", most, times)
}

// click makes the clicks of the plan.
func (r *run) click(ctx context.Context) error {
	r.load = time.Now().Add(100 * time.Millisecond) // so that no worker is late
	r.end = r.load.Add(r.Plan.Length())
	if ctx.Err() != nil {
		r.end = r.load
		return nil
	}
	for _, w := range r.workers {
		if err := w.Load(r.load, r.before); err != nil {
			return err
		}
	}
	// A generator that lags behind still makes every click that was due.
	over := func() bool { return r.c.planned && !time.Now().Before(r.end) }
	if err := r.await(ctx, phaseLoad, r.end.Add(r.Settle), over); err != nil {
		return err
	}
	for _, w := range r.workers {
		if err := w.Unload(); err != nil {
			return err
		}
	}
	if now := time.Now(); now.Before(r.end) {
		r.end = now
	}
	return nil
}

// await collects what the tabs see, and shows it every second, until a time, until done says so, or
// until ctx ends.
func (r *run) await(ctx context.Context, phase string, until time.Time, done func() bool) error {
	for {
		pause(ctx, min(pollInterval, time.Until(until)))
		interrupted := ctx.Err() != nil
		if err := r.c.collect(r.workers); err != nil {
			return err
		}
		r.sample(phase)
		if phase == phaseLoad {
			r.moveOn(time.Now())
		}
		if interrupted || done() || !time.Now().Before(until) {
			r.report.Interrupted = r.report.Interrupted || interrupted
			return nil
		}
	}
}

// pause waits for a time, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// settle waits until every click has its answer and all tabs show what the pages say.
func (r *run) settle(ctx context.Context) error {
	if p, ok := r.Protocol.(protocol.Caster); ok && r.Protocol.Traits().Kind == protocol.Board {
		return r.forget(ctx, p.Forget())
	}
	deadline := time.Now().Add(r.Settle)
	ctx, cancel := context.WithDeadline(ctx, deadline.Add(r.Settle))
	defer cancel()
	for {
		if err := r.c.collect(r.workers); err != nil {
			return err
		}
		r.sample(phaseSettle)
		late := !time.Now().Before(deadline) || r.isQuiet()
		absent := r.c.absent > 0 && !r.report.Interrupted // those that have not come by then are not waited for
		if late || r.c.outstanding == 0 && !absent && r.c.connected == r.c.joined && r.c.equal() {
			quiet, err := r.compare(ctx)
			if quiet || late || err != nil {
				r.converged(quiet)
				return err
			}
		}
		pause(ctx, pollInterval)
	}
}

// isQuiet reports whether nothing has come for as long as Options.quiet says. It is called after
// each observation.
func (r *run) isQuiet() bool {
	if r.c.outstanding > 0 || r.c.totals.Deliveries != r.heard {
		r.heard, r.silent = r.c.totals.Deliveries, 0
		return false
	}
	r.silent++
	return r.quiet > 0 && r.silent >= r.quiet
}

// compare reports whether all tabs show what the pages say.
func (r *run) compare(ctx context.Context) (bool, error) {
	views, err := r.pages(ctx)
	if err != nil {
		r.final = nil
		r.c.errors["after the load: "+strings.TrimPrefix(err.Error(), "load: "+ErrUnreachable.Error()+": ")]++
		return false, nil
	}
	r.final, r.finalViews, r.behind = make([]protocol.State, len(views)), views, nil
	for i, v := range views {
		r.final[i] = v.State
	}
	for _, w := range r.workers {
		tabs, err := w.Behind(r.final)
		if err != nil {
			return false, err
		}
		r.behind = append(r.behind, tabs...)
	}
	return len(r.behind) == 0 && r.c.outstanding == 0, nil
}

// converged is how long the tabs took to become equal.
func (r *run) converged(quiet bool) {
	r.converge = -1
	if !quiet {
		return
	}
	r.converge = 0
	for i := range r.c.counters {
		if at, ok := r.c.reached(i, r.final[i]); ok && r.c.lastAck > 0 {
			r.converge = max(r.converge, float64(at-r.c.lastAck)/1e6)
		}
	}
}

// sample adds the last second to the report, if one is over, and shows it.
func (r *run) sample(phase string) {
	now := time.Now()
	if now.Sub(r.sampled) < second {
		return
	}
	sample, latencies := r.c.sample(now.Sub(r.sampled).Seconds(), r.since)
	sample.At, sample.Stage = now.Sub(r.start).Seconds(), r.stageName()
	r.sampled, r.since = now, r.c.totals
	r.report.Series = append(r.report.Series, sample)
	r.show(phase, sample, latencies)
}

// show calls Options.Progress, if there is one.
func (r *run) show(phase string, sample Sample, latencies map[string]Latency) {
	if r.Progress == nil {
		return
	}
	p := Progress{
		Phase: phase, Stage: r.stageName(), Elapsed: time.Since(r.start), Browsers: r.Plan.Slots(), Sample: sample, Totals: r.totals(),
		Latencies: latencies, Errors: r.c.errorCount(), Warning: r.c.warning,
	}
	switch phase {
	case phaseJoin:
		p.Left = max(0, r.Plan.Stages[0].Ramp-p.Elapsed) + r.Plan.Length()
	case phaseLoad:
		p.Left = max(0, time.Until(r.end))
	}
	r.Progress(p)
}

// totals are the totals so far.
func (r *run) totals() Totals {
	t := r.c.totals
	t.Unanswered = int64(r.c.outstanding)
	for _, sum := range r.c.counters {
		newest := sum.newest
		if newest.Epoch == sum.first.Epoch && newest.Version > sum.first.Version {
			t.Changes += int64(newest.Version - sum.first.Version)
		}
	}
	if t.Deliveries > 0 {
		t.Conflation = float64(r.c.advanced) / float64(t.Deliveries)
	}
	return t
}

func (r *run) warn(format string, args ...any) {
	r.c.warning = fmt.Sprintf(format, args...)
	r.report.Warnings = append(r.report.Warnings, r.c.warning)
}
