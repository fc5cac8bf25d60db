package web

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"

	"lockstep/internal/limit"
)

// A client is whoever sent a request, as far as that can be known.
type client struct {
	// addr is the browser's address, or that of the first proxy that is not
	// trusted. Not valid: the connection has none.
	addr netip.Addr
	// proxied: the request came through a trusted proxy, not from one.
	proxied bool
	// secure: the browser speaks TLS, to this server or to a trusted proxy.
	secure bool
}

// clientKey is where meet keeps the client in the request's context.
const clientKey = "client"

// clientOf returns what meet has found out.
func clientOf(c echo.Context) client {
	who, _ := c.Get(clientKey).(client)
	return who
}

// meet finds out who sends a request. What a proxy says is believed only of
// those that are trusted, because everybody can say it: of others the headers
// are taken away, so that nothing behind believes them by mistake.
func (s *Server) meet(next echo.HandlerFunc) echo.HandlerFunc {
	visitor := ForwardedFor(s.opts.TrustedProxies)
	return func(c echo.Context) error {
		r := c.Request()
		peer := remoteAddr(r)
		who := client{addr: peer, secure: r.TLS != nil}
		if limit.Contains(s.opts.TrustedProxies, peer) {
			who.proxied = r.Header.Get(echo.HeaderXForwardedFor) != ""
			who.addr = visitor(r)
			who.secure = who.secure || r.Header.Get(echo.HeaderXForwardedProto) == "https"
		} else if stripForwarded(r.Header) {
			s.warnOfProxy(peer)
		}
		c.Set(clientKey, who)
		return next(c)
	}
}

// ForwardedFor returns what tells from whom a trusted proxy has a request: the
// last address in X-Forwarded-For that is not of another trusted one, because
// each appends whom it has the request from; the proxy's own where that can't be
// told. What it returns may be called concurrently.
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

// stripForwarded takes away what a proxy would have said. It reports whether
// there was something.
func stripForwarded(h http.Header) (found bool) {
	for name := range h {
		if name == "Forwarded" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-") {
			h.Del(name)
			found = true
		}
	}
	return found
}

// warnOfProxy says once that somebody speaks for others who is not trusted: a
// forger, or a proxy that was forgotten in the configuration. Then all its
// visitors share the limits of one address.
func (s *Server) warnOfProxy(peer netip.Addr) {
	s.proxyWarning.Do(func() {
		s.log.Warn("forwarding headers are ignored: the peer is not a trusted proxy", "peer", peer.String())
	})
}

// known refuses requests for a host that is not this server's: a page whose
// name its owner lets point here (DNS rebinding) is of the same origin, as
// browsers see it. Probes may come by any: an orchestrator asks by address.
func (s *Server) known(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if len(s.opts.Hosts) > 0 && !isProbe(c.Request()) && !isHost(s.opts.Hosts, c.Request().Host) {
			s.refused.host.Add(1)
			return problem(http.StatusMisdirectedRequest, "Not this server", "This server does not serve that host name.")
		}
		return next(c)
	}
}

// isProbe reports whether a request asks how the server is, and nothing else.
func isProbe(r *http.Request) bool {
	return r.URL.Path == "/healthz" || r.URL.Path == "/readyz"
}

// isHost reports whether a Host header, with or without a port, is one of
// names.
func isHost(names []string, header string) bool {
	host := hostOf(header)
	for _, name := range names {
		if strings.EqualFold(strings.Trim(name, "[]"), host) {
			return true
		}
	}
	return false
}

// hostOf returns a Host header without its port, and without the brackets of an
// IPv6 address.
func hostOf(header string) string {
	host, _, err := net.SplitHostPort(header)
	if err != nil {
		host = header
	}
	return strings.Trim(host, "[]")
}
