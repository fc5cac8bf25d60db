package load

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// columns is how wide a summary may be, which people paste into terminals and issues.
const columns = 80

// WriteText writes a summary for people: verdicts, figures, tables. It is plain text of at most 80
// columns.
func WriteText(w io.Writer, r *Report) error {
	t := &text{}
	t.heading(r)
	t.verdicts(r)
	t.figures(r)
	t.latencies(r)
	t.stages(r)
	t.replicas(r)
	t.counters(r)
	t.knee(r)
	t.list("Errors", errorLines(r))
	t.list("Warnings", r.Warnings)
	t.command(r)
	if _, err := w.Write(t.b.Bytes()); err != nil {
		return fmt.Errorf("load: write the summary: %w", err)
	}
	return nil
}

// A text is a summary that grows.
type text struct{ b bytes.Buffer }

func (t *text) line(format string, args ...any) {
	t.b.WriteString(strings.TrimRight(plain(fmt.Sprintf(format, args...)), " "))
	t.b.WriteByte('\n')
}

// wrapped writes words after first, and goes on below them when the line is full.
func (t *text) wrapped(first, words string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(first))
	for i, l := range wrap(words, columns-len(indent)) {
		if i > 0 {
			first = indent
		}
		t.line("%s%s", first, l)
	}
}

func (t *text) heading(r *Report) {
	note := ""
	if r.Interrupted {
		note = ", interrupted"
	}
	t.wrapped(string(OutcomeOf(r))+"  ", fmt.Sprintf("%s, %s clicks/s for %s%s", plural(int64(r.Browsers), "browser"),
		short(rate(r, r.Totals.Due)), duration(r.Seconds*1000), note))
	if len(r.Targets) > 0 {
		t.wrapped("        ", strings.Join(r.Targets, " "))
	}
}

func (t *text) verdicts(r *Report) {
	if len(r.Verdicts)+len(r.Failed) == 0 {
		return
	}
	t.line("")
	for _, v := range r.Verdicts {
		t.wrapped(fmt.Sprintf("%-6s  %-10s  ", word(v), v.Name), v.Detail)
		if len(v.Named) > 0 {
			t.wrapped("          ", strings.Join(v.Named, ", ")+more(v))
		}
	}
	for _, reason := range r.Failed {
		t.wrapped("FAILED  expected    ", reason)
	}
	if r.Expect != "" && len(r.Failed) == 0 {
		t.wrapped("OK      expected    ", r.Expect)
	}
}

func (t *text) figures(r *Report) {
	n := r.Totals
	t.line("")
	t.wrapped("Clicks      ", fmt.Sprintf("%s/s: %s due, %s sent, %s acknowledged, %s refused, %s unanswered, %s sent again",
		short(rate(r, n.Sent)), grouped(n.Due), grouped(n.Sent), grouped(n.Acked), grouped(n.Refused), grouped(n.Unanswered), grouped(n.Resent)))
	t.wrapped("Deliveries  ", fmt.Sprintf("%s/s, %s/s: %s in all; %s, %s for each state shown",
		short(rate(r, n.Deliveries)), bytesize(rate(r, n.Bytes)), grouped(n.Deliveries), plural(n.Changes, "change"), short(n.Conflation)))
	t.wrapped("Browsers    ", fmt.Sprintf("%s, %s, %s turned away",
		plural(n.Joins, "join"), plural(n.Reconnects, "reconnection"), grouped(n.Refusals)))
	t.wrapped("In step     ", inStep(r))
	g := r.Generator
	t.wrapped("Generator   ", fmt.Sprintf("%s s of CPU, %s MB, %s; clicks late by %s (p99); seed %d",
		short(g.CPU), short(g.Memory), plural(int64(g.Processes), "worker"), duration(g.Late), r.Seed))
}

func (t *text) latencies(r *Report) {
	if len(r.Latencies) == 0 {
		return
	}
	t.line("")
	t.line("%-22s %9s %9s %9s %9s %9s", "Latency (ms)", "p50", "p90", "p99", "p99.9", "max")
	for _, name := range latencyNames() {
		s := r.Latencies[name]
		if s.Count == 0 {
			continue
		}
		t.line("%-22s %9s %9s %9s %9s %9s", latencyTitle(name), precise(s.P50), precise(s.P90), precise(s.P99), precise(s.P999), precise(s.Max))
	}
}

func (t *text) stages(r *Report) {
	all := stagesToShow(r)
	if len(all) == 0 {
		return
	}
	t.line("")
	const row = "%-18s %7s %5s %8s %8s %8s %8s %9s"
	t.line(row, "Stage", "tabs", "s", "clicks/s", "deliv./s", "own p50", "own p99", "last p99")
	for _, s := range all {
		own, last := s.Latencies[LatencyOwn], s.Latencies[LatencyAll]
		t.line(row, cut(s.Name, 18), grouped(int64(s.Browsers)), short(s.Seconds), short(s.perSecond(s.Clicks)),
			compact(s.perSecond(s.Deliveries)), unless(own.Count == 0, precise(own.P50)), unless(own.Count == 0, precise(own.P99)), unless(last.Count == 0, precise(last.P99)))
	}
}

func (t *text) replicas(r *Report) {
	if len(r.Replicas) == 0 {
		return
	}
	t.line("")
	t.line("%-20s %7s %8s %11s %9s %6s %6s %6s", "Replica", "tabs", "clicks", "deliveries", "bytes", "recon.", "p50", "p99")
	for _, p := range r.Replicas {
		t.line("%-20s %7s %8s %11s %9s %6s %6s %6s", cut(p.Name, 20), grouped(int64(p.Tabs)), grouped(p.Clicks),
			compact(float64(p.Deliveries)), bytesize(float64(p.Bytes)), grouped(p.Reconnects), precise(p.OwnP50), precise(p.OwnP99))
	}
}

func (t *text) counters(r *Report) {
	if len(r.Counters) == 0 {
		return
	}
	t.line("")
	t.line("%-28s %11s %11s %11s %11s", "Counter", "before", "acked", "wanted", "got")
	for _, c := range r.Counters {
		mark := ""
		if c.Want != c.Got {
			mark = " !"
		}
		t.line("%-28s %11s %11s %11s %11s%s", cut(c.Name, 28), grouped(c.Before), grouped(c.Acked), grouped(c.Want), c.Shown(), mark)
	}
}

func (t *text) knee(r *Report) {
	if r.Knee == nil {
		return
	}
	t.line("")
	t.wrapped("Most        ", r.Knee.Goal+": "+r.Knee.String())
}

func (t *text) list(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	t.line("")
	t.line("%s", title)
	for _, l := range lines {
		t.wrapped("  - ", l)
	}
}

func (t *text) command(r *Report) {
	if r.Command == "" {
		return
	}
	t.line("")
	t.line("Again")
	// It is not wrapped, so that it can be copied.
	t.line("  %s", r.Command)
}

func word(v Verdict) string {
	switch {
	case v.OK:
		return "OK"
	case v.NotJudged:
		return "-"
	}
	return "FAILED"
}

// more says how many broke a rule beyond those that are named.
func more(v Verdict) string {
	rest := v.Broken - int64(len(v.Named))
	if rest <= 0 {
		return ""
	}
	return fmt.Sprintf(" and %s more", grouped(rest))
}

func inStep(r *Report) string {
	switch {
	case r.Totals.Joins == 0:
		return "not judged: " + nobodyJoined
	case r.Converge < 0:
		return "never: the tabs did not become equal"
	case r.Totals.Acked == 0:
		return "all tabs equal; " + nothingAcked
	}
	return "all tabs equal " + duration(r.Converge) + " after the last acknowledged click"
}

func latencyTitle(name string) string {
	switch name {
	case LatencyOwn:
		return "click to own tab"
	case LatencyAll:
		return "click to the last tab"
	case LatencyAck:
		return "click to acknowledged"
	case LatencyJoin:
		return "join"
	case LatencyReconnect:
		return "reconnection"
	case LatencyStaleness:
		return "staleness of a tab"
	}
	return name
}

func errorLines(r *Report) []string {
	var lines []string
	for _, cause := range slices.Sorted(maps.Keys(r.Errors)) {
		lines = append(lines, fmt.Sprintf("%s x %s", grouped(int64(r.Errors[cause])), cause))
	}
	return lines
}

// wrap breaks words into lines of at most width. A word that is longer is cut.
func wrap(words string, width int) []string {
	var lines []string
	line := ""
	for _, w := range strings.Fields(words) {
		for utf8.RuneCountInString(w) > width {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			r := []rune(w)
			lines, w = append(lines, string(r[:width])), string(r[width:])
		}
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(w) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+w, " ")
	}
	return append(lines, line)
}

func cut(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	return string(r[:width-2]) + ".."
}

// plain replaces characters that could control a terminal: names come from the target.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) {
			return '?'
		}
		return r
	}, s)
}
