package load

import (
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	plainEvery = 5 * time.Second // a line, where nothing can be drawn
	sparks     = 40              // seconds that a sparkline shows
	barWidth   = 40              // columns
)

// A Terminal shows people how a run goes. On a terminal it redraws a few lines in place; elsewhere
// it writes one line every 5 s, as a log wants it. Its methods must not be called concurrently.
// Errors of its writer are ignored: a view that cannot be written must not end a run.
type Terminal struct {
	w       io.Writer
	isTTY   bool
	noColor bool

	deliveries, latency []float64 // of the last seconds
	drawn               int       // lines that stand on the terminal
	next                time.Duration
}

// NewTerminal makes a view on w. With isTTY it uses escape sequences for the cursor; noColor, which
// NO_COLOR asks for, leaves out those for colours.
func NewTerminal(w io.Writer, isTTY, noColor bool) *Terminal {
	return &Terminal{w: w, isTTY: isTTY, noColor: noColor}
}

// Show replaces what the view shows by p.
func (t *Terminal) Show(p Progress) {
	if !t.isTTY {
		t.log(p)
		return
	}
	t.deliveries = appendLast(t.deliveries, float64(p.Sample.Deliveries))
	t.latency = appendLast(t.latency, p.Latencies[LatencyAll].P99)
	t.redraw(t.view(p))
}

// Done removes the view, so that a summary can follow.
func (t *Terminal) Done() { t.redraw(nil) }

func (t *Terminal) log(p Progress) {
	if p.Elapsed < t.next {
		return
	}
	t.next = p.Elapsed.Truncate(plainEvery) + plainEvery
	s, all := p.Sample, p.Latencies[LatencyAll]
	t.write(fmt.Sprintf("%6s %-6s%s browsers=%d clicks/s=%d acks/s=%d deliveries/s=%d p50=%s p99=%s max=%s stalest=%s errors=%d%s\n",
		clock(p.Elapsed), p.Phase, stageOf(p), s.Connected, s.Clicks, s.Acks, s.Deliveries,
		spaceless(all, all.P50), spaceless(all, all.P99), spaceless(all, all.Max), strings.ReplaceAll(duration(s.Stalest), " ", ""), p.Errors, warning(p)))
}

func (t *Terminal) view(p Progress) []string {
	s, n := p.Sample, p.Totals
	own, all := p.Latencies[LatencyOwn], p.Latencies[LatencyAll]
	lines := []string{
		t.bar(p),
		fmt.Sprintf("browsers    %s of %s, %s, %s", t.bold(grouped(int64(s.Connected))), grouped(int64(p.Browsers)),
			plural(n.Reconnects, "reconnection"), plural(n.Refusals, "refusal")),
		fmt.Sprintf("clicks      %s/s, %s/s acknowledged, %s open", t.bold(grouped(s.Clicks)), grouped(s.Acks),
			grouped(max(0, n.Sent-n.Acked-n.Refused))),
		fmt.Sprintf("deliveries  %s/s, %s/s", t.bold(compact(float64(s.Deliveries))), bytesize(float64(s.Bytes))),
		"            " + t.color(green, sparkline(t.deliveries)),
		fmt.Sprintf("own tab     p50 %s  p90 %s  p99 %s  max %s", own.figure(own.P50), own.figure(own.P90), own.figure(own.P99), own.figure(own.Max)),
		fmt.Sprintf("last tab    p50 %s  p90 %s  p99 %s  max %s", all.figure(all.P50), all.figure(all.P90), t.bold(all.figure(all.P99)), all.figure(all.Max)),
		"            " + t.color(yellow, sparkline(t.latency)) + " p99",
		fmt.Sprintf("stalest     %s", duration(s.Stalest)),
	}
	if p.Stage != "" {
		lines = append(lines[:1:1], append([]string{cut("stage       "+plain(p.Stage), columns-1)}, lines[1:]...)...)
	}
	if p.Errors > 0 {
		lines = append(lines, t.color(red, fmt.Sprintf("errors      %s", grouped(p.Errors))))
	}
	if p.Warning != "" {
		lines = append(lines, t.color(yellow, cut("warning     "+plain(p.Warning), columns-1)))
	}
	return lines
}

// bar is how far the run is. Where the end is not known there is only the time.
func (t *Terminal) bar(p Progress) string {
	head := fmt.Sprintf("%-6s %6s ", p.Phase, clock(p.Elapsed))
	if p.Left <= 0 {
		return head
	}
	full := int(float64(barWidth) * float64(p.Elapsed) / float64(p.Elapsed+p.Left))
	return head + t.color(green, strings.Repeat("█", full)) + strings.Repeat("░", barWidth-full) + " " + clock(p.Left) + " left"
}

// redraw writes all lines at once, so that half a view is never seen.
func (t *Terminal) redraw(lines []string) {
	var b strings.Builder
	if t.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\r\x1b[J", t.drawn)
	}
	for _, l := range lines {
		b.WriteString(noWrap + l + wrapAgain + "\n")
	}
	t.drawn = len(lines)
	t.write(b.String())
}

func (t *Terminal) write(s string) {
	_, _ = io.WriteString(t.w, s) // a view that can't be written must not end a run
}

// On a narrow terminal a line is cut: one that wraps would not be drawn over.
const (
	noWrap    = "\x1b[?7l"
	wrapAgain = "\x1b[?7h"
)

// The colours of the view, as SGR has them.
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (t *Terminal) bold(s string) string { return t.color(bold, s) }

func (t *Terminal) color(code, s string) string {
	if t.noColor || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// appendLast appends v and drops what a sparkline does not show any more.
func appendLast(values []float64, v float64) []float64 {
	values = append(values, v)
	return values[max(0, len(values)-sparks):]
}

// sparkline draws values between 0 and their maximum.
func sparkline(values []float64) string {
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	levels := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, v := range values {
		b.WriteRune(levels[int(scale(v, max(most, 1e-9), 0, float64(len(levels)-1))+.5)])
	}
	return b.String()
}

// clock writes 1m05s.
func clock(d time.Duration) string { return d.Round(time.Second).String() }

// spaceless is a figure of l for lines that are split at blanks.
func spaceless(l Latency, ms float64) string {
	if l.Count == 0 {
		return "-" // it was not measured
	}
	return strings.ReplaceAll(duration(ms), " ", "")
}

// figure is one of l, or a dash if nothing was measured.
func (l Latency) figure(ms float64) string { return unless(l.Count == 0, duration(ms)) }

// stageOf is the stage of a line, quoted because it may have blanks.
func stageOf(p Progress) string {
	if p.Stage == "" {
		return ""
	}
	return fmt.Sprintf(" stage=%q", plain(p.Stage))
}

func warning(p Progress) string {
	if p.Warning == "" {
		return ""
	}
	return fmt.Sprintf(" warning=%q", p.Warning)
}
