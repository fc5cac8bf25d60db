package load

import (
	"fmt"
	"slices"

	"lockstep/tools/loadgen/load/internal/browser"
	"lockstep/tools/loadgen/load/protocol"
)

// judge fills in the report.
func (r *run) judge() {
	p := r.report
	p.Started, p.Seconds = r.load, max(0, r.end.Sub(r.load).Seconds())
	r.endStage(r.end.Sub(r.load))
	shift := r.load.Sub(r.start).Seconds()
	for i := range p.Series {
		p.Series[i].At -= shift
	}
	p.Browsers = r.c.peak
	p.Totals, p.Latencies, p.Converge = r.totals(), r.c.sum.summaries(), r.converge
	p.Replicas, p.Counters, p.Errors = r.c.replicaReports(), r.counterReports(), r.c.errors
	late := r.c.late.At(99)
	p.Generator = GeneratorReport{Processes: r.c.processes, CPU: r.c.cpu.Seconds(), Memory: r.c.memory, Late: late}
	p.Verdicts = r.verdicts()
	r.warnings(late)
	p.Expect, p.Failed = r.Thresholds.String(), r.Thresholds.Check(p)
}

// maxLate is how late clicks may be sent, p99 in ms. Beyond it the generator was the bottleneck.
const maxLate = 20

func (r *run) warnings(late float64) {
	if late > maxLate {
		r.warn("clicks were made %.0f ms late (p99): the generator was the bottleneck, the latencies are partly its own", late)
	}
	if r.c.busy > r.c.seconds/10 && r.c.busy > 0 {
		r.warn("the generator was busy all the time in %d of %d s: it was the bottleneck, use another machine or fewer tabs", r.c.busy, r.c.seconds)
	}
	if n := r.c.broken[browser.RuleRead]; n > 0 {
		r.warn("%d messages could not be read: %s", n, r.named(browser.RuleRead)[0])
	}
	if r.c.dropped > 0 {
		r.warn("%d states that came first on a new connection were older than what the tab showed, and were dropped", r.c.dropped)
	}
	if ports := r.tooManyPorts(); ports != "" {
		r.warn("%s", ports)
	}
}

func (r *run) counterReports() []CounterReport {
	if r.Protocol.Traits().Kind == protocol.Board {
		return nil // nothing is counted
	}
	all := make([]CounterReport, r.Counters)
	for i := range all {
		want, _ := r.want(i)
		all[i] = CounterReport{Name: r.counterName(i), Before: r.before[i].Count, Acked: r.c.counters[i].acked, Want: want, Got: -1}
		if r.final != nil {
			all[i].Got = r.final[i].Count
		}
	}
	return all
}

// counterName is the path of its page.
func (r *run) counterName(i int) string {
	if path := r.Protocol.Page(i); path != "" {
		return path
	}
	return r.targets[0].Path
}

// verdicts are those that the traits of the protocol allow.
func (r *run) verdicts() []Verdict {
	traits := r.Protocol.Traits()
	if traits.Kind == protocol.Board {
		return r.boardVerdicts()
	}
	all := []Verdict{r.counted()}
	switch {
	case traits.Kind == protocol.Bank: // balances don't tell a transfer that counts twice from others
		all = append(all, r.rule(VerdictSound, browser.RuleSound, "the sum never changed, and no account was overdrawn").
			unless(r.report.Totals.Changes == 0 && r.c.totals.Acked == 0, nothingChanged))
	case traits.Kind == protocol.List:
		all = append(all, r.fits())
	case traits.Kind == protocol.Log:
		all = append(all, r.once(), r.fits())
	case traits.Acks:
		all = append(all, r.once())
	}
	if traits.Versions {
		all = append(all, r.rule(VerdictForward, browser.RuleForward, "no tab was shown an older version after a newer one").
			unless(r.report.Totals.Changes == 0 && r.c.totals.Acked == 0, nothingChanged))
	}
	all = append(all, r.inStep(), r.answered())
	if traits.Acks {
		all = append(all, r.rule(VerdictOwnWrites, browser.RuleOwnWrite, "what was acknowledged was shown").
			unless(r.c.totals.Acked == 0, nothingAcked))
	}
	return all
}

// fits says whether each change that a tab was sent was one of what the tab showed.
func (r *run) fits() Verdict {
	return r.rule(VerdictSound, browser.RuleSound, "each change fitted what its tab showed").
		unless(r.report.Totals.Changes == 0 && r.c.totals.Acked == 0, nothingChanged)
}

// counted compares the pages with the clicks. A click without an answer may count or not.
func (r *run) counted() Verdict {
	v := Verdict{Name: VerdictCounted, OK: true}
	if r.final == nil {
		v.OK, v.Detail = false, "the pages could not be read after the load"
		return v
	}
	if r.Protocol.Traits().Kind != protocol.Counter {
		return r.booked()
	}
	var lost, extra int64
	for i, c := range r.report.Counters {
		open := r.c.counters[i].open()
		if c.Got >= c.Want && c.Got <= c.Want+open {
			continue
		}
		v.OK = false
		v.Broken++
		lost += max(0, c.Want-c.Got)
		extra += max(0, c.Got-c.Want-open)
		if len(v.Named) < maxNamed {
			v.Named = append(v.Named, fmt.Sprintf("%s: %d, want %d", c.Name, c.Got, c.Want))
		}
	}
	v.Detail = fmt.Sprintf("%s clicks acknowledged, all of them counted", grouped(r.c.totals.Acked))
	if !v.OK {
		v.Detail = fmt.Sprintf("%s clicks acknowledged: %s of them lost, %s counted that nobody made",
			grouped(r.c.totals.Acked), grouped(lost), grouped(extra))
	}
	return v.unless(r.c.totals.Acked == 0, nothingAcked)
}

// Why a verdict is not judged.
const (
	nothingAcked   = "no click was acknowledged"
	nothingSent    = "no click was made"
	nothingChanged = "nothing changed"
	nobodyJoined   = "no tab had joined"
)

// unless is v, or that it was not judged: there was nothing, so that v holds of itself. A rule that
// was broken stays broken.
func (v Verdict) unless(nothing bool, why string) Verdict {
	if !nothing || !v.OK {
		return v
	}
	return Verdict{Name: v.Name, NotJudged: true, Detail: "not judged: " + why}
}

// once looks for clicks that count more than once: by what tabs saw at the time, and by the sums.
func (r *run) once() Verdict {
	v := r.rule(VerdictOnce, browser.RuleOnce, fmt.Sprintf("no op was applied twice, %s were sent again", grouped(r.c.totals.Resent)))
	if r.final == nil {
		return v
	}
	for i, c := range r.report.Counters {
		_, most := r.want(i)
		more := c.Got - most
		if more <= 0 {
			continue
		}
		v.OK = false
		v.Broken = max(v.Broken, more)
		if len(v.Named) < maxNamed {
			v.Named = append(v.Named, fmt.Sprintf("%s: %d more than was clicked", c.Name, more))
		}
	}
	if !v.OK {
		v.Detail = fmt.Sprintf("%s more counted than clicked", grouped(v.Broken))
	}
	return v.unless(r.c.totals.Acked == 0, nothingAcked)
}

// rule is a verdict on a rule that tabs check by themselves. fine is its detail if it held.
func (r *run) rule(name string, rule browser.Rule, fine string) Verdict {
	n := r.c.broken[rule]
	if n == 0 {
		return Verdict{Name: name, OK: true, Detail: fine}
	}
	return Verdict{Name: name, Detail: fmt.Sprintf("broken %s times", grouped(n)), Named: r.named(rule), Broken: n}
}

func (r *run) named(rule browser.Rule) (all []string) {
	for _, v := range r.c.violations {
		if v.Rule == rule {
			all = append(all, v.Detail)
		}
	}
	return all
}

// inStep names the tabs that show something else than the page.
func (r *run) inStep() Verdict {
	v := Verdict{Name: VerdictInStep, OK: r.final != nil && len(r.behind) == 0, Broken: int64(len(r.behind))}
	switch {
	case r.final == nil:
		v.Detail = "the pages could not be read after the load"
	case v.OK && r.c.totals.Acked == 0:
		v.Detail = fmt.Sprintf("all %s tabs show what their pages do; %s", grouped(int64(r.c.joined)), nothingAcked)
	case v.OK:
		v.Detail = fmt.Sprintf("all %s tabs were equal %s after the last acknowledgement", grouped(int64(r.c.joined)), duration(max(0, r.converge)))
	default:
		v.Detail = fmt.Sprintf("%s of %s tabs were not equal %s after the load", grouped(v.Broken), grouped(int64(r.c.joined)), duration(float64(r.Settle.Milliseconds())))
		for _, t := range r.behind[:min(len(r.behind), maxNamed)] {
			v.Named = append(v.Named, r.describe(t))
		}
		slices.Sort(v.Named)
	}
	return v.unless(r.c.totals.Joins == 0, nobodyJoined)
}

func (r *run) describe(t browser.Tab) string {
	where := ""
	if t.Replica != "" {
		where = " of " + t.Replica
	}
	if !t.Connected {
		return fmt.Sprintf("tab %d%s is not connected", t.Slot, where)
	}
	return fmt.Sprintf("tab %d%s shows %s, its page %s", t.Slot, where, t.Shown.Text(), r.final[t.Counter].Text())
}

// answered says whether each click was acknowledged or refused, in one way and with a reason.
func (r *run) answered() Verdict {
	t, odd := r.report.Totals, r.c.broken[browser.RuleAnswer]
	v := Verdict{Name: VerdictAnswered, Broken: t.Unanswered + odd, Named: r.named(browser.RuleAnswer)}
	switch {
	case t.Unanswered > 0:
		v.Detail = fmt.Sprintf("%s of %s clicks have no answer", grouped(t.Unanswered), grouped(t.Sent))
	case odd > 0:
		v.Detail = fmt.Sprintf("%s answers were wrong", grouped(odd))
	default:
		v.OK, v.Detail = true, fmt.Sprintf("%s clicks, each acknowledged or refused", grouped(t.Sent))
		if t.Forgotten > 0 {
			v.Detail = fmt.Sprintf("%s clicks, each answered: of %s nobody knows whether they count", grouped(t.Sent), grouped(t.Forgotten))
		}
	}
	return v.unless(t.Sent == 0, nothingSent)
}
