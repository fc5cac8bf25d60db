package main

import (
	"fmt"
	"os"
	"strings"

	"lockstep/bench/page"
)

// runLists measures lists and logs at each number of tabs, and writes a page of its own.
func (p plan) runLists() error {
	var cells []cell
	for _, tabs := range p.tabs {
		c, err := p.measure(tabs, 1)
		if err != nil {
			return err
		}
		cells = append(cells, c)
		fmt.Println(p.listTable(c))
	}
	if p.markdown == "" {
		return nil
	}
	return os.WriteFile(p.markdown, []byte(p.listDocument(cells)), 0o644)
}

func (p plan) listDocument(cells []cell) string {
	var b strings.Builder
	fmt.Fprint(&b, "# Benchmarks of lists and logs\n\nWhat it costs a server to bring a change of a list, or an entry of a log, to many tabs.\n\n")
	fmt.Fprint(&b, "## Results\n\n")
	for _, c := range cells {
		fmt.Fprintf(&b, "### %s\n\n%s\n", c.title(), p.listTable(c))
	}
	if w := p.warning(cells); w != "" {
		fmt.Fprintf(&b, "%s\n\n", w)
	}
	fmt.Fprintf(&b, `## Method

That of [benchmarks.md](benchmarks.md), where its words are explained, with one core for the server and one for the tabs. An item and an entry have %d bytes of HTML. Bytes are those of the websocket, with frames and messages. A tab joins with nothing that it shows, and is sent all items, or the newest %d entries; after a page load it is sent nothing, since the page says what it shows.

`, payloadSize, historySize)
	fmt.Fprintf(&b, "## Subjects\n\n%s\n", p.described())
	fmt.Fprintf(&b, "## Machine\n\n%s\n", page.Machine())
	fmt.Fprintf(&b, "## Run it again\n\nIn `bench/`:\n\n```sh\n%s\n```\n", p.command)
	return page.Wrap(b.String())
}

// listTable returns the medians of a cell as Markdown.
func (p plan) listTable(c cell) string {
	var b strings.Builder
	fmt.Fprintln(&b, "| subject | CPU µs/delivery (min–max) | × log | bytes/delivery | deliveries/s | p50 / p99 ms | join µs/tab | idle KB/tab | lost |")
	fmt.Fprintln(&b, "|---|---:|---:|---:|---:|---:|---:|---:|---:|")
	for _, s := range p.subjects {
		of := func(f func(measure) float64) float64 { return c.median(s, f) }
		cpus := c.of(s, cpu)
		fmt.Fprintf(&b, "| %s | **%.2f** (%.2f–%.2f) | %s | %s | %s | %.1f / %.1f | %.0f | %.1f | %d |\n",
			s, of(cpu), cpus[0], cpus[len(cpus)-1], c.ratio(s, p.subjects[0]),
			thousands(int(of(func(m measure) float64 { return m.Bytes }))), thousands(int(of(func(m measure) float64 { return m.Rate }))),
			of(func(m measure) float64 { return m.P50 }), of(func(m measure) float64 { return m.P99 }),
			of(func(m measure) float64 { return m.Join }), of(func(m measure) float64 { return m.Idle }), c.lost(s))
	}
	return b.String()
}
