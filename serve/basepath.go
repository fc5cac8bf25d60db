package serve

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// ValidBasePath reports whether a path can be that below which a server is reached: "" for none, or
// segments of letters, digits and "-._", as in "/shop/counter". It ends without a slash, and stands
// in pages and cookies as it is. It does not begin with a segment that the server's own addresses
// begin with, which own are: nobody could tell whether a proxy has taken it off.
func ValidBasePath(path string, own ...string) bool {
	if path == "" {
		return true
	}
	if first, _, _ := strings.Cut(path[1:], "/"); path[0] != '/' || slices.Contains(own, first) {
		return false
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		if strings.Trim(segment, ".") == "" || strings.IndexFunc(segment, notInBasePath) >= 0 {
			return false
		}
	}
	return true
}

func notInBasePath(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._", r)
}

// withoutBase is the middleware that takes the base path off a request, before it is routed: some
// proxies leave it on and some do not, and each is right. It comes after identify.
func withoutBase(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		base := clientOf(r).base
		if base != "" && (r.URL.Path == base || strings.HasPrefix(r.URL.Path, base+"/")) {
			short := *r // the caller may log its own
			short.URL = withoutPrefix(r.URL, base)
			r = &short
		}
		return next(w, r)
	}
}

// withoutPrefix returns a URL without a path that it begins with.
func withoutPrefix(u *url.URL, prefix string) *url.URL {
	short := *u
	short.Path = "/" + strings.TrimPrefix(u.Path[len(prefix):], "/")
	short.RawPath = ""
	if raw, ok := strings.CutPrefix(u.RawPath, prefix); ok && u.RawPath != "" {
		short.RawPath = "/" + strings.TrimPrefix(raw, "/")
	}
	return &short
}
