// Package serve puts an application of package lockstep on HTTP: pages, the socket that keeps them
// in step and its stand-in for networks without websockets, forms for browsers without JavaScript,
// entries of logs, files. It is plain net/http, and stands behind the checks that a public server
// needs: the client's address, sessions, the origin of what changes something, limits, headers.
//
//	s := serve.New(app, nil, nil)
//	mux := http.NewServeMux()
//	mux.Handle("/{$}", s.Page(func(r *http.Request) templ.Component { return page(hits.At("lobby")) }))
//	if err := s.ListenAndServe(":8000", mux); err != nil {
//		log.Fatal(err)
//	}
package serve

//go:generate ../bin/templ generate -include-version=false

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"strings"

	"lockstep"
	"lockstep/components"
	"lockstep/live"
	"lockstep/precondition"
	"lockstep/static"
)

// DefaultMount is where a server's own addresses are.
const DefaultMount = "/live"

// maxForm is the largest body of a request, in bytes.
const maxForm = 16 << 10

// Options of a Server. Zero values are the defaults.
type Options struct {
	Logger *slog.Logger // nil: slog.Default()
	// Mount is the path below which the server's own addresses are, without a slash at its end; "/":
	// the root. Default DefaultMount.
	Mount string
	// Keys sign cookies, forms and the addresses of sockets: the first signs, all
	// are believed, so that a key can be replaced. They must be equal on all
	// replicas. None: those of the environment variable LOCKSTEP_SECRET, or of the
	// file that LOCKSTEP_SECRET_FILE names, one in
	// each line, at least 32 bytes each; else, of a store in a file, one that is
	// kept beside it, in a file of its name with .secret; else a random one. The
	// last two are for one replica.
	Keys [][]byte
	// fresh is the random one, where replicas of one process must have the same. Nil: one is made.
	fresh []byte
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
	// A request may come with it or without.
	BasePath string
	// Uploads serves the files of forms: see package upload. Nil: pages take none.
	Uploads http.Handler
	// Limits bound what clients may take.
	Limits Limits
	// Proxies watches those in front of the server. Nil: nobody does.
	Proxies *ProxyWatch
	// Preconditions is told if most requests are refused, because the names that
	// they come by are not this server's. Nil: nobody.
	Preconditions *precondition.Part
	// User says who sends a request, by the application's own login: a *Problem or a Redirect as the
	// error is the answer. It is asked for pages, sockets and forms, and may be called concurrently.
	// Nil: visitors are who their session says, and have a Pseudonym.
	User func(r *http.Request) (lockstep.User, error)
	// PlainSockets is wslive.Options.Plain: sockets are served by way of net.Conn only. It is for
	// tests in a bubble of testing/synctest, which can't see into the poller of the system.
	PlainSockets bool
	// Problem is the page of a request that can't be answered otherwise. Nil: a plain one.
	Problem func(r *http.Request, p *Problem) live.Component
}

// withDefaults returns the options with what is missing in them; nil is no options.
func (o *Options) withDefaults() Options {
	var all Options
	if o != nil {
		all = *o
	}
	if all.Logger == nil {
		all.Logger = slog.Default()
	}
	switch all.Mount {
	case "":
		all.Mount = DefaultMount
	case "/":
		all.Mount = ""
	}
	all.Limits = all.Limits.withDefaults()
	return all
}

// A Server serves one replica of an application. It may be used concurrently.
type Server struct {
	// set once
	wrong      error // with the setup; then there is nothing else but app and log
	app        *lockstep.App
	log        *slog.Logger
	assets     *static.Assets
	mount      string
	trusted    []netip.Prefix // Options.TrustedProxies
	sign       signer
	users      users
	limiter    *limiter
	origins    *origins
	sockets    *socketHandler
	plain      *plainHandler
	entries    *entriesHandler
	refused    *refusals
	uploads    *uploadHandler
	ready      *readiness
	compressor *compressor
	problems   *problemPages
	front      []middleware // the first is the outermost
	own        http.Handler // the server's own addresses
}

// New returns a server for an application. assets are what its pages load, and may be shared; nil:
// as Assets makes them. Nil options are the defaults. Err says what is wrong with what it is given:
// ListenAndServe and Serve return that, and each handler of the server answers with status 500, and
// logs it.
func New(a *lockstep.App, assets *static.Assets, opts *Options) *Server {
	o := opts.withDefaults()
	err := o.check(a)
	if err == nil && assets == nil {
		assets, err = Assets()
	}
	if err != nil {
		return &Server{wrong: fmt.Errorf("serve: %w", err), app: a, log: o.Logger}
	}
	return newServer(a, assets, &o)
}

// check returns what is wrong, or nil, and adds keys where there are none.
func (o *Options) check(a *lockstep.App) (err error) {
	switch {
	case a == nil:
		return errors.New("New was given no application: lockstep.New or backends.Open make one")
	case !ValidBasePath(o.BasePath):
		return fmt.Errorf("%q is not a base path: it is like /shop/counter, of letters, digits and -._", o.BasePath)
	case !ValidBasePath(o.Mount):
		return fmt.Errorf("%q is no path to mount anything at: it is like /live, of letters, digits and -._", o.Mount)
	case len(o.Keys) == 0:
		o.Keys, err = o.keysOf(a, os.Getenv)
	}
	return err
}

// newServer returns a server whose options are complete.
func newServer(a *lockstep.App, assets *static.Assets, o *Options) *Server {
	s := &Server{
		app: a, log: o.Logger, assets: assets, mount: o.Mount, trusted: o.TrustedProxies, sign: newSigner(o.Keys), users: users{o.User},
		refused: new(refusals), compressor: newCompressor(), ready: &readiness{ask: a.Ready, state: a.Runtime().Err},
	}
	s.limiter = newLimiter(o.Limits, s.refused)
	s.origins = newOrigins(o.Origins, s.refused, newMajority(o.Preconditions, a.Replica(), "proxy_origins", originsUnmet), o.Logger)
	s.sockets = newSocketHandler(a, s.sign, s.users, s.limiter, s.origins, s.refused, o)
	s.plain = newPlainHandler(s.sockets, o.Logger)
	s.entries = newEntriesHandler(a, s.limiter, o.Logger)
	s.uploads = &uploadHandler{o.Uploads, s.limiter, s.refused, s.origins}
	if o.Problem == nil {
		o.Problem = s.problemPage
	}
	s.problems = &problemPages{page: o.Problem, compressor: s.compressor, log: o.Logger}
	names := newHosts(o.Hosts, s.refused, newMajority(o.Preconditions, a.Replica(), "proxy_hosts", hostsUnmet), o.Logger)
	s.front = []middleware{
		newClients(o.TrustedProxies, o.BasePath, o.Proxies, o.Logger).identify, withoutBase, secureHeaders, s.problems.recovered,
		deadlines(o.Limits.WriteTimeout), names.known, s.limiter.slowed,
	}
	s.own = s.Around(s.route())
	return s
}

// Assets returns what pages load: the files of package static, and the style sheet and the script
// of package components as "kit.css" and "kit.js".
func Assets() (*static.Assets, error) {
	return static.NewWith(map[string]string{"kit.css": components.StyleSheet(), "kit.js": components.Script()})
}

// Err returns what is wrong with how the server was set up, in one sentence, or nil.
func (s *Server) Err() error { return s.wrong }

// refuse answers requests of a server that was set up wrongly.
func (s *Server) refuse(w http.ResponseWriter, _ *http.Request) {
	s.log.Error("the server is set up wrongly", "err", s.wrong)
	http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
}

// Around returns next behind the checks of the server. It is for an application's own handlers;
// those that the server makes have them already, and pass them once.
func (s *Server) Around(next http.Handler) http.Handler {
	if s.wrong != nil {
		return http.HandlerFunc(s.refuse)
	}
	h := plain(next)
	for i := len(s.front) - 1; i >= 0; i-- {
		h = s.front[i](h)
	}
	whole := s.problems.handled(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, passed := r.Context().Value(clientKey{}).(client); passed {
			next.ServeHTTP(w, r)
			return
		}
		whole.ServeHTTP(w, r)
	})
}

// handle is Around for a handler of this package.
func (s *Server) handle(h handler) http.Handler { return s.Around(s.problems.handled(h)) }

// Fail answers a request with the page that explains an error: a *Problem, or one that a person can
// do nothing about, which is logged.
func (s *Server) Fail(w http.ResponseWriter, r *http.Request, err error) {
	if s.wrong != nil {
		s.refuse(w, r)
		return
	}
	s.problems.fail(err, &response{ResponseWriter: w}, r)
}

// ServeHTTP implements http.Handler: it serves what is below the mount. Paths may come with the
// mount or without, as a router above has it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.wrong != nil {
		s.refuse(w, r)
		return
	}
	s.own.ServeHTTP(w, r)
}

// Close ends the websockets and streams that are left, and their goroutines;
// stop the application before.
func (s *Server) Close() {
	if s.wrong != nil {
		return // it has none
	}
	s.plain.Close()
	s.sockets.Close()
}

// Addresses below the mount.
const (
	socketAt  = "/ws/rooms"
	staticAt  = "/static/"
	doAt      = "/do"
	entriesAt = "/entries/"
	uploadsAt = "/uploads/"
	olderAt   = "/older"
)

// route gives each address its handler. (ServeMux would lead from paths with dots in them to
// others.)
func (s *Server) route() http.Handler {
	form, files := s.origins.sameOrigin(s.do), assetHandler{s.assets}
	return s.problems.handled(func(w http.ResponseWriter, r *http.Request) error {
		path := r.URL.Path
		if rest, ok := strings.CutPrefix(path, s.mount+"/"); ok {
			path = "/" + rest
		}
		get, post := r.Method == http.MethodGet || r.Method == http.MethodHead, r.Method == http.MethodPost
		switch {
		case path == socketAt && get:
			return s.sockets.serve(w, r)
		case path == socketAt && post: // where there are no websockets
			return s.plain.serve(w, r)
		case strings.HasPrefix(path, staticAt) && get:
			return files.serve(w, r, path)
		case path == doAt && post:
			return form(w, r)
		case path == olderAt && get:
			return s.older(w, r)
		case path == livePath && get:
			return alive(w, r)
		case path == readyPath && get:
			return s.ready.serve(w, r)
		case path == staysPath && get:
			return s.ready.stays(w, r)
		case strings.HasPrefix(path, uploadsAt) && s.uploads.files != nil:
			return s.uploads.serve(w, below(r, path))
		case path == socketAt, path == doAt, path == olderAt, isProbePath(path), strings.HasPrefix(path, staticAt):
			return ProblemOf(http.StatusMethodNotAllowed)
		}
		return errNotFound
	})
}

// below returns a request as one of another path.
func below(r *http.Request, path string) *http.Request {
	if path == r.URL.Path {
		return r
	}
	short := *r // the caller may log its own
	u := *r.URL
	u.Path, u.RawPath = path, ""
	short.URL = &u
	return &short
}

// Entries answers with the entries of a topic's log, as they come (docs/logs.md). It is for
// addresses of an application's own, which have decided who may read.
func (s *Server) Entries(topic func(r *http.Request) string) http.Handler {
	return s.handle(func(w http.ResponseWriter, r *http.Request) error { return s.entries.serve(w, r, topic(r)) })
}

// Ready returns why the server is not ready for tabs, or nil.
func (s *Server) Ready(ctx context.Context) error {
	if s.wrong != nil {
		return s.wrong
	}
	return s.ready.check(ctx)
}

// Asset returns the address of a file of package static, as this request's page may load it.
func (s *Server) Asset(r *http.Request, name string) string {
	return clientOf(r).base + s.mount + s.assets.URL(name)
}

// Base returns the path below which a request's browser reaches the server: "" or as ValidBasePath
// takes it. Every address that is sent to it begins with that.
func Base(r *http.Request) string { return clientOf(r).base }

// Hosts returns the names by which a request's browser may have asked, with ports, the most likely
// first; secure says that it speaks TLS.
func Hosts(r *http.Request) (names []string, secure bool) {
	who := clientOf(r)
	return who.hosts, who.secure
}

// Client returns the address of a request's browser, as far as it can be known: see
// Options.TrustedProxies. Not valid: the connection has none.
func Client(r *http.Request) netip.Addr { return clientOf(r).addr }
