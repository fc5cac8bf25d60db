package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"lockstep/tools/loadgen/load"
)

// An exporter serves the progress of a run as /metrics, for Prometheus. Its methods may be called
// concurrently.
type exporter struct {
	listener net.Listener
	server   *http.Server
	served   chan struct{} // closed when the server's goroutine has ended
	latest   latest
}

// newExporter listens on addr, host:port, and serves until close. Before the first set everything
// is 0.
func newExporter(addr string) (*exporter, error) {
	// It listens until close, not for as long as some call.
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	e := &exporter{listener: l, served: make(chan struct{})}
	registry := prometheus.NewRegistry()
	if err := registry.Register(&e.latest); err != nil {
		return nil, errors.Join(fmt.Errorf("metrics: %w", err), l.Close())
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	e.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go e.serve() // until close, which waits for it
	return e, nil
}

// set replaces what is served.
func (e *exporter) set(p load.Progress) {
	e.latest.mu.Lock()
	defer e.latest.mu.Unlock()
	e.latest.progress = p
}

// addr is where it listens: with port 0 the one that was chosen.
func (e *exporter) addr() string { return e.listener.Addr().String() }

// close ends the server and its connections, and waits for it. Closing again is harmless.
func (e *exporter) close() error {
	err := e.server.Close()
	<-e.served
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

func (e *exporter) serve() {
	defer close(e.served)
	// Serve ends with close, whose error is the one that counts.
	_ = e.server.Serve(e.listener)
}

// latest is the collector of the last progress.
type latest struct {
	mu       sync.Mutex
	progress load.Progress // guarded by mu
}

// Describe implements prometheus.Collector. That it sends nothing makes the collector unchecked.
func (c *latest) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *latest) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	p := c.progress
	c.mu.Unlock()
	for _, m := range metrics(p) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(m.name, m.help, nil, nil), m.kind, m.value)
	}
	if p.Stage != "" {
		desc := prometheus.NewDesc("loadgen_stage", "1 for the stage that is under way.", []string{"stage"}, nil)
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, 1, strings.ToValidUTF8(p.Stage, "?"))
	}
	collectLatencies(ch, p.Latencies)
}

// collectLatencies sends gauges and no summary: they are of one second, and their counts don't
// grow.
func collectLatencies(ch chan<- prometheus.Metric, latencies map[string]load.Latency) {
	desc := prometheus.NewDesc("loadgen_latency_seconds", "Latency in the last second, by what was waited for.", []string{"what", "quantile"}, nil)
	for what, s := range latencies {
		for quantile, ms := range map[string]float64{"0.5": s.P50, "0.9": s.P90, "0.99": s.P99, "0.999": s.P999, "1": s.Max} {
			ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, ms/1000, what, quantile)
		}
	}
}

type metric struct {
	name, help string
	kind       prometheus.ValueType
	value      float64
}

func metrics(p load.Progress) []metric {
	n := p.Totals
	counter := func(name, help string, v int64) metric {
		return metric{"loadgen_" + name + "_total", help, prometheus.CounterValue, float64(v)}
	}
	gauge := func(name, help string, v float64) metric {
		return metric{"loadgen_" + name, help, prometheus.GaugeValue, v}
	}
	return []metric{
		gauge("browsers_connected", "Browsers that are connected.", float64(p.Sample.Connected)),
		gauge("browsers_wanted", "Browsers that are to be connected.", float64(p.Browsers)),
		gauge("stalest_seconds", "How far behind the worst tab is.", p.Sample.Stalest/1000),
		gauge("elapsed_seconds", "Time since the run began.", p.Elapsed.Seconds()),
		counter("clicks_due", "Clicks that should have been made.", n.Due),
		counter("clicks_sent", "Clicks that were made.", n.Sent),
		counter("clicks_resent", "Clicks that were sent again after a reconnection.", n.Resent),
		counter("clicks_acknowledged", "Clicks that were acknowledged.", n.Acked),
		counter("clicks_refused", "Clicks that were refused for good.", n.Refused),
		counter("clicks_forgotten", "Clicks of which nobody says any more whether they count.", n.Forgotten),
		counter("deliveries", "States that arrived at tabs.", n.Deliveries),
		counter("received_bytes", "Bytes that arrived.", n.Bytes),
		counter("joins", "Tabs that joined.", n.Joins),
		counter("reconnects", "Tabs that connected again.", n.Reconnects),
		counter("refusals", "Connections that a server turned away.", n.Refusals),
		counter("errors", "What went wrong, of any cause.", p.Errors),
	}
}
