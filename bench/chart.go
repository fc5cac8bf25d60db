package main

import (
	"fmt"
	"strings"
)

// Measures of the chart, in pixels.
const (
	chartWidth = 760
	chartEdge  = 28
	labelWidth = 136
	valueWidth = 112
	barHeight  = 20
	barGap     = 8
	panelHead  = 40
	chartHead  = 72
)

// chartStyle has a background of its own, so that the chart can be read on any
// page.
const chartStyle = `<style>
.card{fill:#fff;stroke:#d0d7de}.title{fill:#1f2328;font:600 18px system-ui,sans-serif}.note{fill:#59636e;font:13px system-ui,sans-serif}
.head{fill:#1f2328;font:600 14px system-ui,sans-serif}.name,.value{fill:#1f2328;font:13px system-ui,sans-serif}.value{font-variant-numeric:tabular-nums}.ratio{fill:#59636e}
.track{fill:#f1f3f5}.bar{fill:#9aa5b1}.raw{fill:#c9d1d9}.lockstep{fill:#0a7d5a}.strong{font-weight:600}
@media (prefers-color-scheme:dark){.card{fill:#161b22;stroke:#30363d}.title,.head,.name,.value{fill:#e6edf3}.note,.ratio{fill:#9198a1}
.track{fill:#21262d}.bar{fill:#6e7a88}.raw{fill:#444c56}.lockstep{fill:#2fbf8f}}
</style>
`

// chart draws the CPU time for each delivery: a panel for each size, a bar for
// each subject, shorter is better.
func (p plan) chart(cells []cell) string {
	panel := panelHead + len(p.subjects)*(barHeight+barGap)
	height := chartHead + len(cells)*(panel+barGap) + chartEdge/2
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" aria-label="CPU microseconds for each delivery">`+"\n", chartWidth, height)
	b.WriteString(chartStyle)
	fmt.Fprintf(&b, `<rect class="card" x=".5" y=".5" width="%d" height="%d" rx="12"/>`+"\n", chartWidth-1, height-1)
	fmt.Fprintf(&b, `<text class="title" x="%d" y="36">CPU time for each delivery</text>`+"\n", chartEdge)
	fmt.Fprintf(&b, `<text class="note" x="%d" y="58">µs of one server core, user and system; shorter is better. Median, %s; × Lockstep in grey.</text>`+"\n", chartEdge, p.times())
	for i, c := range cells {
		p.panel(&b, c, chartHead+i*(panel+barGap))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// panel draws one size at height y.
func (p plan) panel(b *strings.Builder, c cell, y int) {
	fmt.Fprintf(b, `<text class="head" x="%d" y="%d">%s</text>`+"\n", chartEdge, y+26, c.title())
	top := 0.0
	for _, s := range p.subjects {
		top = max(top, c.median(s, cpu))
	}
	const x, width = chartEdge + labelWidth, chartWidth - 2*chartEdge - labelWidth - valueWidth
	for i, s := range p.subjects {
		at := y + panelHead + i*(barHeight+barGap)
		v := c.median(s, cpu)
		class, strong := "bar", ""
		switch s {
		case limitName:
			class = "raw"
		case productName:
			class, strong = "lockstep", " strong"
		}
		fmt.Fprintf(b, `<text class="name%s" x="%d" y="%d" text-anchor="end">%s</text>`, strong, x-10, at+15, s)
		fmt.Fprintf(b, `<rect class="track" x="%d" y="%d" width="%d" height="%d" rx="4"/>`, x, at, width, barHeight)
		fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="4"/>`, class, x, at, max(4, v/top*width), barHeight)
		fmt.Fprintf(b, `<text class="value%s" x="%d" y="%d">%.2f<tspan class="ratio" dx="8">%s</tspan></text>`+"\n", strong, x+width+10, at+15, v, multiple(c.ratio(s, productName)))
	}
}

// multiple writes a ratio, if there is one.
func multiple(ratio string) string {
	if ratio == "–" {
		return ""
	}
	return "× " + ratio
}
