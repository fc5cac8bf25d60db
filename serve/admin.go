package serve

import (
	"fmt"
	"html"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"lockstep/live"
	"lockstep/precondition"
)

// AdminOptions of NewAdmin. Zero values are the defaults.
type AdminOptions struct {
	Version string // shown on the page
	// Refused returns how many connections were refused because there were too
	// many in all, and of one address. Nil: none.
	Refused func() (total, perAddr uint64)
	// Preconditions are of the parts that the replicas share, such as the
	// store. Nil ones are left out.
	Preconditions []*precondition.Part
	// Pages are the application's own.
	Pages []DebugPage
}

// A DebugPage is one that the admin address has beside its own: {"cache", "what is in the cache",
// handler}. Nobody but operators may reach it.
type DebugPage struct {
	// Name is the end of its address, /debug/NAME/, and what the index calls it: of [a-z0-9-].
	Name string
	Text string // what it is, in a few words
	// Handler serves the page, and what is below it; the address is taken off. Nil: the index leads
	// to To.
	Handler http.Handler
	To      string
}

// at is where the page is.
func (p DebugPage) at() string {
	if p.Handler == nil {
		return p.To
	}
	return "/debug/" + p.Name + "/"
}

// NewAdmin returns what the second, private address serves: metrics of the
// replicas of this process, and profiles of the process. It has no access
// control and must never be reachable by the public. It shows nothing of the
// command line, which may hold secrets.
func NewAdmin(servers []*Server, opts *AdminOptions) http.Handler {
	current := make([]func() *Server, len(servers))
	for i, s := range servers {
		current[i] = func() *Server { return s }
	}
	return newAdmin(current, opts)
}

// newAdmin is NewAdmin for servers in whose places others may come.
func newAdmin(servers []func() *Server, opts *AdminOptions) http.Handler {
	var o AdminOptions
	if opts != nil {
		o = *opts
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if o.Refused != nil {
		reg.MustRegister(connCollector{o.Refused})
	}
	reg.MustRegister(preconditionCollector(o.Preconditions))
	for _, s := range servers {
		prometheus.WrapRegistererWith(prometheus.Labels{"replica": s().app.Replica()}, reg).MustRegister(currentCollector{s})
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	for _, p := range o.Pages {
		if p.Handler != nil {
			mux.Handle(p.at(), http.StripPrefix(strings.TrimSuffix(p.at(), "/"), p.Handler))
		}
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	index := func(w http.ResponseWriter, _ *http.Request) { debugIndex(w, servers, &o) }
	mux.HandleFunc("GET /debug/{$}", index)
	mux.HandleFunc("GET /{$}", index)
	return private(mux)
}

// private refuses what a browser sends on behalf of a page of somebody else:
// by its own word, or by a host name with a dot in it, which may be anybody's
// and point here (DNS rebinding). A client that comes by an address, or a name
// of the network's own such as localhost, is let in.
func private(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := hostOf(r.Host)
		_, err := netip.ParseAddr(host)
		if site := r.Header.Get("Sec-Fetch-Site"); err != nil && strings.Contains(host, ".") || site == "cross-site" || site == "same-site" {
			http.Error(w, "this address is not for other people's pages", http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// debugIndex links everything, and says how each replica is doing.
func debugIndex(w http.ResponseWriter, servers []func() *Server, o *AdminOptions) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) } // the reader may have gone
	p("<!doctype html><meta name=viewport content='width=device-width'><title>Lockstep admin</title><h1>Lockstep %s</h1>", html.EscapeString(o.Version))
	p("<ul><li><a href=/metrics>/metrics</a><li><a href=/debug/pprof/>/debug/pprof/</a><li><a href=/healthz>/healthz</a>")
	for _, page := range o.Pages {
		p("<li><a href='%s'>%s</a> %s", html.EscapeString(page.at()), html.EscapeString(page.Name), html.EscapeString(page.Text))
	}
	p("</ul>")
	p("<table border=1 cellpadding=6><tr><th>replica<th>state<th>tabs<th>topics<th>round trip")
	for _, s := range servers {
		a := s().app
		state := "in step"
		if err := a.Runtime().Err(); err != nil {
			state = err.Error()
		}
		hub := a.Hub().Stats()
		p("<tr><td>%s<td>%s<td>%d<td>%d<td>%s", html.EscapeString(a.Replica()), html.EscapeString(state),
			a.Runtime().Stats().Sessions, hub.Topics, hub.RoundTrip)
	}
	p("</table>")
	listPreconditions(w, o.Preconditions)
}

// A collector reads one replica's counters when it is asked for metrics.
type collector struct{ server *Server }

// Describe implements prometheus.Collector; an empty description makes the
// collector unchecked, because Collect knows its metrics best.
func (c collector) Describe(chan<- *prometheus.Desc) {}

// A currentCollector is the collector of the server that there is now.
type currentCollector struct{ server func() *Server }

// Describe implements prometheus.Collector, as collector does.
func (c currentCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c currentCollector) Collect(ch chan<- prometheus.Metric) { collector{c.server()}.Collect(ch) }

// A connCollector reads what was refused before anything was read from it.
type connCollector struct {
	refused func() (total, perAddr uint64)
}

// Describe implements prometheus.Collector, as collector does.
func (c connCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c connCollector) Collect(ch chan<- prometheus.Metric) {
	desc := prometheus.NewDesc("lockstep_connections_turned_away_total", "Connections that were turned away because there were too many, by limit.", []string{"limit"}, nil)
	total, perAddr := c.refused()
	ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(total), "all")
	ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(perAddr), "address")
}

// collectRefusals sends what the server refused, by reason.
func (c collector) collectRefusals(ch chan<- prometheus.Metric) {
	desc := prometheus.NewDesc("lockstep_turned_away_total", "Requests, sockets, messages and ops that were turned away, by reason: a limit, or a check.", []string{"reason"}, nil)
	for reason, n := range c.server.Refused() {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), reason)
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	metric := func(kind prometheus.ValueType, name, help string, v float64) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("lockstep_"+name, help, nil, nil), kind, v)
	}
	count := func(name, help string, v uint64) { metric(prometheus.CounterValue, name, help, float64(v)) }
	gauge := func(name, help string, v float64) { metric(prometheus.GaugeValue, name, help, v) }
	c.collectRefusals(ch)
	c.collectDurations(ch)

	degraded := 0.0
	if c.server.app.Runtime().Err() != nil {
		degraded = 1
	}
	gauge("degraded", "1 while the replica is not in step.", degraded)

	s := c.server.app.Runtime().Stats()
	gauge("sessions", "Tabs connected now.", float64(s.Sessions))
	count("sessions_accepted_total", "Tabs that ever connected.", s.Accepted)
	count("events_total", "Events received from tabs: ops, fins and casts.", s.Events)
	count("acks_total", "Ops acknowledged.", s.Acks)
	count("messages_refused_total", "Messages of tabs that were answered with a no: ops that are not done, or not yet, and what is no op.", s.Refusals)
	count("renders_total", "Frames rendered.", s.Renders)
	count("wholes_total", "Times that a tab was sent all of a list or a log's newest entries, and not what had changed.", s.Wholes)
	gauge("state_age_seconds", "How long ago the store was asked for what tabs are shown, of the topic where that is the longest.", c.server.app.Runtime().Age().Seconds())
	c.collectPaints(ch)
	count("messages_sent_total", "Messages sent to tabs.", s.Messages)
	count("message_bytes_total", "Payload sent to tabs.", s.Bytes)
	count("repairs_total", "States read from the store because no broadcast brought them.", s.Repairs)
	count("corrections_total", "States that a broadcast had said, and the store did not: they were taken back.", s.Corrections)
	count("failures_total", "Views, components and callbacks that failed.", s.Failures)

	b := c.server.app.Writes()
	count("store_calls_total", "Calls of the store with clicks.", b.Calls)
	count("store_commits_total", "Changes of topics, each of one click or more.", b.Commits)
	count("store_conflicts_total", "Changes that were computed anew, because another replica was faster.", b.Conflicts)
	count("store_ops_total", "Clicks that the store has dealt with, each once.", b.Ops)

	count("log_entries_total", "Entries that this replica has appended to logs.", b.Entries)
	gauge("log_readers", "Programs and browsers that read entries of logs now, or wait for some.", float64(c.server.entries.readers.Len()))

	if files, ok := c.server.uploads.files.(interface{ Unfinished() int }); ok {
		gauge("uploads_unfinished", "Files that have begun to arrive and are not complete, of all replicas that share the folder.", float64(files.Unfinished()))
	}

	soft := c.server.app.Moments()
	gauge("soft_values", "What people at boards have that others see, of all replicas.", float64(soft.Values))
	count("soft_sets_total", "Casts at boards that were taken.", soft.Sets)
	count("soft_refused_total", "Casts at boards that were not taken: the board is full, or the value is not one.", soft.Refused)
	count("soft_shown_total", "Values of boards in frames: casts that were conflated are not in it.", soft.Shown)
	count("soft_broadcasts_total", "Broadcasts of what is cast at boards.", soft.Broadcasts)

	closed := prometheus.NewDesc("lockstep_sessions_closed_total", "Sessions that ended, by reason: docs/operations.md has a row for each.", []string{"reason"}, nil)
	for why := range live.Reasons() {
		ch <- prometheus.MustNewConstMetric(closed, prometheus.CounterValue, float64(c.server.app.Runtime().Closed(why)), why.String())
	}

	p := c.server.plain.Stats()
	gauge("streams", "Tabs connected over plain HTTP now, of those in sessions.", float64(p.Streams))
	count("exchanges_total", "Requests of tabs over plain HTTP, each a session.", p.Exchanges)

	h := c.server.app.Hub().Stats()
	gauge("topics", "Topics subscribed at the broker.", float64(h.Topics))
	gauge("pubsub_subscriptions", "Handlers that are subscribed now, of all topics.", float64(h.Subscriptions))
	count("pubsub_published_total", "Broadcasts accepted by the broker.", h.Published)
	count("pubsub_received_total", "Messages received from the broker.", h.Received)
	count("pubsub_handler_errors_total", "Handlers that failed or panicked.", h.HandlerErrors)
	count("pubsub_gaps_total", "Gap notices: messages may have been lost.", h.Gaps)
	count("pubsub_forged_total", "Messages dropped because they had no valid signature.", h.Forged)
	count("pubsub_overflows_total", "Queues of slow handlers that overflowed.", h.Overflows)
	count("pubsub_reconnects_total", "Connections to the broker after the first.", h.Reconnects)
}
