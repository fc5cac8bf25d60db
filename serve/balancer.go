package serve

import (
	"log/slog"
	"maps"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
)

// A balancerHandler is a reverse proxy in front of the replicas of one process, for the demo of
// several replicas with one command. It does for its listener what a Server does for
// a replica's.
type balancerHandler struct {
	// set once
	next         http.Handler // passes a request on to a replica
	conns        *connLimiter // of the process
	watch        *ProxyWatch
	writeTimeout time.Duration

	tabs atomic.Int64
}

func newBalancer(replicas []string, conns *connLimiter, watch *ProxyWatch, trusted []netip.Prefix, writeTimeout time.Duration, log *slog.Logger) *balancerHandler {
	b := &balancerHandler{conns: conns, watch: watch, writeTimeout: writeTimeout}
	b.next = newProxy(replicas, NewForwarding(trusted), log)
	return b
}

// newProxy passes requests on to the least busy replica, and tells it what proxies in front of this
// one say.
func newProxy(replicas []string, proxies Forwarding, log *slog.Logger) http.Handler {
	return &httputil.ReverseProxy{
		Transport: newLeastBusy(replicas),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme = "http"
			r.Out.Host = r.In.Host // the replica compares it with Origin
			introduce(r.Out.Header, proxies.Of(r.In))
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			log.Debug("no replica answered", "err", err)
			w.Header().Set("Retry-After", "1")
			http.Error(w, "no replica can be reached at the moment", http.StatusBadGateway)
		},
	}
}

// count returns how many websockets the balancer passes on at the moment. They are tabs of
// replicas, but no runtime of this listener.
func (b *balancerHandler) count() int { return int(b.tabs.Load()) }

// ServeHTTP implements http.Handler. For a websocket it returns at its end.
func (b *balancerHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.watch.See(r)
	b.conns.withRoom(http.HandlerFunc(b.pass)).ServeHTTP(w, r)
}

// pass passes a request on.
func (b *balancerHandler) pass(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" { // a stream, too: its connection stays http.Server's
		// Otherwise http.Server closes the request's body when the answer begins. The transport may
		// still look whether it has ended, and takes that for an error which ends the answer.
		// HTTP/2 needs no leave for it.
		_ = http.NewResponseController(w).EnableFullDuplex()
		b.next.ServeHTTP(WithWriteDeadline(w, b.writeTimeout), r)
		return
	}
	b.tabs.Add(1)
	defer b.tabs.Add(-1)
	b.next.ServeHTTP(w, r)
}

// introduce tells a replica who sends a request: which address has connected to the balancer, or
// that for which a trusted proxy speaks, and nothing that somebody else says of others.
func introduce(h http.Header, who Forwarded) {
	h.Del("Forwarded")
	maps.DeleteFunc(h, func(name string, _ []string) bool { return strings.HasPrefix(name, "X-Forwarded-") })
	if who.Addr.IsValid() {
		h.Set("X-Forwarded-For", who.Addr.String())
	}
	h.Set("X-Forwarded-Proto", "http")
	if who.Secure {
		h.Set("X-Forwarded-Proto", "https")
	}
	h.Set("X-Forwarded-Host", strings.Join(who.Hosts, ", "))
	if who.Prefix != "" {
		h.Set("X-Forwarded-Prefix", who.Prefix)
	}
}
