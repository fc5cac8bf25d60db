package web

import (
	"fmt"
	"html"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"lockstep/app"
)

// NewAdmin returns what the second, private address serves: metrics of the
// replicas of this process, and profiles of the process. It has no access
// control and must never be reachable by the public.
func NewAdmin(replicas []*app.App, version string) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, a := range replicas {
		prometheus.WrapRegistererWith(prometheus.Labels{"replica": a.Replica()}, reg).MustRegister(appCollector{a})
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	index := func(w http.ResponseWriter, _ *http.Request) { debugIndex(w, replicas, version) }
	mux.HandleFunc("GET /debug/{$}", index)
	mux.HandleFunc("GET /{$}", index)
	return mux
}

// debugIndex links everything, and says how each replica is doing.
func debugIndex(w http.ResponseWriter, replicas []*app.App, version string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) } // the reader may have gone
	p("<!doctype html><meta name=viewport content='width=device-width'><title>Lockstep admin</title><h1>Lockstep %s</h1>", html.EscapeString(version))
	p("<ul><li><a href=/metrics>/metrics</a><li><a href=/debug/pprof/>/debug/pprof/</a><li><a href=/healthz>/healthz</a></ul>")
	p("<table border=1 cellpadding=6><tr><th>replica<th>state<th>tabs<th>topics<th>round trip")
	for _, a := range replicas {
		state := "in step"
		if err := a.Runtime().Err(); err != nil {
			state = err.Error()
		}
		hub := a.Hub().Stats()
		p("<tr><td>%s<td>%s<td>%d<td>%d<td>%s", html.EscapeString(a.Replica()), html.EscapeString(state),
			a.Runtime().Stats().Sessions, hub.Topics, hub.RoundTrip)
	}
	p("</table>")
}

// An appCollector reads one replica's counters when it is asked for metrics.
type appCollector struct{ app *app.App }

// Describe implements prometheus.Collector; an empty description makes the
// collector unchecked, because Collect knows its metrics best.
func (c appCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c appCollector) Collect(ch chan<- prometheus.Metric) {
	metric := func(kind prometheus.ValueType, name, help string, v float64) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("lockstep_"+name, help, nil, nil), kind, v)
	}
	count := func(name, help string, v uint64) { metric(prometheus.CounterValue, name, help, float64(v)) }
	gauge := func(name, help string, v float64) { metric(prometheus.GaugeValue, name, help, v) }

	degraded := 0.0
	if c.app.Runtime().Err() != nil {
		degraded = 1
	}
	gauge("degraded", "1 while the replica is not in step.", degraded)

	s := c.app.Runtime().Stats()
	gauge("sessions", "Tabs connected now.", float64(s.Sessions))
	count("sessions_accepted_total", "Tabs that ever connected.", s.Accepted)
	count("events_total", "Actions received from tabs.", s.Events)
	count("acks_total", "Ops acknowledged.", s.Acks)
	count("refusals_total", "Messages refused.", s.Refusals)
	count("renders_total", "Frames rendered.", s.Renders)
	count("messages_sent_total", "Messages sent to tabs.", s.Messages)
	count("message_bytes_total", "Payload sent to tabs.", s.Bytes)
	count("repairs_total", "States read from the store because no broadcast brought them.", s.Repairs)
	count("stalled_total", "Tabs closed because they did not read.", s.Stalled)
	count("failures_total", "Views and components that failed.", s.Failures)

	h := c.app.Hub().Stats()
	gauge("topics", "Topics subscribed at the broker.", float64(h.Topics))
	gauge("pubsub_round_trip_seconds", "The last heartbeat's way through the broker.", h.RoundTrip.Seconds())
	count("pubsub_published_total", "Broadcasts accepted by the broker.", h.Published)
	count("pubsub_received_total", "Messages received from the broker.", h.Received)
	count("pubsub_handler_errors_total", "Handlers that failed or panicked.", h.HandlerErrors)
	count("pubsub_gaps_total", "Gap notices: messages may have been lost.", h.Gaps)
	count("pubsub_overflows_total", "Queues of slow handlers that overflowed.", h.Overflows)
	count("pubsub_reconnects_total", "Connections to the broker after the first.", h.Reconnects)
}
