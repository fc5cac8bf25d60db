// Package web serves the application over HTTP: pages, forms, websockets and
// health. It is the only package that knows Echo, so that another version or
// another router is a change of one package; what it serves is in package
// app.
package web

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"lockstep/app"
	"lockstep/components"
	"lockstep/counter"
	"lockstep/live"
	"lockstep/live/wslive"
	"lockstep/static"
)

// home is the counter at "/".
const home = "lobby"

// readyTimeout bounds what /readyz asks the store: an orchestrator's probe
// waits for a second.
const readyTimeout = 800 * time.Millisecond

// maxForm is the largest body of a request, in bytes.
const maxForm = "16K"

// Options of a Server. Zero values are the defaults.
type Options struct {
	Logger *slog.Logger // nil: discard
	// Secret signs cookies and forms; it must be equal on all replicas. Empty:
	// a random one, for one replica.
	Secret []byte
	// Version is shown on the page.
	Version string
}

// A Server answers the public address of one replica.
type Server struct {
	app     *app.App
	assets  *static.Assets
	sign    signer
	log     *slog.Logger
	version string
	sockets *wslive.Handler
	shells  *shells
	loader  func() (loader, error) // made once
	echo    *echo.Echo
}

// New returns a server for an application that has been started.
func New(a *app.App, assets *static.Assets, opts *Options) *Server {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if len(o.Secret) == 0 {
		o.Secret = []byte(randomID())
	}
	s := &Server{app: a, shells: newShells(), assets: assets, sign: signer{o.Secret}, log: o.Logger, version: o.Version}
	s.loader = sync.OnceValues(func() (loader, error) { return loaderHere(assets) })
	s.sockets = wslive.NewHandler(a.Runtime(), s.view, &wslive.Options{Logger: o.Logger})
	s.echo = s.routes()
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// Close ends the websockets that are left, and their goroutines; stop the
// application before.
func (s *Server) Close() { s.sockets.Close() }

func (s *Server) routes() *echo.Echo {
	e := echo.New()
	e.HTTPErrorHandler = s.fail
	e.Use(secure, middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: s.panicked}))

	get := func(path string, h echo.HandlerFunc) { e.Match([]string{http.MethodGet, http.MethodHead}, path, h) }
	get("/", func(c echo.Context) error { return s.page(c, home) })
	get("/c/:name", s.counter)
	get("/c", s.open)
	e.POST("/c/:name/:action", s.click, sameOrigin, middleware.BodyLimit(maxForm))
	e.GET("/ws/c/:name", s.socket)
	get("/healthz", func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") })
	get("/readyz", s.ready)
	get("/static/*", s.static)
	get("/wasm", func(c echo.Context) error { return c.Redirect(http.StatusMovedPermanently, "/wasm/") })
	get("/wasm/", s.load)
	get("/wasm/sw.js", s.keeper)
	get("/wasm/static/*", s.static)
	get("/favicon.ico", func(c echo.Context) error {
		return c.Redirect(http.StatusMovedPermanently, s.assets.URL("favicon.svg"))
	})
	return e
}

// counter serves the page of the counter in the path.
func (s *Server) counter(c echo.Context) error {
	name := c.Param("name")
	if !counter.ValidName(name) {
		return errBadName
	}
	return s.page(c, name)
}

// open leads from the little form of the page to the counter it names.
func (s *Server) open(c echo.Context) error {
	name := strings.ToLower(strings.TrimSpace(c.QueryParam("name")))
	if !counter.ValidName(name) {
		return errBadName
	}
	return c.Redirect(http.StatusSeeOther, "/c/"+name)
}

func (s *Server) page(c echo.Context, name string) error {
	session := s.sign.ensure(c.Response(), c.Request())
	p := s.app.CounterPage(c.Request().Context(), name)
	p.Socket = "/ws/c/" + name
	p.Links = components.Links{
		Home: "/", Open: "/c", Click: "/c/" + name + "/",
		Twin: "/wasm/?name=" + name, TwinText: "Run it all in this browser",
	}
	p.Script, p.Style, p.Icon = s.assets.URL("app.js"), s.assets.URL("app.css"), s.assets.URL("favicon.svg")
	p.Renderer = components.Renderer{
		Script: s.assets.URL("replica.js"), Worker: s.assets.URL("worker.js"), Program: s.assets.URL("lockstep.wasm"),
	}
	p.CSRF = s.sign.token(session)
	p.Version = s.version
	for i := range p.Ops {
		p.Ops[i] = randomID()
	}
	html, err := s.shells.page(c.Request().Context(), p)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-cache")
	return c.HTMLBlob(http.StatusOK, html)
}

// click is a button without JavaScript: it counts and leads back to the page.
func (s *Server) click(c echo.Context) error {
	name, action := c.Param("name"), c.Param("action")
	if !counter.ValidName(name) {
		return errBadName
	}
	session, ok := s.sign.session(c.Request())
	if !ok || !s.sign.validToken(session, c.FormValue("_csrf")) {
		return problem(http.StatusForbidden, "This form is too old",
			"It was not accepted, and nothing was counted. Reload the page and try again.")
	}
	op := c.FormValue("_op")
	if op == "" {
		op = randomID()
	}
	if err := s.app.Click(c.Request().Context(), name, action, op); err != nil {
		return clickProblem(err)
	}
	return c.Redirect(http.StatusSeeOther, path(name))
}

// clickProblem is the answer to a click that was not counted.
func clickProblem(err error) error {
	var refusal *app.Refusal
	switch {
	case !errors.As(err, &refusal):
		return err
	case refusal.Retry:
		return problem(http.StatusServiceUnavailable, "Not counted yet",
			"The count can't be saved at the moment. Go back and try again in a little while.")
	case errors.Is(err, counter.ErrOverflow):
		return problem(http.StatusConflict, "Not counted", "The count is at its limit.")
	}
	return problem(http.StatusBadRequest, "Not counted", "The server did not accept this: "+refusal.Reason+".")
}

// path is the address of a counter's page.
func path(name string) string {
	if name == home {
		return "/"
	}
	return "/c/" + name
}

// socket serves the websocket of the counter in the path.
func (s *Server) socket(c echo.Context) error {
	if !counter.ValidName(c.Param("name")) {
		return errBadName
	}
	r := c.Request()
	r.SetPathValue("name", c.Param("name"))
	s.sockets.ServeHTTP(c.Response(), r)
	return nil
}

func (s *Server) view(r *http.Request) live.View {
	// A copy: the name is a part of the request, which would live as long as the tab.
	return s.app.Counter(strings.Clone(r.PathValue("name")))
}

// ready tells a balancer whether to send tabs here, and people why not.
func (s *Server) ready(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), readyTimeout)
	defer cancel()
	c.Response().Header().Set("Cache-Control", "no-store")
	if err := s.app.Ready(ctx); err != nil {
		return c.String(http.StatusServiceUnavailable, "not ready\n"+err.Error()+"\n")
	}
	return c.String(http.StatusOK, "ready\n")
}

// static serves the assets. Their names contain a hash of their content, so
// they may be kept for ever.
func (s *Server) static(c echo.Context) error {
	r, h := c.Request(), c.Response().Header()
	path := strings.TrimPrefix(r.URL.Path, "/wasm")
	f, ok := s.assets.Open(path, r.Header.Get("Accept-Encoding"))
	if !ok {
		return errNotFound
	}
	if path == s.assets.URL("worker.js") {
		h.Set("Content-Security-Policy", workerPolicy)
	}
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", f.ETag)
	if r.Header.Get("If-None-Match") == f.ETag {
		return c.NoContent(http.StatusNotModified)
	}
	if f.Encoding != "" {
		h.Set("Content-Encoding", f.Encoding)
	}
	return c.Blob(http.StatusOK, f.ContentType, f.Body)
}
