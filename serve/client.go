package serve

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"sync"

	"lockstep/internal/limit"
)

// A client is the sender of a request, as far as it can be known.
type client struct {
	// addr is the browser's address, or that of the first proxy that is not trusted. Not valid:
	// the connection has none.
	addr netip.Addr
	// proxied: the request came through a trusted proxy, not from one.
	proxied bool
	// spokenFor: somebody who is not trusted has said for whom the request is.
	spokenFor bool
	// secure: the browser speaks TLS, to this server or to a trusted proxy.
	secure bool
	// hosts are the names by which the browser may have asked, with ports: Forwarded.Hosts.
	hosts []string
	// base is the path below which this server is reached: "" or as in ValidBasePath. Every address
	// that is sent to the browser begins with it.
	base string
}

// clientKey is where identify puts the client in the request's context.
type clientKey struct{}

// clientOf returns what identify has found out.
func clientOf(r *http.Request) client {
	who, _ := r.Context().Value(clientKey{}).(client)
	return who
}

// Local reports whether a request comes from this machine, as far as that can be told: its address
// is one of the loopback network, it was sent to localhost, and nobody says that it is for somebody
// else. A proxy on this machine that asks for localhost, and says nothing, makes everybody's
// requests local.
func Local(r *http.Request) bool {
	who := clientOf(r)
	return who.addr.IsLoopback() && !who.spokenFor && !slices.ContainsFunc(who.hosts, func(host string) bool { return !isLocal(host) })
}

// clients find out who sends a request. They may be used concurrently.
type clients struct {
	// set once
	trusted    []netip.Prefix // proxies
	forwarding Forwarding     // what they say
	base       string         // Options.BasePath
	watch      *ProxyWatch
	log        *slog.Logger

	warning sync.Once
}

func newClients(proxies []netip.Prefix, base string, watch *ProxyWatch, log *slog.Logger) *clients {
	return &clients{trusted: proxies, forwarding: NewForwarding(proxies), base: base, watch: watch, log: log}
}

// identify is the middleware that tells all behind it who sends a request. It believes only what
// trusted proxies say, because everybody can say it: it removes the headers of others, so that
// nothing behind believes them by mistake.
func (cs *clients) identify(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		cs.watch.See(r)
		peer := remoteAddr(r)
		who := client{addr: peer, secure: r.TLS != nil, hosts: []string{r.Host}, base: cs.base}
		if limit.Contains(cs.trusted, peer) {
			who = cs.behindProxies(r)
		} else if stripForwarded(r.Header) {
			who.spokenFor = true
			cs.warnOfProxy(peer)
		}
		return next(w, r.WithContext(context.WithValue(r.Context(), clientKey{}, who)))
	}
}

// behindProxies returns for whom trusted proxies speak. A base path that was configured stands
// above theirs.
func (cs *clients) behindProxies(r *http.Request) client {
	said := cs.forwarding.byProxies(r, Forwarded{Addr: remoteAddr(r), Secure: r.TLS != nil, Hosts: []string{r.Host}})
	who := client{addr: said.Addr, proxied: said.Proxied, secure: said.Secure, hosts: said.Hosts, base: cs.base}
	if who.base == "" {
		who.base = said.Prefix
	}
	return who
}

// warnOfProxy says once that a peer that is not trusted speaks for others: a forger, or a proxy
// that was forgotten in the configuration. Then all its clients share the limits of one address.
func (cs *clients) warnOfProxy(peer netip.Addr) {
	cs.warning.Do(func() {
		cs.log.Warn("forwarding headers are ignored: the peer is not a trusted proxy (-trusted-proxies)", "peer", peer.String())
	})
}
