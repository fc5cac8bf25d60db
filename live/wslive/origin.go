package wslive

import (
	"net/http"
	"net/url"
	"path"
	"strings"
)

// Allows reports whether the page that sends a request may connect, for another
// transport beside this one. It may be called concurrently.
func (h *Handler) Allows(r *http.Request) bool { return h.allows(r) }

// allows reports whether the page that sends a request may connect: one of the
// own host or of Options.Origins (RFC 6455 §10.2). Browsers say of each where it
// comes from, and pages can't change that. The library's own check lets in what
// has the right host in it, whatever else it has.
func (h *Handler) allows(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true // not a browser
	}
	if len(origins) > 1 {
		return false
	}
	origin, ok := parseOrigin(origins[0])
	if !ok {
		return false
	}
	return ownOrigin(origin, r) || h.listed(origin)
}

// parseOrigin takes an origin as browsers write it (RFC 6454 §6.2), and nothing
// that has more to it. "null", which is what sandboxes and files say, is none.
func parseOrigin(s string) (*url.URL, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, false
	}
	bare := url.URL{Scheme: u.Scheme, Host: u.Host}
	return u, strings.EqualFold(bare.String(), s)
}

// ownOrigin reports whether a page comes from where it connects to. The scheme
// is known only if TLS ends here; otherwise a proxy may have taken it off.
func ownOrigin(origin *url.URL, r *http.Request) bool {
	if r.TLS != nil && origin.Scheme != "https" {
		return false
	}
	return hostOf(origin.Scheme, origin.Host) == hostOf(origin.Scheme, r.Host)
}

// hostOf returns a host in lower case and without the port that its scheme has
// anyway.
func hostOf(scheme, host string) string {
	port := map[string]string{"http": ":80", "https": ":443"}[scheme]
	return strings.TrimSuffix(strings.ToLower(host), port)
}

func (h *Handler) listed(origin *url.URL) bool {
	for _, pattern := range h.opts.Origins {
		target := origin.Host
		if strings.Contains(pattern, "://") {
			target = origin.Scheme + "://" + origin.Host
		}
		if ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(target)); err == nil && ok {
			return true
		}
	}
	return false
}
