// Package web serves the application over HTTP: its pages, and what package serve has for all
// applications. It is the only package that knows Echo, so that another version or another router
// is a change of one package; what it serves is in package app.
package web

//go:generate ../../bin/templ generate -include-version=false

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"lockstep/app"
	"lockstep/app/pages"
	"lockstep/components/gallery"
	"lockstep/live"
	"lockstep/serve"
	"lockstep/serve/ops"
	"lockstep/static"
)

// Options of a Server. Zero values are the defaults.
type Options struct {
	// Options of what is served under all pages; Mount and Problem are set by New.
	serve.Options
	// Version is shown on the page.
	Version string
	// Gallery is what is live in the gallery; nil: nothing is.
	Gallery *Gallery
	// Ops is the page of the replicas; nil: there is none.
	Ops *ops.Ops
	// Front is the port of the balancer in front of Siblings, and Siblings are the replicas behind
	// it, this one too, where browsers reach each by a port of its own. None: they don't.
	Front    int
	Siblings []Sibling
	// Break is how people break replicas on purpose; nil: nobody does.
	Break *Break
}

// A Server answers the public address of one replica. It may be used concurrently.
type Server struct {
	*serve.Server

	front http.Handler
}

// New returns a server for an application that has been started. It panics with what is wrong with
// the options.
func New(a *app.App, assets *static.Assets, opts *Options) *Server {
	var o Options
	if opts != nil {
		o = *opts
	}
	o.Mount = "/"
	o.Options.Problem = func(r *http.Request, p *serve.Problem) live.Component { return problemPage(assets, r, p) }
	if !ValidBasePath(o.BasePath) {
		panic("web: " + strconv.Quote(o.BasePath) + " is not a base path")
	}
	s := serve.New(a.App, assets, &o.Options)
	return &Server{s, s.Around(newEcho(s, a, assets, &o))}
}

// newEcho returns what serves all addresses.
func newEcho(s *serve.Server, a *app.App, assets *static.Assets, o *Options) *echo.Echo {
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		if !c.Response().Committed {
			s.Fail(c.Response(), c.Request(), explained(err))
		}
	}
	program := newProgramHandler(assets, s)
	route(e, s, a, assets, program, &pageHandler{
		app: a, server: s, assets: assets, program: program, templates: newTemplates(),
		version: o.Version, named: len(o.Hosts) > 0, uploads: o.Uploads != nil, gallery: o.Gallery, ops: o.Ops,
		breakage: o.Break, front: o.Front, siblings: o.Siblings,
	})
	return e
}

// explained is an error of Echo's as one of package serve.
func explained(err error) error {
	var h *echo.HTTPError
	if errors.As(err, &h) {
		return serve.ProblemOf(h.Code)
	}
	return err
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.front.ServeHTTP(w, r) }

// route gives each address its handler.
func route(e *echo.Echo, s *serve.Server, a *app.App, assets *static.Assets, program *programHandler, p *pageHandler) {
	get := func(path string, h echo.HandlerFunc) {
		e.Match([]string{http.MethodGet, http.MethodHead}, path, h)
	}
	get("/", p.home)
	for _, kind := range app.KindNames() {
		path := "/" + app.Prefix(kind)
		get(path, p.open(kind))
		get(path+"/:name", p.page(kind))
		get(path+"/:name/", p.page(kind))
		e.POST(path+"/:name/:do", p.act(kind), echo.WrapMiddleware(s.Accept))
	}
	for _, kind := range a.Logs() {
		prefix := "/" + app.Prefix(kind) + "/"
		get(prefix+":name/entries", echo.WrapHandler(s.Entries(func(r *http.Request) string {
			return kind + ":" + strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, prefix), "/entries")
		})))
	}
	own := echo.WrapHandler(s)
	for _, path := range []string{"/ws/rooms", "/static/*", "/healthz", "/readyz", "/readyz/draining"} {
		get(path, own)
	}
	e.POST("/ws/rooms", own)
	e.POST(doAt, own)
	if p.uploads {
		e.Any(uploadsPath+"*", own)
		// From a page that a form was answered with, which is one folder below the others.
		get("/signup"+uploadsPath+":id", func(c echo.Context) error { return moved(c, uploadsPath+c.Param("id")) })
	}

	if p.breakage != nil {
		get(historyPath, p.breakage.history)
	}

	get("/gallery", echo.WrapHandler(s.Page(func(*http.Request) templ.Component { return gallery.Page(p.gallery.component()) },
		serve.PageOptions{
			Title:       "Gallery · Lockstep",
			Description: gallery.Description,
		})))

	if p.ops != nil {
		e.Match([]string{http.MethodGet, http.MethodHead, http.MethodPost}, ops.DefaultPath, echo.WrapHandler(p.ops.Handler(s)))
	}

	book := newBook(s, assets)
	get("/docs", func(c echo.Context) error { return moved(c, "/docs/") })
	get("/docs/*", echo.WrapHandler(http.StripPrefix("/docs", book)))

	get("/share.svg", p.code)
	get("/split", p.split)

	files := manifestHandler{assets}
	get("/favicon.ico", func(c echo.Context) error { return moved(c, assets.URL("favicon.svg")) })
	get("/"+manifestFile, files.manifest)
	get("/wasm/"+manifestFile, files.manifest)
	get("/wasm", func(c echo.Context) error { return moved(c, "/wasm/") })
	get("/wasm/", program.load)
	get("/wasm/sw.js", program.serviceWorker)
	get("/wasm/progress", program.progress)
	get("/wasm/static/*", echo.WrapHandler(http.StripPrefix("/wasm", s)))
}

// doAt is where forms of the gallery go, without JavaScript: package serve has it.
const doAt = "/do"

// uploadsPath is where files go, below the base path. Pages know it: see pages.
const uploadsPath = "/uploads/"

// baseOf is the path below which the browser reaches this server.
func baseOf(c echo.Context) string { return serve.Base(c.Request()) }

// moved leads to another address of the server for good. A cache must ask again: the base path may
// be what a client has made a proxy say, and is not for others.
func moved(c echo.Context, path string) error {
	c.Response().Header().Set("Cache-Control", "no-cache")
	return c.Redirect(http.StatusMovedPermanently, baseOf(c)+path)
}

// ValidBasePath reports whether a path can be that below which the server is reached; see
// serve.ValidBasePath.
func ValidBasePath(path string) bool {
	own := []string{"ws", "do", "static", "wasm", "healthz", "readyz", "gallery", "ops", "docs", "break", "split", "share.svg", "favicon.ico", manifestFile}
	for _, kind := range app.KindNames() {
		own = append(own, app.Prefix(kind))
	}
	return serve.ValidBasePath(path, own...)
}

// problemPage is the page of a request that can't be answered otherwise.
func problemPage(assets *static.Assets, r *http.Request, p *serve.Problem) live.Component {
	base := serve.Base(r)
	page := pages.Problem{
		Status: p.Status, Title: p.Title, Text: p.Text, Home: base + "/",
		Style: base + assets.URL("app.css"), Icon: base + assets.URL("favicon.svg"),
		Back: wayBack(r, base), Other: pages.Way(p.Other), Again: pages.Again{To: p.Again.To},
	}
	for _, f := range p.Again.Fields {
		page.Again.Fields = append(page.Again.Fields, pages.Field(f))
	}
	return pages.ProblemPage(page)
}
