// Package web serves the application over HTTP: pages, forms, websockets and
// health. It is the only package that knows Echo, so that another version or
// another router is a change of one package; what it serves is in package
// app.
package web

import (
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"lockstep/app"
	"lockstep/precondition"
	"lockstep/static"
)

// maxForm is the largest body of a request, in bytes.
const maxForm = "16K"

// Options of a Server. Zero values are the defaults.
type Options struct {
	Logger *slog.Logger // nil: discard
	// Keys sign cookies, forms and the addresses of sockets: the first signs, all
	// are believed, so that a key can be replaced. They must be equal on all
	// replicas. None: a random one, for one replica.
	Keys [][]byte
	// Version is shown on the page.
	Version string
	// TrustedProxies are the networks of the proxies whose X-Forwarded-For,
	// -Proto, -Host and -Prefix, or Forwarded, are believed. None: nobody's.
	TrustedProxies []netip.Prefix
	// Hosts are the names that the server answers to, without ports. None: all.
	Hosts []string
	// Origins are origins whose pages may open sockets and send forms, beside
	// those of the host that a request comes to: "https://counter.example", or
	// "https://*.counter.example" for all below. It is for proxies that change the
	// Host header. The cookie is SameSite=Lax: a page of another site comes
	// without a session.
	Origins []string
	// BasePath is the path below which the server is reached, as ValidBasePath
	// takes it. "": the root, or what a trusted proxy says in X-Forwarded-Prefix.
	// A request may come with it or without. New panics if it is not valid.
	BasePath string
	// Uploads serves the files of forms, below /uploads/: see package upload. Nil: pages take none.
	Uploads http.Handler
	// Limits bound what clients may take.
	Limits Limits
	// Proxies watches those in front of the server. Nil: nobody does.
	Proxies *ProxyWatch
	// Preconditions is told if most requests are refused, because the names that
	// they come by are not this server's. Nil: nobody.
	Preconditions *precondition.Part
}

// withDefaults returns the options with what is missing in them; nil is no options.
func (o *Options) withDefaults() Options {
	var all Options
	if o != nil {
		all = *o
	}
	if all.Logger == nil {
		all.Logger = slog.New(slog.DiscardHandler)
	}
	if len(all.Keys) == 0 {
		all.Keys = [][]byte{[]byte(randomID())}
	}
	all.Limits = all.Limits.withDefaults()
	return all
}

// A Server answers the public address of one replica. It may be used concurrently.
type Server struct {
	// set once
	app     *app.App
	assets  *static.Assets
	sockets *socketHandler
	plain   *plainHandler
	entries *entriesHandler
	refused *refusals
	uploads http.Handler // nil: there are none
	echo    *echo.Echo
}

// New returns a server for an application that has been started.
func New(a *app.App, assets *static.Assets, opts *Options) *Server {
	o := opts.withDefaults()
	if !ValidBasePath(o.BasePath) {
		panic("web: " + strconv.Quote(o.BasePath) + " is not a base path")
	}
	sign, refused := signer{o.Keys, time.Now}, new(refusals)
	limits := newLimiter(o.Limits, refused)
	from := newOrigins(o.Origins, refused, newMajority(o.Preconditions, a.Replica(), "proxy_origins", originsUnmet), o.Logger)
	names := newHosts(o.Hosts, refused, newMajority(o.Preconditions, a.Replica(), "proxy_hosts", hostsUnmet), o.Logger)
	s := &Server{app: a, assets: assets, refused: refused, uploads: o.Uploads, sockets: newSocketHandler(a, sign, limits, from, refused, o.Logger)}
	s.plain = newPlainHandler(s.sockets, o.Logger)
	z := newCompressor()
	problems := &problemPages{style: assets.URL("app.css"), icon: assets.URL("favicon.svg"), compressor: z, log: o.Logger}
	s.echo = echo.New()
	s.echo.HTTPErrorHandler = problems.fail
	s.echo.Pre(newClients(o.TrustedProxies, o.BasePath, o.Proxies, o.Logger).identify, below)
	s.echo.Use(secureHeaders,
		middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: problems.panicked}),
		deadlines(o.Limits.WriteTimeout), names.known, limits.slowed)
	s.entries = newEntriesHandler(a, limits, o.Logger)
	program := newProgramHandler(assets, z)
	s.route(program, &pageHandler{
		app: a, sign: sign, assets: assets, program: program, templates: newTemplates(), compressor: z, limiter: limits,
		refused: refused, version: o.Version, named: len(o.Hosts) > 0, uploads: o.Uploads != nil,
	})
	(&uploadHandler{o.Uploads, limits, refused, from}).route(s.echo)
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// Close ends the websockets and streams that are left, and their goroutines;
// stop the application before.
func (s *Server) Close() {
	s.plain.Close()
	s.sockets.Close()
}

// route gives each address its handler.
func (s *Server) route(program *programHandler, p *pageHandler) {
	get := func(path string, h echo.HandlerFunc) {
		s.echo.Match([]string{http.MethodGet, http.MethodHead}, path, h)
	}
	get("/", p.home)
	for _, kind := range app.KindNames() {
		path := "/" + app.Prefix(kind)
		get(path, p.open(kind))
		get(path+"/:name", p.page(kind))
		get(path+"/:name/", p.page(kind))
		s.echo.POST(path+"/:name/:do", p.act(kind), s.sockets.origins.sameOrigin, middleware.BodyLimit(maxForm))
	}
	for _, kind := range app.LogNames() {
		get("/"+app.Prefix(kind)+"/:name/entries", s.entries.serve(kind))
	}
	s.echo.GET("/ws/rooms", s.sockets.serve)
	s.echo.POST("/ws/rooms", s.plain.serve) // where there are no websockets

	get(livePath, alive)
	get(readyPath, (&readiness{ask: s.app.Ready}).serve)

	files := assetHandler{s.assets}
	get("/static/*", files.serve)
	get("/favicon.ico", files.icon)
	get("/"+manifestFile, files.manifest)
	get("/wasm/"+manifestFile, files.manifest)
	get("/wasm", func(c echo.Context) error { return moved(c, "/wasm/") })
	get("/wasm/", program.load)
	get("/wasm/sw.js", program.serviceWorker)
	get("/wasm/progress", program.progress)
	get("/wasm/static/*", files.serve)
}
