package main

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"lockstep/app/web"
	"lockstep/internal/limit"
)

// A front is what stands between the listener of a balancer and the balancer:
// what package web does for a replica.
type front struct {
	// set once
	next         http.Handler
	gate         *gate
	trusted      []netip.Prefix                 // proxies in front of it
	visitor      func(*http.Request) netip.Addr // for whom one of them speaks; nil: there is none
	writeTimeout time.Duration

	tabs atomic.Int64
}

// count returns how many websockets are passed on at the moment. They are tabs
// of replicas, but no runtime of this listener.
func (f *front) count() int { return int(f.tabs.Load()) }

// ServeHTTP implements http.Handler. For a websocket it returns at its end.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = f.introduce(r)
	if r.Header.Get("Upgrade") == "" {
		f.next.ServeHTTP(web.WithWriteDeadline(w, f.writeTimeout), r)
		return
	}
	if f.gate.max > 0 && f.gate.used() > tabsOf(f.gate.max) {
		f.gate.refusedAll.Add(1)
		w.Header().Set("Retry-After", "5")
		w.Header().Set("Connection", "close")
		http.Error(w, "this server has as many tabs as it may have", http.StatusServiceUnavailable)
		return
	}
	f.tabs.Add(1)
	defer f.tabs.Add(-1)
	f.next.ServeHTTP(w, r)
}

// introduce returns the request of a trusted proxy as if the visitor had sent
// it: the balancer tells the replicas who has connected to it, and nothing that
// somebody else says of others.
func (f *front) introduce(r *http.Request) *http.Request {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !limit.Contains(f.trusted, peer.Addr()) {
		return r
	}
	visitor := f.visitor(r)
	r = r.WithContext(r.Context()) // a copy
	r.RemoteAddr = netip.AddrPortFrom(visitor, 0).String()
	if r.TLS == nil && r.Header.Get("X-Forwarded-Proto") == "https" {
		r.TLS = new(tls.ConnectionState) // that there was TLS is all that is asked
	}
	return r
}
