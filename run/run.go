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
	"lockstep/precondition"
	"lockstep/serve"
	"lockstep/serve/settings"
)

// A Site makes an application of what it is given: it adds its kinds, makes the server with the
// options, to which it may add, and returns it with what it serves beside.
type Site = func(app *lockstep.App, opts *serve.Options) (*serve.Server, http.Handler)

// startTimeout is how long a store may take to answer at start.
const startTimeout = 10 * time.Second

const introduction = `Usage: %s [flags]

Every flag can also be set by the environment variable beside it; the flag wins. Replicas of several
processes need the same secret, of at least 32 bytes, in LOCKSTEP_SECRET. It may be in a file, whose
path is in LOCKSTEP_SECRET_FILE, and so may what LOCKSTEP_URL and LOCKSTEP_STORE_URL say.
`

// Main serves an application until the process is told to end, and ends it: with exit code 0, with
// 1 and one line where something fails, and with 2 where the command line is wrong. addr is where
// it listens if nothing else is said. Flags and the environment say the rest: -h lists them.
func Main(addr string, site Site) {
	os.Exit(run(os.Args, os.Getenv, os.Stderr, addr, site))
}

// A config is what flags and environment say.
type config struct {
	addr, admin   string
	url, store    string
	prefix        string // of all names at broker and store
	replica       string // "": replica-1 and so on
	replicas      int
	drain         time.Duration
	settings.Edge // what clients may take, and whom the server believes
}

// define adds all flags. addr is where the application listens if nothing is said.
func (c *config) define(fs *settings.Set, addr string) {
	fs.Group("Addresses")
	fs.Text(&c.addr, "addr", addr, "`address` to listen at; PORT is understood too. With -replicas the balancer listens here and the replicas on the next ports")
	fs.Text(&c.admin, "admin", "", "a private `address` for metrics and profiles")

	fs.Group("Backends")
	fs.Text(&c.url, "url", "", "`URL` of broker and store: mem: forgets, file:PATH, redis://…, postgres://…; nats://… is a broker alone, and needs -store. Default: mem:")
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
	getenv, err = keys.WithFiles(getenv, "LOCKSTEP_URL", "LOCKSTEP_STORE_URL")
	if err != nil {
		return c, settings.Wrong("%s", err)
	}
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
	}
	return c.Edge.Check()
}

// run is Main with its surroundings passed in.
func run(args []string, getenv func(string) string, stderr io.Writer, addr string, site Site) (code int) {
	c, err := parse(args, getenv, stderr, addr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil {
		err = c.serve(site)
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
func (c *config) serve(site Site) error {
	apps, err := c.open()
	if err != nil {
		return err
	}
	conns, unmet := c.Connections(process.MaxFiles(), process.MemoryLimit(os.DirFS("/")))
	room, front := precondition.NewPart("connections", slog.Default()), precondition.NewPart("proxy", slog.Default())
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
		return site(app, o)
	}, serve.ListenOptions{
		Admin: c.admin, Drain: settings.OrNone(c.drain), MaxConns: settings.OrNone(conns),
		HeaderTimeout: c.HeaderTimeout, BodyTimeout: c.BodyTimeout, IdleTimeout: c.IdleTimeout,
		TrustedProxies: c.TrustedProxies.Prefixes, Proxies: watch, Preconditions: []*precondition.Part{room, front},
	})
}

// open returns an application for each replica, over one broker and one store.
func (c *config) open() ([]*lockstep.App, error) {
	var names []string
	for i := range c.replicas {
		names = append(names, c.name(i))
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	opts := &lockstep.Options{Prefix: c.prefix}
	if c.store != "" {
		return backends.OpenReplicasOfBoth(ctx, cmp.Or(c.url, "mem:"), c.store, names, opts)
	}
	return backends.OpenReplicas(ctx, c.url, names, opts)
}

// name is the name of the replica with index i. One has a name that others on the same broker do
// not have.
func (c *config) name(i int) string {
	if c.replicas == 1 {
		return cmp.Or(c.replica, serve.HostPort(c.addr))
	}
	return cmp.Or(c.replica, "replica") + "-" + strconv.Itoa(i+1)
}
