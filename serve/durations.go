package serve

import (
	"github.com/prometheus/client_golang/prometheus"

	"lockstep/histogram"
)

// collectDurations sends how long calls of the broker, of handlers and of the store have taken.
func (c collector) collectDurations(ch chan<- prometheus.Metric) {
	send := func(name, help string, counts histogram.Counts) {
		desc := prometheus.NewDesc("lockstep_"+name, help, nil, nil)
		ch <- prometheus.MustNewConstHistogram(desc, counts.Count, counts.Sum.Seconds(), inSeconds(counts))
	}
	t := c.server.app.Hub().Times()
	send("pubsub_publish_duration_seconds", "How long the broker took to accept a broadcast.", t.Publishing)
	send("pubsub_handler_duration_seconds", "How long handlers took for a message of the broker.", t.Handling)
	send("pubsub_heartbeat_duration_seconds", "How long heartbeats took through the broker and back.", t.RoundTrips)

	took := prometheus.NewDesc("lockstep_store_call_duration_seconds", "How long calls of the store took, by method, also those that failed.", []string{"method"}, nil)
	failed := prometheus.NewDesc("lockstep_store_call_failures_total", "Calls of the store that failed, by method; conflicts are no failures.", []string{"method"}, nil)
	for _, calls := range c.server.app.StoreCalls() {
		ch <- prometheus.MustNewConstHistogram(took, calls.Took.Count, calls.Took.Sum.Seconds(), inSeconds(calls.Took), calls.Method)
		ch <- prometheus.MustNewConstMetric(failed, prometheus.CounterValue, float64(calls.Failed), calls.Method)
	}
}

// inSeconds are the buckets of counts as Prometheus has them.
func inSeconds(counts histogram.Counts) map[float64]uint64 {
	buckets := make(map[float64]uint64, len(counts.Buckets))
	for _, b := range counts.Buckets {
		buckets[b.Bound.Seconds()] = b.Count
	}
	return buckets
}
