package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"lockstep/app"
)

// ValidBasePath reports whether a path can be that below which a server is reached: "" for none, or
// segments of letters, digits and "-._", as in "/shop/counter". It ends without a slash, and stands
// in pages and cookies as it is. It does not begin as the server's own addresses do: nobody could
// tell whether a proxy has taken it off.
func ValidBasePath(path string) bool {
	if path == "" {
		return true
	}
	if first, _, _ := strings.Cut(path[1:], "/"); path[0] != '/' || slices.Contains(ownPaths(), first) {
		return false
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		if strings.Trim(segment, ".") == "" || strings.IndexFunc(segment, notInBasePath) >= 0 {
			return false
		}
	}
	return true
}

// ownPaths are the first segments of all addresses that are routed.
func ownPaths() []string {
	own := []string{"ws", "static", "wasm", "healthz", "readyz", "favicon.ico", manifestFile}
	for _, kind := range app.KindNames() {
		own = append(own, app.Prefix(kind))
	}
	return own
}

func notInBasePath(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._", r)
}

// below is the middleware that takes the base path off a request, before it is routed: some proxies
// leave it on and some do not, and each is right. It comes after identify.
func below(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r, base := c.Request(), clientOf(c).base
		if base != "" && (r.URL.Path == base || strings.HasPrefix(r.URL.Path, base+"/")) {
			whole := r.URL
			r.URL = withoutPrefix(whole, base) // Echo routes by the request that it was given, and by no copy
			defer func() { r.URL = whole }()   // the caller may log it
		}
		return next(c)
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

// moved leads to another address of the server for good. A cache must ask again: the base path may
// be what a client has made a proxy say, and is not for others.
func moved(c echo.Context, path string) error {
	c.Response().Header().Set("Cache-Control", "no-cache")
	return c.Redirect(http.StatusMovedPermanently, clientOf(c).base+path)
}
