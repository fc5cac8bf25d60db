package serve

import (
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"lockstep/internal/origin"
)

const (
	// originWarnings is how many refusals of origins are logged at once, and after that one in each
	// originWarningEvery: anybody can cause them.
	originWarnings     = 3
	originWarningEvery = time.Minute
	// maxLogged is how much of what a browser says of itself goes into the log, in bytes.
	maxLogged = 200
)

// notOurPage is what the owner of a server reads in the log when it refuses its own pages.
const notOurPage = "a page of another origin was refused; if origin is an address of this server, name it with -origins, " +
	"or have the proxy in front keep the Host header, or send X-Forwarded-Host and be one of -trusted-proxies"

// originsUnmet is what the owner reads if most pages are refused.
const originsUnmet = "most pages that connect or send a form are of another origin than that of this server, as it sees it, and are refused: " +
	"have the proxy keep Host, or send X-Forwarded-Host and X-Forwarded-Proto, or set -origins"

// origins decide which pages may open sockets and send forms: those of the hosts that the browser
// has asked by, and of the origins that are listed. They may be used concurrently.
type origins struct {
	// set once
	others  []string // patterns for origin.Site
	refused *refusals
	log     *slog.Logger

	warnings *rate.Limiter
	most     *majority // are refused
}

func newOrigins(others []string, refused *refusals, most *majority, log *slog.Logger) *origins {
	return &origins{others: others, refused: refused, log: log, warnings: rate.NewLimiter(rate.Every(originWarningEvery), originWarnings), most: most}
}

// site is where pages may come from that send a request. The Host header counts beside what a proxy
// says of it: a page can set neither for a socket or a form, and to a name that is not this
// server's -hosts is the answer.
func (o *origins) site(r *http.Request, who client) origin.Site {
	return origin.Site{Hosts: append(slices.Clone(who.hosts), r.Host), Secure: who.secure, Others: o.others}
}

// allow reports whether the page that opens a socket may, and warns if not.
func (o *origins) allow(r *http.Request, who client) bool {
	ours := o.site(r, who).Has(r)
	o.most.count(!ours)
	if ours {
		return true
	}
	o.warn(r, r.Header.Get("Origin"))
	return false
}

// vouches reports whether a form's Origin is of this server, though its host may not be the Host
// that this server is asked by. Where a browser says by Sec-Fetch-Site that it is not, only a
// listed one is.
func (o *origins) vouches(r *http.Request, who client) bool {
	values := r.Header.Values("Origin")
	if len(values) != 1 {
		return false
	}
	site := o.site(r, who)
	return site.Lists(values[0]) || r.Header.Get("Sec-Fetch-Site") == "" && site.HasOrigin(values[0])
}

// warn tells the log of a page that was refused.
func (o *origins) warn(r *http.Request, from string) {
	if o.warnings.Allow() {
		o.log.Warn(notOurPage, "origin", cut(from), "host", cut(r.Host), "path", cut(r.URL.Path))
	}
}

func cut(s string) string { return s[:min(len(s), maxLogged)] }

// problemHeader has a sentence for the page that asks, which it shows.
const problemHeader = "Lockstep-Problem"

// explain returns the reason why sockets of the page that asks are refused, or nil: pages ask the
// address of their socket by HTTP, because a refused socket has no words. Browsers say no Origin
// then, but where they come from.
func (o *origins) explain(r *http.Request, who client) *Problem {
	from, err := url.Parse(r.Referer())
	if err != nil || from.Host == "" || o.site(r, who).HasOrigin(from.Scheme+"://"+from.Host) {
		return nil
	}
	return foreignPage(from.Scheme+"://"+from.Host, r.Host)
}

// foreignPage is what a person sees of a page that was refused. Who runs the server finds more in
// its log.
func foreignPage(from, host string) *Problem {
	return problem(http.StatusMisdirectedRequest, "This page has another address than its server",
		"This page is from "+cut(from)+", and the server is asked as "+cut(host)+
			": what stands between them changes the name, and the server must be told. Its log says how.")
}

// sameOrigin is the middleware that refuses requests that change something and come from a page of
// another origin, by Sec-Fetch-Site and Origin (net/http).
func (o *origins) sameOrigin(next handler) handler {
	check := http.NewCrossOriginProtection()
	return func(w http.ResponseWriter, r *http.Request) error {
		ours := o.vouches(r, clientOf(r)) || check.Check(r) == nil
		o.most.count(!ours)
		if !ours {
			o.refused.origin.Add(1)
			from := r.Header.Get("Origin")
			o.warn(r, from)
			return problem(http.StatusForbidden, "This form came from another site",
				"For your safety it was not accepted. Open the page here and try again. (It came from a page of "+
					cut(from)+", and this server is asked as "+cut(r.Host)+".)")
		}
		return next(w, r)
	}
}
