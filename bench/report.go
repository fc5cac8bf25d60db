package main

import (
	"fmt"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"lockstep/bench/page"
)

// document returns the results as a page of Markdown.
func (p plan) document(cells []cell) string {
	var b strings.Builder
	fmt.Fprint(&b, "# Benchmarks\n\nWhat it costs a server to bring one change to many tabs: Lockstep, its peers and the limit, measured in one run on one machine.\n\n")
	if p.svg != "" {
		fmt.Fprintf(&b, "![CPU time for each delivery](%s)\n\n", p.link())
	}
	fmt.Fprint(&b, "## Results\n\nA delivery is one fragment that has reached one tab. Ratios are of CPU time: × lockstep says how many times as much a subject needs.\n\n")
	for _, c := range cells {
		fmt.Fprintf(&b, "### %s\n\n%s\n", c.title(), p.table(c))
	}
	if w := p.warning(cells); w != "" {
		fmt.Fprintf(&b, "%s\n\n", w)
	}
	fmt.Fprint(&b, p.method())
	fmt.Fprintf(&b, "## Subjects\n\n%s\n", p.described())
	fmt.Fprintf(&b, "## Machine\n\n%s\n", page.Machine())
	fmt.Fprintf(&b, "## Run it again\n\nIn `bench/`, on Linux with two cores or more and `ulimit -Hn` above the number of tabs:\n\n```sh\n%s\n```\n", p.command)
	return page.Wrap(b.String())
}

// link is the chart as seen from the page.
func (p plan) link() string {
	rel, err := filepath.Rel(filepath.Dir(p.markdown), p.svg)
	if err != nil {
		return p.svg
	}
	return filepath.ToSlash(rel)
}

func (c cell) title() string {
	if c.rooms == 1 {
		return thousands(c.tabs) + " tabs"
	}
	return fmt.Sprintf("%s tabs, %d fragments each at once", thousands(c.tabs), c.rooms)
}

// thousands writes a number with commas.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// table returns the medians of a cell as Markdown.
func (p plan) table(c cell) string {
	var b strings.Builder
	fmt.Fprintln(&b, "| subject | CPU µs/delivery (min–max) | user + sys | × raw | × lockstep | deliveries/s | p50 / p99 ms | last tab ms | join µs/tab | idle KB/tab | mallocs/delivery | lost |")
	fmt.Fprintln(&b, "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
	for _, s := range p.subjects {
		of := func(f func(measure) float64) float64 { return c.median(s, f) }
		cpus := c.of(s, cpu)
		fmt.Fprintf(&b, "| %s | **%.2f** (%.2f–%.2f) | %.2f + %.2f | %s | %s | %s | %.1f / %.1f | %.1f | %.0f | %.1f | %.3f | %d |\n",
			s, of(cpu), cpus[0], cpus[len(cpus)-1],
			of(func(m measure) float64 { return m.User }), of(func(m measure) float64 { return m.Sys }),
			c.ratio(s, limitName), c.ratio(s, productName),
			thousands(int(of(func(m measure) float64 { return m.Rate }))),
			of(func(m measure) float64 { return m.P50 }), of(func(m measure) float64 { return m.P99 }), of(func(m measure) float64 { return m.Last }),
			of(func(m measure) float64 { return m.Join }), of(func(m measure) float64 { return m.Idle }),
			of(func(m measure) float64 { return m.Mallocs }), c.lost(s))
	}
	return b.String()
}

// ratio says how many times the CPU time of base a subject needs.
func (c cell) ratio(subject, base string) string {
	if len(c.measures[base]) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", c.median(subject, cpu)/c.median(base, cpu))
}

// lost returns what did not arrive in all runs of a subject.
func (c cell) lost(subject string) (n int64) {
	for _, m := range c.measures[subject] {
		n += m.Lost
	}
	return n
}

// warning names the subjects that lost deliveries.
func (p plan) warning(cells []cell) string {
	var bad []string
	for _, c := range cells {
		for _, s := range p.subjects {
			if c.lost(s) > 0 && !slices.Contains(bad, s) {
				bad = append(bad, s)
			}
		}
	}
	if len(bad) == 0 {
		return ""
	}
	return "**Not fair:** of " + strings.Join(bad, ", ") + " not all that was sent has arrived, so their figures can't be compared."
}

func (p plan) method() string {
	return fmt.Sprintf(`## Method

- Each subject is a server process of its own, pinned to core 0 with GOMAXPROCS=1. The tabs are one process pinned to core 1: a single thread with epoll that only counts, so that it does not slow the server. Both talk over the loopback, without TLS and compression.
- A fragment is %d bytes of HTML with the time in it. In a round each tab gets one, or one from each of its rooms, and the next round begins when all of it has been written.
- CPU is user and system time of the server process (getrusage) during a flood of %g s after a warm-up of 0.5 s, divided by the deliveries made in it. It includes the kernel's part of the write, and on the loopback also its receiving side.
- Latency is measured in another 3 s with ten rounds a second: from the send to each tab's receipt, and to that of the last tab of the round (median over rounds).
- Join is the server's CPU time from accept until a tab is ready, and 0.7 s more, for each tab; the tabs arrive 32 at a time. Idle is the resident memory that a tab adds to the empty process after garbage collection, before anything is sent.
- Lost is what left and did not arrive; it must not be above 0. It is below where a subject counted some deliveries after it was asked. Pings are off for all, so that the tabs need not answer.
- The subjects alternate, %s; shown is the median. CPU time is the figure to trust: deliveries a second and latency also depend on what else the machine does. Differences below 10 %% mean nothing.

`, payloadSize, p.seconds, p.times())
}

// times says how often each subject was measured.
func (p plan) times() string {
	if p.runs == 1 {
		return "one run of each"
	}
	return fmt.Sprintf("%d runs of each", p.runs)
}

// described lists the subjects with their versions.
func (p plan) described() string {
	var b strings.Builder
	fmt.Fprint(&b, "| subject | version | what it does |\n|---|---|---|\n")
	for _, s := range p.subjects {
		e, err := find(s)
		if err != nil {
			continue // run has refused it
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", e.name, version(e.module), e.about)
	}
	return b.String()
}

// version returns a module and its version in this binary.
func version(module string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok || module == "" {
		return "this repository"
	}
	for _, d := range info.Deps {
		if d.Path == module {
			return d.Path + " " + d.Version
		}
	}
	return module
}
