package serve

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// collectPaints sends how long it has taken until changes were on screens, of each kind of rooms:
// the longest of all its rooms. Topics would be too many: see live.Runtime.Paints.
func (c collector) collectPaints(ch chan<- prometheus.Metric) {
	worst := prometheus.NewDesc("lockstep_paint_worst_seconds", "The longest time in the last minute until a change was on the screen of a tab that was asked, as tabs say, by kind of state.", []string{"kind"}, nil)
	p99 := prometheus.NewDesc("lockstep_paint_p99_seconds", "The same of 99 % of what the tabs of a topic have said, of the topic where that is the longest.", []string{"kind"}, nil)
	longest := make(map[string][2]time.Duration)
	for _, p := range c.server.app.Runtime().Paints() {
		l := longest[p.Kind]
		longest[p.Kind] = [2]time.Duration{max(l[0], p.Worst), max(l[1], p.P99)}
	}
	for kind, l := range longest {
		ch <- prometheus.MustNewConstMetric(worst, prometheus.GaugeValue, l[0].Seconds(), kind)
		ch <- prometheus.MustNewConstMetric(p99, prometheus.GaugeValue, l[1].Seconds(), kind)
	}
}
