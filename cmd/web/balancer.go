package main

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"sync/atomic"
	"time"

	"lockstep/app/web"
	"lockstep/internal/limit"
)

// A balancerHandler is a reverse proxy in front of the replicas of one process, for the demo of
// several replicas with one command. It does for its listener what package web does for a
// replica's.
type balancerHandler struct {
	// set once
	next         http.Handler                   // passes a request on to a replica
	conns        *connLimiter                   // of the process
	trusted      []netip.Prefix                 // proxies in front of it
	forwarded    func(*http.Request) netip.Addr // for whom one of them speaks; nil: there is none
	writeTimeout time.Duration

	tabs atomic.Int64
}

func newBalancer(replicas []string, conns *connLimiter, e *edgeFlags, log *slog.Logger) *balancerHandler {
	trusted := e.TrustedProxies.prefixes
	return &balancerHandler{
		next: newProxy(replicas, log), conns: conns, writeTimeout: e.WriteTimeout,
		trusted: trusted, forwarded: web.ForwardedFor(trusted),
	}
}

// newProxy passes requests on to the least busy replica.
func newProxy(replicas []string, log *slog.Logger) http.Handler {
	return &httputil.ReverseProxy{
		Transport: newLeastBusy(replicas),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme = "http"
			r.Out.Host = r.In.Host // the replica compares it with Origin
			r.SetXForwarded()
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
	r = b.introduce(r)
	if isTab(r) && !b.conns.admitTab() {
		w.Header().Set("Retry-After", "5")
		w.Header().Set("Connection", "close")
		http.Error(w, "this server has as many tabs as it may have", http.StatusServiceUnavailable)
		return
	}
	if r.Header.Get("Upgrade") == "" { // a stream, too: its connection stays http.Server's
		b.next.ServeHTTP(web.WithWriteDeadline(w, b.writeTimeout), r)
		return
	}
	b.tabs.Add(1)
	defer b.tabs.Add(-1)
	b.next.ServeHTTP(w, r)
}

// introduce returns the request of a trusted proxy as if its client had sent it: the balancer tells
// the replicas which address has connected to it, and nothing that somebody else says of others.
func (b *balancerHandler) introduce(r *http.Request) *http.Request {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !limit.Contains(b.trusted, peer.Addr()) {
		return r
	}
	client := b.forwarded(r)
	r = r.WithContext(r.Context()) // a copy
	r.RemoteAddr = netip.AddrPortFrom(client, 0).String()
	if r.TLS == nil && r.Header.Get("X-Forwarded-Proto") == "https" {
		r.TLS = new(tls.ConnectionState) // that there was TLS is all that is asked
	}
	return r
}
