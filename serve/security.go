package serve

import (
	"net/http"
	"slices"
	"strings"
)

// contentSecurityPolicy lets a page run and load what this server ships and
// nothing else: no inline script or style, no frame, no foreign form target,
// and no text that becomes HTML or a script but by way of htmx.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; " + CommonPolicy + "; " + noAncestors + "; " + TrustedTypes

// noAncestors is the part of it that lets nobody show a page in a frame.
const noAncestors = "frame-ancestors 'none'"

// CommonPolicy is the part of a Content-Security-Policy that all pages have.
const CommonPolicy = "connect-src 'self'; style-src 'self'; img-src 'self' data:; manifest-src 'self'; base-uri 'none'; form-action 'self'"

// TrustedTypes is one that has browsers refuse text in all places where it would be run or
// parsed, but for what has passed one of these policies: htmx is that of
// static/live.js, and lockstep that of the scripts that start a worker.
const TrustedTypes = "require-trusted-types-for 'script'; trusted-types htmx lockstep"

// WorkerPolicy is the Content-Security-Policy of the worker that runs WebAssembly: a worker has its
// own policy, that of its script.
const WorkerPolicy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'"

// hsts has browsers come by TLS only, for a year.
const hsts = "max-age=31536000"

// isLocal reports whether a Host header names the browser's own machine.
func isLocal(host string) bool { return isHost([]string{"localhost", "127.0.0.1", "::1"}, host) }

// AllowFrames lets a page, whose response has these headers, show pages of its own server in
// frames, and of some other origins ("http://localhost:8001"). It is called before the page is sent.
func AllowFrames(h http.Header, origins ...string) {
	h.Set("Content-Security-Policy", h.Get("Content-Security-Policy")+"; frame-src 'self'"+spaced(origins))
}

// AllowFramedBy lets pages of its own server, and of some other origins, show a page in a frame. No
// page may be shown so without it: who sees a page in a frame may be led to click what they don't
// see. It is called before the page is sent.
func AllowFramedBy(h http.Header, origins ...string) {
	h.Set("Content-Security-Policy", strings.Replace(h.Get("Content-Security-Policy"), noAncestors, "frame-ancestors 'self'"+spaced(origins), 1))
	h.Del("X-Frame-Options") // it knows no list of origins
}

// spaced has a space before each.
func spaced(origins []string) string {
	var b strings.Builder
	for _, one := range origins {
		b.WriteString(" " + one)
	}
	return b.String()
}

// secureHeaders is the middleware that sets the headers that every response carries.
func secureHeaders(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		h := w.Header()
		h.Set("Content-Security-Policy", contentSecurityPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		// Not no-referrer: browsers would then send "Origin: null" with forms.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("X-Frame-Options", "DENY") // for browsers that don't know frame-ancestors
		// Not for localhost: the promise would hold for every program on all its ports.
		if who := clientOf(r); who.secure && !slices.ContainsFunc(who.hosts, isLocal) {
			h.Set("Strict-Transport-Security", hsts)
		}
		return next(w, r)
	}
}
