package web

import (
	"slices"

	"github.com/labstack/echo/v4"
)

// contentSecurityPolicy lets a page run and load what this server ships and
// nothing else: no inline script or style, no frame, no foreign form target,
// and no text that becomes HTML or a script but by way of htmx.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; " + common + "; frame-ancestors 'none'; " + trustedTypes

// common is the part of a policy that all pages have.
const common = "connect-src 'self'; style-src 'self'; img-src 'self' data:; manifest-src 'self'; base-uri 'none'; form-action 'self'"

// trustedTypes has browsers refuse text in all places where it would be run or
// parsed, but for what has passed one of these policies: htmx is that of
// static/live.js, and lockstep that of the scripts that start a worker.
const trustedTypes = "require-trusted-types-for 'script'; trusted-types htmx lockstep"

// bootMeta is that of the page that loads the application, and compiles
// WebAssembly; as much of it as a page may say itself, where no server does.
const bootMeta = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; " + common + "; " + trustedTypes

const bootPolicy = bootMeta + "; frame-ancestors 'none'"

// workerPolicy is that of the worker that runs WebAssembly: a worker has its own
// policy, that of its script.
const workerPolicy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'"

// hsts has browsers come by TLS only, for a year.
const hsts = "max-age=31536000"

// isLocal reports whether a Host header names the browser's own machine.
func isLocal(host string) bool { return isHost([]string{"localhost", "127.0.0.1", "::1"}, host) }

// secureHeaders is the middleware that sets the headers that every response carries.
func secureHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("Content-Security-Policy", contentSecurityPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		// Not no-referrer: browsers would then send "Origin: null" with forms.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("X-Frame-Options", "DENY") // for browsers that don't know frame-ancestors
		// Not for localhost: the promise would hold for every program on all its ports.
		if who := clientOf(c); who.secure && !slices.ContainsFunc(who.hosts, isLocal) {
			h.Set("Strict-Transport-Security", hsts)
		}
		return next(c)
	}
}
