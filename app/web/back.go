package web

import (
	"net/http"
	"net/url"
	"strings"

	"lockstep/components"
	"lockstep/counter"
)

// wayBack leads from a page that explains what went wrong to where the person came from: the page
// of the counter that the request was for, else the one that has sent it, else the lobby. All of
// them are below base.
func wayBack(r *http.Request, base string) components.Way {
	name, ok := counterIn(r.URL.Path)
	if !ok {
		name, ok = sender(r, base)
	}
	switch {
	case ok && isPage(r.Method) && r.URL.Path == pagePath(name):
		return components.Way{To: base + pagePath(name), Text: "Try again"}
	case ok && name != lobby:
		return components.Way{To: base + pagePath(name), Text: "Back to " + name}
	}
	return components.Way{To: base + pagePath(lobby), Text: "To the lobby"}
}

func isPage(method string) bool { return method == http.MethodGet || method == http.MethodHead }

// counterIn returns the counter whose page, or form, is at a path.
func counterIn(path string) (name string, ok bool) {
	if path == "/" {
		return lobby, true
	}
	rest, ok := strings.CutPrefix(path, "/c/")
	name, _, _ = strings.Cut(rest, "/")
	return name, ok && counter.ValidName(name)
}

// sender returns the counter whose page has sent the request, if one of this server has.
func sender(r *http.Request, base string) (name string, ok bool) {
	u, err := url.Parse(r.Referer())
	if err != nil || u.Host == "" || u.Host != r.Host {
		return "", false
	}
	path, below := strings.CutPrefix(u.Path, base)
	if !below {
		return "", false
	}
	return counterIn(path)
}

// canonical returns the name of a counter that was written with capitals.
func canonical(name string) (string, bool) {
	lower := strings.ToLower(name)
	return lower, lower != name && counter.ValidName(lower)
}

// meant returns what may have been meant with a name that is none: "my-kitchen" for "My kitchen!".
// "": nothing.
func meant(name string) string {
	var b strings.Builder
	for _, c := range []byte(strings.ToLower(name)) {
		switch {
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
			b.WriteByte(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() == 64 {
			break
		}
	}
	return strings.Trim(b.String(), "-")
}

// badName is the answer to a name that no counter has.
func badName(name, base string) error {
	p := *errBadName
	if other := meant(name); other != "" {
		p.other = components.Way{To: base + pagePath(other), Text: "Open " + other}
	}
	return &p
}
