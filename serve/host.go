package serve

import (
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// hosts are the names that a server answers to. They may be used concurrently.
type hosts struct {
	// set once
	names   []string // none: all
	refused *refusals
	log     *slog.Logger

	warnings *rate.Limiter
	most     *majority // are refused
}

// hostWarningEvery is how often refusals of hosts are logged, at most: anybody can cause them, and
// those who scan the Internet do.
const hostWarningEvery = 10 * time.Minute

// hostsUnmet is what the owner of a server reads that refuses most requests.
const hostsUnmet = "most requests are for a name that is not one of -hosts, and are refused: add the names that visitors use, and the one that a proxy asks by"

func newHosts(names []string, refused *refusals, most *majority, log *slog.Logger) *hosts {
	return &hosts{names: names, refused: refused, log: log, warnings: rate.NewLimiter(rate.Every(hostWarningEvery), 1), most: most}
}

// known is the middleware that refuses requests for a host that is not this server's: a page whose
// name its owner lets point here (DNS rebinding) is of the same origin, as browsers see it. Where a
// proxy asks by another name than the browser, both must be known: not all proxies say the
// browser's, and some let it say that itself. Probes may come by any: an orchestrator asks by
// address.
func (hs *hosts) known(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if len(hs.names) == 0 || isProbe(r) {
			return next(w, r)
		}
		known := hs.knows(r)
		hs.most.count(!known)
		if known {
			return next(w, r)
		}
		hs.refused.host.Add(1)
		hs.warn(r)
		return problem(http.StatusMisdirectedRequest, "Not this server", "This server does not serve that host name.")
	}
}

// knows reports whether all names are known that a request came by.
func (hs *hosts) knows(r *http.Request) bool {
	if !isHost(hs.names, r.Host) {
		return false
	}
	return !slices.ContainsFunc(clientOf(r).hosts, func(name string) bool { return !isHost(hs.names, name) })
}

// warn tells the log of a request that was refused.
func (hs *hosts) warn(r *http.Request) {
	if hs.warnings.Allow() {
		hs.log.Warn("a request for a host that is not one of -hosts was refused; if it is a name of this server, add it, and the name that a proxy asks by too",
			"host", cut(r.Host), "forwarded", cut(strings.Join(clientOf(r).hosts, ", ")))
	}
}

// isHost reports whether a Host header, with or without a port, is one of names.
func isHost(names []string, header string) bool {
	host := hostOf(header)
	for _, name := range names {
		if strings.EqualFold(strings.Trim(name, "[]"), host) {
			return true
		}
	}
	return false
}

// hostOf returns a Host header without its port, without the brackets of an IPv6 address, and
// without the dot that may end a name.
func hostOf(header string) string {
	host, _, err := net.SplitHostPort(header)
	if err != nil {
		host = header
	}
	return strings.TrimSuffix(strings.Trim(host, "[]"), ".")
}
