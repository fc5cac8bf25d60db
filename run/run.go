// Package run is the main function of a program of the kit: one replica, or several on one machine,
// over whatever broker and store a URL names.
//
//	func main() { run.Main("localhost:8000", site) }
package run

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"lockstep"
	"lockstep/backends"
	"lockstep/internal/keys"
	"lockstep/internal/process"
	"lockstep/internal/traces"
	"lockstep/precondition"
	"lockstep/serve"
	"lockstep/serve/ops"
	"lockstep/serve/settings"
	"lockstep/xray"
)

// A Site makes an application of what it is given: it adds its kinds, makes the server with the
// options, to which it may add, and returns it with what it serves beside.
type Site = func(app *lockstep.App, opts *serve.Options) (*serve.Server, http.Handler)

// Options of Main. Zero values are the defaults.
type Options struct {
	// App are the options of each replica, such as See and Act, which decide who may do what. Those
	// that flags say, Prefix and Replica, are the flags'. With Hooks of the application's own no
	// clicks are traced.
	App lockstep.Options
}

// startTimeout is how long a store may take to answer at start.
const startTimeout = 10 * time.Second

const introduction = `Usage: %s [flags]

Every flag can also be set by the environment variable beside it; the flag wins. Replicas of several
processes need the same secret, of at least 32 bytes, in LOCKSTEP_SECRET. It may be in a file, whose
path is in LOCKSTEP_SECRET_FILE, and so may what LOCKSTEP_URL, LOCKSTEP_STORE_URL and OPS_TOKEN say.
Clicks are traced where OTEL_EXPORTER_OTLP_ENDPOINT names a collector.
`

// Main serves an application until the process is told to end, and ends it: with exit code 0, with
// 1 and one line where something fails, and with 2 where the command line is wrong. addr is where
// it listens if nothing else is said. Flags and the environment say the rest: -h lists them.
func Main(addr string, site Site, opts ...Options) {
	var o Options
	if len(opts) > 0 {
		o = opts[0]
	}
	os.Exit(run(os.Args, os.Getenv, os.Stderr, addr, site, &o))
}

// A config is what flags and environment say.
type config struct {
	addr, admin   string
	url, store    string
	prefix        string // of all names at broker and store
	replica       string // "": replica-1 and so on
	replicas      int
	drain         time.Duration
	ops, opsToken string // where the page of the replicas is, "": nowhere; what lets in there
	settings.Edge        // what clients may take, and whom the server believes

	getenv func(string) string
}

// minOpsToken is how many bytes a token must have, so that nobody guesses it.
const minOpsToken = 16

// define adds all flags. addr is where the application listens if nothing is said.
func (c *config) define(fs *settings.Set, addr string) {
	fs.Group("Addresses")
	fs.Text(&c.addr, "addr", addr, "`address` to listen at; PORT is understood too. With -replicas the balancer listens here and the replicas on the next ports")
	fs.Text(&c.admin, "admin", "", "a private `address` for metrics and profiles")
	fs.Text(&c.ops, "ops", "", "`path` of a page that shows all replicas, live, such as "+ops.DefaultPath+", where the application has none of its own. Default: there is none")
	fs.Text(&c.opsToken, "ops-token", "", fmt.Sprintf("`token` for that page, %d bytes at least: the password, with any name. Equal on all replicas. Default: the page is for this machine alone", minOpsToken))

	fs.Group("Backends")
	fs.Text(&c.url, "url", "", "`URL` of broker and store: mem: forgets, file:PATH, redis://…, postgres://…, nats://…; amqp://… is a broker alone, and so are two URLs with a space between: these need -store. Default: mem:")
	fs.Env["url"] = "LOCKSTEP_URL"
	fs.Text(&c.store, "store", "", "another `URL` for the store, where -url is of a broker that can't store, or not what should")
	fs.Env["store"] = "LOCKSTEP_STORE_URL"
	fs.Text(&c.prefix, "channel-prefix", backends.DefaultPrefix, "`prefix` of all names at broker and store; only replicas with the same one see each other")

	fs.Group("Replicas")
	fs.Count(&c.replicas, "replicas", 1, "`number` of replicas to run in this process behind a balancer: to see them in step")
	fs.Text(&c.replica, "replica", "", "`name` of this replica on the page. Default: host name and port")
	fs.Span(&c.drain, "drain", serve.DefaultListenOptions().Drain, "longest `time` over which tabs are sent to other replicas at the end")

	c.Edge.Define(fs, func(path string) bool { return serve.ValidBasePath(path, serve.DefaultMount[1:]) })
}

// parse returns what flags and environment say. The error is flag.ErrHelp, or wraps
// settings.ErrUsage and is one line.
func parse(args []string, getenv func(string) string, stderr io.Writer, addr string) (c config, err error) {
	fs := settings.NewSet(args[0])
	c.define(fs, addr)
	switch err := fs.Parse(args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		fs.Help(stderr, fmt.Sprintf(introduction, args[0]))
		return c, err
	case err != nil:
		return c, settings.Wrong("%s; -h lists all flags", err)
	case fs.NArg() > 0:
		return c, settings.Wrong("there is an argument that belongs to no flag; -h lists all flags")
	}
	getenv, err = keys.WithFiles(getenv, "LOCKSTEP_URL", "LOCKSTEP_STORE_URL", "OPS_TOKEN")
	if err != nil {
		return c, settings.Wrong("%s", err)
	}
	c.getenv = getenv
	if err := fs.FromEnvironment(getenv); err != nil {
		return c, err
	}
	return c, c.check()
}

// check returns what flags and environment say that can't be. It wraps settings.ErrUsage.
func (c *config) check() error {
	switch {
	case c.replicas < 1 || c.replicas > serve.MaxReplicas:
		return settings.Wrong("-replicas: %d is not between 1 and %d", c.replicas, serve.MaxReplicas)
	case c.drain < 0:
		return settings.Wrong("-drain: %s is negative", c.drain)
	case !serve.ValidBasePath(c.ops, serve.DefaultMount[1:]):
		return settings.Wrong("-ops: %q is no path such as %s", c.ops, ops.DefaultPath)
	case c.opsToken != "" && len(c.opsToken) < minOpsToken:
		return settings.Wrong("-ops-token: shorter than %d bytes", minOpsToken)
	case c.opsToken != "" && c.ops == "":
		return settings.Wrong("-ops-token: there is no page that it lets in to; -ops says where")
	}
	return c.Edge.Check()
}

// run is Main with its surroundings passed in.
func run(args []string, getenv func(string) string, stderr io.Writer, addr string, site Site, opts *Options) (code int) {
	c, err := parse(args, getenv, stderr, addr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil {
		err = c.serve(site, opts)
	}
	if err == nil {
		return 0
	}
	line := strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), settings.ErrUsage.Error()+": ")), " ")
	_, _ = fmt.Fprintln(stderr, line) // the exit code says it too
	if errors.Is(err, settings.ErrUsage) {
		return 2
	}
	return 1
}

// serve serves the application until the process is told to end.
func (c *config) serve(site Site, opts *Options) error {
	follow := new(follower)
	if opts.App.Hooks == nil {
		follow.traces = traces.Start(c.getenv, "", loggerOf(opts))
	}
	defer follow.traces.Stop() // after the last click
	apps, err := c.open(opts, follow)
	if err != nil {
		return err
	}
	conns, unmet := c.Connections(process.MaxFiles(), process.MemoryLimit(os.DirFS("/")))
	room, front := precondition.NewPart("connections", loggerOf(opts)), precondition.NewPart("proxy", loggerOf(opts))
	room.Saw("", "", unmet...)
	watch := serve.NewProxyWatch(c.TrustedProxies.Prefixes, front)
	next := 0
	return serve.Replicas(c.addr, c.replicas, func(_ string, o *serve.Options) (*serve.Server, http.Handler) {
		o.TrustedProxies = append(o.TrustedProxies, c.TrustedProxies.Prefixes...)
		o.Hosts, o.Origins, o.BasePath = c.Hosts.Names, c.Origins.Patterns, c.BasePath
		o.Limits, o.Preconditions = c.ForServer(conns, c.replicas), front
		if c.replicas == 1 {
			o.Proxies = watch // else the balancer's
		}
		app := apps[next]
		next++
		return c.withOps(app, o, site)
	}, serve.ListenOptions{
		Logger: opts.App.Logger,
		Admin:  c.admin, Drain: settings.OrNone(c.drain), MaxConns: settings.OrNone(conns),
		HeaderTimeout: c.HeaderTimeout, BodyTimeout: c.BodyTimeout, IdleTimeout: c.IdleTimeout,
		TrustedProxies: c.TrustedProxies.Prefixes, Proxies: watch, Preconditions: []*precondition.Part{room, front},
	})
}

// withOps is what a site makes of an application, with the page of the replicas where it is wanted.
func (c *config) withOps(app *lockstep.App, o *serve.Options, site Site) (*serve.Server, http.Handler) {
	if c.ops == "" {
		return site(app, o)
	}
	page := ops.New(app, &ops.Options{Logger: o.Logger, Path: c.ops, Token: c.opsToken})
	s, h := site(app, o)
	if s == nil || s.Err() != nil {
		return s, h // which serve.Replicas says
	}
	mux := http.NewServeMux()
	mux.Handle(c.ops, page.Handler(s))
	if h != nil {
		mux.Handle("/", h)
	}
	return s, mux
}

// A follower has the clicks of all replicas traced, if anybody has asked for that.
type follower struct {
	traces    *traces.Traces
	recorders []*xray.Recorder // of the replicas, in their order
}

// hook has a replica that is to be made tell how far clicks come.
func (f *follower) hook(log *slog.Logger) func(o *lockstep.Options) {
	if f.traces == nil {
		return nil
	}
	return func(o *lockstep.Options) {
		r := xray.New(f.traces.Options(log))
		f.recorders = append(f.recorders, r)
		o.Hooks = r
	}
}

// loggerOf is what the program logs to.
func loggerOf(o *Options) *slog.Logger {
	if o.App.Logger != nil {
		return o.App.Logger
	}
	return slog.Default()
}

// open returns an application for each replica, over one broker and one store.
func (c *config) open(opts *Options, follow *follower) ([]*lockstep.App, error) {
	var names []string
	for i := range c.replicas {
		names = append(names, c.name(i))
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	app := opts.App
	app.Prefix = c.prefix
	broker, store := cmp.Or(c.url, "mem:"), c.store
	if store == "" {
		broker, store = backends.Both(c.url)
	}
	apps, err := backends.OpenEach(ctx, broker, store, names, &app, follow.hook(loggerOf(opts)))
	for i, r := range follow.recorders {
		if err == nil {
			r.Follow(apps[i])
		}
	}
	return apps, err
}

// name is the name of the replica with index i. One has a name that others on the same broker do
// not have.
func (c *config) name(i int) string {
	if c.replicas == 1 {
		return cmp.Or(c.replica, serve.HostPort(c.addr))
	}
	return cmp.Or(c.replica, "replica") + "-" + strconv.Itoa(i+1)
}
