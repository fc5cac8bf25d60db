package serve

import (
	"fmt"
	"html"
	"io"

	"github.com/prometheus/client_golang/prometheus"

	"lockstep/precondition"
)

// listPreconditions says on the admin page what servers should be and are not.
func listPreconditions(w io.Writer, parts []*precondition.Part) {
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) } // the reader may have gone
	p("<h2>Preconditions</h2>")
	met := true
	for _, part := range parts {
		for _, u := range part.Unmet() {
			met = false
			p("<p><b>%s: %s</b> %s", html.EscapeString(part.Name()), html.EscapeString(u.Name), html.EscapeString(u.Text))
		}
	}
	if met {
		p("<p>All that can be checked is as it must be.")
	}
}

// A preconditionCollector reads what is not met when it is asked for metrics.
type preconditionCollector []*precondition.Part

// Describe implements prometheus.Collector, as collector does.
func (c preconditionCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c preconditionCollector) Collect(ch chan<- prometheus.Metric) {
	desc := prometheus.NewDesc("lockstep_precondition_unmet",
		"1 for each thing that a server should be and is not: docs/operations.md has a row for each.", []string{"part", "name"}, nil)
	for _, part := range c {
		for _, u := range part.Unmet() {
			ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, 1, part.Name(), u.Name)
		}
	}
}
