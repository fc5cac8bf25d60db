package web

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"lockstep/internal/limit"
)

// A client is the sender of a request, as far as it can be known.
type client struct {
	// addr is the browser's address, or that of the first proxy that is not trusted. Not valid:
	// the connection has none.
	addr netip.Addr
	// proxied: the request came through a trusted proxy, not from one.
	proxied bool
	// secure: the browser speaks TLS, to this server or to a trusted proxy.
	secure bool
}

// clientKey is where identify puts the client in the request's context.
const clientKey = "client"

// clientOf returns what identify has found out.
func clientOf(c echo.Context) client {
	who, _ := c.Get(clientKey).(client)
	return who
}

// clients find out who sends a request. They may be used concurrently.
type clients struct {
	// set once
	trusted   []netip.Prefix                 // proxies
	forwarded func(*http.Request) netip.Addr // for whom one of them speaks
	log       *slog.Logger

	warning sync.Once
}

func newClients(proxies []netip.Prefix, log *slog.Logger) *clients {
	return &clients{trusted: proxies, forwarded: ForwardedFor(proxies), log: log}
}

// identify is the middleware that tells all behind it who sends a request. It believes only what
// trusted proxies say, because everybody can say it: it removes the headers of others, so that
// nothing behind believes them by mistake.
func (cs *clients) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		peer := remoteAddr(r)
		who := client{addr: peer, secure: r.TLS != nil}
		if limit.Contains(cs.trusted, peer) {
			who.proxied = r.Header.Get(echo.HeaderXForwardedFor) != ""
			who.addr = cs.forwarded(r)
			who.secure = who.secure || r.Header.Get(echo.HeaderXForwardedProto) == "https"
		} else if stripForwarded(r.Header) {
			cs.warnOfProxy(peer)
		}
		c.Set(clientKey, who)
		return next(c)
	}
}

// warnOfProxy says once that a peer that is not trusted speaks for others: a forger, or a proxy
// that was forgotten in the configuration. Then all its clients share the limits of one address.
func (cs *clients) warnOfProxy(peer netip.Addr) {
	cs.warning.Do(func() {
		cs.log.Warn("forwarding headers are ignored: the peer is not a trusted proxy", "peer", peer.String())
	})
}

// ForwardedFor returns a function that says from whom a trusted proxy has a request: the last
// address in X-Forwarded-For that is not of another trusted one, because each appends the address
// that it has the request from; the proxy's own where that can't be told. The function may be
// called concurrently.
func ForwardedFor(proxies []netip.Prefix) func(*http.Request) netip.Addr {
	trust := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range proxies {
		bits := p.Addr().BitLen()
		trust = append(trust, echo.TrustIPRange(&net.IPNet{IP: p.Masked().Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), bits)}))
	}
	extract := echo.ExtractIPFromXFFHeader(trust...)
	return func(r *http.Request) netip.Addr {
		a, err := netip.ParseAddr(extract(r))
		if err != nil {
			return remoteAddr(r)
		}
		return a
	}
}

func remoteAddr(r *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(r.RemoteAddr) // not valid: not an Internet address
	return ap.Addr().Unmap()
}

// stripForwarded removes the headers in which a proxy speaks for others. It reports whether there
// was one.
func stripForwarded(h http.Header) (found bool) {
	for name := range h {
		if name == "Forwarded" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-") {
			h.Del(name)
			found = true
		}
	}
	return found
}
