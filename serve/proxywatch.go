package serve

import (
	"net/http"
	"net/netip"

	"lockstep/internal/limit"
	"lockstep/precondition"
)

// A ProxyWatch finds out whether the proxies in front of a public listener are those that are
// trusted, and say what they must: it looks at where most requests come from. It may be used
// concurrently. Nil watches nothing.
type ProxyWatch struct {
	// set once
	trusted   []netip.Prefix
	strangers *majority // proxies that are not trusted
	silent    *majority // trusted ones that don't say for whom they ask
}

// NewProxyWatch returns a watch that knows the trusted proxies, and tells a part of what is not
// met; nil: nobody.
func NewProxyWatch(trusted []netip.Prefix, part *precondition.Part) *ProxyWatch {
	return &ProxyWatch{
		trusted: trusted,
		strangers: newMajority(part, "", "proxy_trusted",
			"most requests come by a proxy that is not one of -trusted-proxies, so what it says is ignored: all visitors share the limits of one address, and TLS is not seen; name its address there"),
		silent: newMajority(part, "", "proxy_forwarded_for",
			"most browsers come by a trusted proxy that does not say for whom it asks: all visitors share the limits of one address; have it set X-Forwarded-For and X-Forwarded-Proto"),
	}
}

// See looks at a request as it has come. Probes are nobody's visit, and requests that no browser
// sends may well come from within, by no proxy.
func (w *ProxyWatch) See(r *http.Request) {
	if w == nil || isProbe(r) {
		return
	}
	if !limit.Contains(w.trusted, remoteAddr(r)) {
		w.strangers.count(isForwarded(r.Header))
		return
	}
	w.strangers.count(false)
	if r.Header.Get("Accept-Language") != "" {
		w.silent.count(len(r.Header["X-Forwarded-For"]) == 0 && len(r.Header["Forwarded"]) == 0)
	}
}

// isForwarded reports whether somebody speaks for others.
func isForwarded(h http.Header) bool {
	for name := range h {
		if speaksForOthers(name) {
			return true
		}
	}
	return false
}
