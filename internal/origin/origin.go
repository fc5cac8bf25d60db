// Package origin decides whether the page that sends a request is one of the own site. It knows
// headers of browsers and nothing of what is asked for.
package origin

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// Site is where the pages of a site come from, for one request.
type Site struct {
	// Hosts are the names, with ports, by which the browser may have asked.
	Hosts []string
	// Secure: it is known that the browser speaks TLS, so that a page without is another origin's.
	// Otherwise a proxy may have taken it off.
	Secure bool
	// Others are patterns of other origins that belong to the site, as in path.Match:
	// "*.example.com" for hosts, "https://*.example.com" for one scheme.
	Others []string
}

// Has reports whether the page that sends a request is of the site (RFC 6455 §10.2). Browsers say
// of each where it comes from, and pages can't change that. A request without Origin is nobody's
// page.
func (s Site) Has(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	return len(origins) == 0 || len(origins) == 1 && s.HasOrigin(origins[0])
}

// HasOrigin reports whether an origin, as browsers write it, is of the site. "null", which is what
// sandboxes and files say, is none.
func (s Site) HasOrigin(text string) bool {
	u, ok := parse(text)
	return ok && (s.own(u) || s.Lists(text))
}

// Lists reports whether an origin is one of Others.
func (s Site) Lists(text string) bool {
	u, ok := parse(text)
	return ok && slices.ContainsFunc(s.Others, func(pattern string) bool {
		target := u.Host
		if strings.Contains(pattern, "://") {
			target = u.Scheme + "://" + u.Host
		}
		matched, err := path.Match(strings.ToLower(pattern), strings.ToLower(target))
		return err == nil && matched
	})
}

// own reports whether a page comes from where it connects to.
func (s Site) own(u *url.URL) bool {
	if s.Secure && u.Scheme != "https" {
		return false
	}
	return slices.ContainsFunc(s.Hosts, func(host string) bool {
		return hostOf(u.Scheme, u.Host) == hostOf(u.Scheme, host)
	})
}

// parse takes an origin as browsers write it (RFC 6454 §6.2), and nothing that has more to it.
func parse(s string) (*url.URL, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, false
	}
	bare := url.URL{Scheme: u.Scheme, Host: u.Host}
	return u, strings.EqualFold(bare.String(), s)
}

// hostOf returns a host in lower case and without the port that its scheme has anyway.
func hostOf(scheme, host string) string {
	port := map[string]string{"http": ":80", "https": ":443"}[scheme]
	return strings.TrimSuffix(strings.ToLower(host), port)
}

// errPattern says what ParsePattern takes.
var errPattern = errors.New("it lists origins as browsers write them, as in https://counter.example and https://*.example.com:8443")

// ParsePattern checks what a person writes to name an origin, or all of the hosts below a domain,
// and returns the pattern for Site.Others. A slash at its end is taken off.
func ParsePattern(text string) (string, error) {
	text = strings.TrimSuffix(text, "/")
	host := strings.Replace(text, "://*.", "://", 1)
	u, ok := parse(host)
	if !ok || strings.ContainsAny(host, `*?[]\`) && net.ParseIP(strings.Trim(u.Hostname(), "[]")) == nil {
		return "", errPattern
	}
	if strings.ContainsAny(u.Host, "[]") {
		if host != text {
			return "", errPattern // an address has nothing below it
		}
		text = strings.NewReplacer("[", `\[`, "]", `\]`).Replace(text) // to path.Match they would be a set
	}
	return strings.ToLower(text), nil
}
