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
	"net/netip"
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
	// Keys sign cookies, forms and the addresses of sockets: the first signs, all
	// are believed, so that a key can be replaced. They must be equal on all
	// replicas. None: a random one, for one replica.
	Keys [][]byte
	// Version is shown on the page.
	Version string
	// TrustedProxies are the networks of those whose X-Forwarded-For and
	// X-Forwarded-Proto are believed. None: nobody's.
	TrustedProxies []netip.Prefix
	// Hosts are the names that the server answers to, without ports. None: all.
	Hosts []string
	// Limits bound what visitors may take.
	Limits Limits
}

// A Server answers the public address of one replica.
type Server struct {
	// set once
	app     *app.App
	assets  *static.Assets
	opts    Options
	sign    signer
	log     *slog.Logger
	sockets *wslive.Handler
	shells  *shells
	boot    func() (boot, error) // made once, when there is a program
	gates   gates
	echo    *echo.Echo

	refused      refusals
	readiness    readiness
	proxyWarning sync.Once
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
	if len(o.Keys) == 0 {
		o.Keys = [][]byte{[]byte(randomID())}
	}
	o.Limits = o.Limits.withDefaults()
	s := &Server{
		app: a, assets: assets, opts: o, log: o.Logger, shells: newShells(),
		sign: signer{o.Keys, time.Now}, gates: newGates(o.Limits),
	}
	s.boot = sync.OnceValues(func() (boot, error) { return bootHere(assets) })
	s.sockets = wslive.NewHandler(a.Runtime(), guestOf, &wslive.Options{
		Logger: o.Logger, PingInterval: o.Limits.PingInterval, PongTimeout: o.Limits.PongTimeout,
	})
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
	e.Use(s.meet, secure, middleware.RecoverWithConfig(middleware.RecoverConfig{LogErrorFunc: s.panicked}),
		s.hurried, s.known, s.slowed)

	get := func(path string, h echo.HandlerFunc) { e.Match([]string{http.MethodGet, http.MethodHead}, path, h) }
	get("/", func(c echo.Context) error { return s.page(c, home) })
	get("/c/:name", s.counter)
	get("/c", s.open)
	e.POST("/c/:name/:action", s.click, s.sameOrigin, middleware.BodyLimit(maxForm))
	e.GET("/ws/c/:name", s.socket)
	get("/healthz", func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") })
	get("/readyz", s.ready)
	get("/static/*", s.static)
	get("/wasm", func(c echo.Context) error { return c.Redirect(http.StatusMovedPermanently, "/wasm/") })
	get("/wasm/", s.load)
	get("/wasm/sw.js", s.serviceWorker)
	get("/wasm/progress", s.progress)
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
	id := s.sign.ensure(c.Response(), c.Request(), clientOf(c))
	p := s.app.CounterPage(c.Request().Context(), name)
	p.Socket = "/ws/c/" + name + "?t=" + s.sign.token(forSocket, id)
	p.Links = components.Links{
		Home: "/", Open: "/c", Click: "/c/" + name + "/",
		InBrowser: "/wasm/?name=" + name, InBrowserText: "Run it all in this browser",
	}
	p.Script, p.Style, p.Icon = s.assets.URL("app.js"), s.assets.URL("app.css"), s.assets.URL("favicon.svg")
	p.Renderer = s.renderer()
	p.CSRF = s.sign.token(forForm, id)
	p.Version = s.opts.Version
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
	cookie, ok, _ := s.sign.read(c.Request(), clientOf(c))
	if !ok || !s.sign.validToken(forForm, cookie.id, c.FormValue("_csrf")) {
		s.refused.token.Add(1)
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
	name := c.Param("name")
	if !counter.ValidName(name) {
		return errBadName
	}
	who := clientOf(c)
	if err := s.ticket(c, who); err != nil {
		return err
	}
	if err := s.seat(c, who); err != nil {
		return err
	}
	// A copy: the name is a part of the request, which would live as long as the tab.
	g := &guest{View: s.app.Counter(strings.Clone(name)), server: s, who: who}
	r := c.Request()
	s.sockets.ServeHTTP(c.Response(), r.WithContext(context.WithValue(r.Context(), guestKey{}, g)))
	if !g.seated {
		g.leave() // it did not come to that
	}
	return nil
}

// ticket refuses a socket with a session that the page did not give it for:
// only a page of this session knows the token. It stands behind the check of
// Origin, for the day when a proxy or a browser gets that wrong. Who has no
// session has nothing that could be abused.
func (s *Server) ticket(c echo.Context, who client) error {
	cookie, ok, sent := s.sign.read(c.Request(), who)
	if !sent || ok && s.sign.validToken(forSocket, cookie.id, c.QueryParam("t")) {
		return nil
	}
	s.refused.token.Add(1)
	return problem(http.StatusForbidden, "This page is too old", "Its session has ended. Reload the page.")
}

// guestKey is where socket keeps the view for wslive.
type guestKey struct{}

func guestOf(r *http.Request) live.View {
	g, _ := r.Context().Value(guestKey{}).(*guest) // it is there
	return g
}

// ready tells a balancer whether to send tabs here, and people why not.
func (s *Server) ready(c echo.Context) error {
	c.Response().Header().Set("Cache-Control", "no-store")
	if err := s.readiness.of(c.Request().Context(), s.app.Ready); err != nil {
		return c.String(http.StatusServiceUnavailable, "not ready\n"+err.Error()+"\n")
	}
	return c.String(http.StatusOK, "ready\n")
}

// readyFor is how long an answer of readiness holds.
const readyFor = 100 * time.Millisecond

// A readiness asks once for all who ask at about the same time: probes are not
// limited, and each would cost a read of the store.
type readiness struct {
	mu    sync.Mutex // guards the rest, and has others wait for the answer
	until time.Time
	err   error
}

func (r *readiness) of(ctx context.Context, ask func(context.Context) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Now().Before(r.until) {
		return r.err
	}
	// It is for the others too: not over when this one has gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	defer cancel()
	r.err = ask(ctx)
	r.until = time.Now().Add(readyFor)
	return r.err
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
