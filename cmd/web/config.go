package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A config is what flags and environment say, checked.
type config struct {
	Addr      string // host:port
	Admin     string // host:port, "" for none
	PubSub    string // URL
	Store     string // URL
	Prefix    string
	Replica   string // "" means the host name and port
	Replicas  int
	Secret    string // keys, one in each line
	Insecure  bool
	Drain     time.Duration
	Rebalance float64 // tabs a second
	LogLevel  string
	TLS       tlsFiles
	limits

	Version     bool   // print it and exit
	Healthcheck bool   // ask the server and exit
	Export      string // folder; not "": write the browser's application there and exit

	keys [][]byte // of Secret
}

// errUsage is wrapped by every error that is the caller's: exit code 2.
var errUsage = errors.New("usage")

// usageError makes an error of one line for a wrong flag or variable.
func usageError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errUsage, fmt.Sprintf(format, args...))
}

const (
	defaultAddr   = "localhost:8000"
	defaultStore  = "file:data/lockstep.db"
	maxReplicas   = 64
	maxPrefix     = 128 // bytes
	usageHeadline = `Lockstep keeps every open browser tab in step.

Usage: web [flags]

  web                              one replica on http://localhost:8000, nothing else needed
  web -replicas 3                  three replicas behind a balancer, in one process
  web -pubsub redis://localhost    one of many replicas that share a Redis
  web -healthcheck                 ask the server of the same settings whether it is well
  web -export DIR                  the application for browsers, as files for any server

Every flag can also be set by the environment variable beside it; the flag wins. What is secret can
be in a file, whose path is in SECRET_FILE, PUBSUB_URL_FILE, STORE_URL_FILE, REDIS_URL_FILE or
DATABASE_URL_FILE.
`
)

// parseConfig reads the command line and the environment. The error is
// flag.ErrHelp, or wraps errUsage and is one line without any secret.
func parseConfig(args []string, getenv func(string) string, help io.Writer) (config, error) {
	var c config
	fs := newFlagSet()
	c.define(fs)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.help(help)
			return c, err
		}
		return c, usageError("%s; -h lists all flags", err)
	}
	if fs.NArg() > 0 { // it may be a part of a secret
		return c, usageError("there is an argument that belongs to no flag, the %d. of all; -h lists all flags", len(args)-fs.NArg()+1)
	}
	if c.Version || c.Export != "" {
		return c, nil // nothing is served, so nothing else matters
	}
	if c.Healthcheck {
		return c, c.completeHealthcheck(fs, getenv)
	}
	getenv, err := withSecretFiles(getenv)
	if err != nil {
		return c, err
	}
	if err := fs.fromEnvironment(getenv); err != nil {
		return c, err
	}
	return c, c.complete(getenv)
}

// define adds all flags.
func (c *config) define(fs *flagSet) {
	fs.group("Addresses")
	fs.text(&c.Addr, "addr", defaultAddr, "listen `address`; PORT is understood too. With -replicas the balancer listens here and the replicas on the next ports")
	fs.text(&c.Admin, "admin", "localhost:0", "`address` for metrics, pprof and health, never the public one; \"off\" for none")
	fs.env["admin"] = "ADMIN_ADDR"

	fs.group("Backends")
	fs.text(&c.PubSub, "pubsub", "", "broker `URL`: "+strings.Join(pubsubSchemes(), ", ")+". Default: REDIS_URL, DATABASE_URL if set, else mem:")
	fs.text(&c.Store, "store", "", "store `URL`: "+strings.Join(storeSchemes(), ", ")+". Default: the broker's backend where it can store, else "+defaultStore+". mem: forgets. URLs of both may end in ?sslrootcert=FILE&sslcert=FILE&sslkey=FILE, for an authority and a certificate of one's own; Postgres needs sslmode=verify-full too")
	fs.env["pubsub"], fs.env["store"] = "PUBSUB_URL", "STORE_URL"
	fs.text(&c.Prefix, "channel-prefix", "lockstep:", "`prefix` of all names at broker and store; only replicas with the same one see each other")

	fs.group("Replicas")
	fs.text(&c.Replica, "replica", "", "`name` of this replica on the page. Default: host name and port")
	fs.count(&c.Replicas, "replicas", 1, "`number` of replicas to run in this process behind a balancer")
	fs.span(&c.Drain, "drain", 5*time.Second, "longest `time` over which tabs are sent to other replicas at shutdown")
	fs.rate(&c.Rebalance, "rebalance", 20, "`tabs` a second that a replica with more than the others sends to them by way of the balancer, until they are even; 0: never")

	fs.group("Keys")
	fs.text(&c.Secret, "secret", "", fmt.Sprintf("`keys` that sign cookies and forms, one in each line, at least %d bytes each: the first signs, all are believed, so that they can be replaced one after the other. Equal on all replicas. Needed with a shared broker; better given by SECRET_FILE or the environment than by a flag, which all users of the machine can read", minSecret))
	fs.add("insecure-dev")
	fs.BoolVar(&c.Insecure, "insecure-dev", false, "do without -secret on a shared broker: for development only")

	c.TLS.define(fs)
	c.limits.define(fs)

	fs.group("Others")
	fs.text(&c.LogLevel, "log-level", "info", "`level` of the log on standard error: debug, info, warn or error")
	fs.command(&c.Healthcheck, "healthcheck", "ask the server at -addr whether it is well, print one line and exit, with 0 if it is")
	fs.command(&c.Version, "version", "print the version and exit")
	fs.note("export")
	fs.Func("export", "write the application that runs in browsers into an empty `folder`, for any server of files, and exit", func(dir string) error {
		if c.Export = dir; dir == "" {
			return errors.New("it names no folder")
		}
		return nil
	})
}

// completeHealthcheck checks what it needs to ask a server, and no more: it
// must not be the reason why one is said to be ill.
func (c *config) completeHealthcheck(fs *flagSet, getenv func(string) string) error {
	if err := fs.fromEnvironment(getenv); err != nil {
		return err
	}
	if _, port, _ := net.SplitHostPort(c.Addr); port == "0" {
		return usageError("-addr: port 0 is another one each time; -healthcheck needs to know it")
	}
	return checkAddr("-addr", c.Addr)
}

// complete fills in what depends on other settings, and checks all.
func (c *config) complete(getenv func(string) string) error {
	for _, variable := range []string{"REDIS_URL", "DATABASE_URL", "NATS_URL"} {
		if c.PubSub == "" {
			c.PubSub = getenv(variable)
		}
	}
	if c.PubSub == "" {
		c.PubSub = "mem:"
	}
	if c.Store == "" {
		c.Store = storeFor(c.PubSub)
	}
	if c.Admin == "off" {
		c.Admin = ""
	}
	for _, check := range []func() error{
		func() error { return checkAddr("-addr", c.Addr) },
		c.checkAdmin,
		func() error { return checkURL("-pubsub", c.PubSub, pubsubSchemes()) },
		func() error { return checkURL("-store", c.Store, storeSchemes()) },
		c.checkPrefix, c.checkReplicas, c.checkSecret, c.checkLogLevel, c.TLS.check, c.limits.check,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	switch {
	case c.Drain < 0:
		return usageError("-drain: %s is negative", c.Drain)
	case !(c.Rebalance >= 0): // nor is it a NaN
		return usageError("-rebalance: %g is not a rate", c.Rebalance)
	}
	return nil
}

func checkAddr(name, addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return usageError("%s: %q is not an address such as localhost:8000", name, addr)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return usageError("%s: %q is not a port number", name, port)
	}
	return nil
}

func (c *config) checkAdmin() error {
	if c.Admin == "" {
		return nil
	}
	if err := checkAddr("-admin", c.Admin); err != nil {
		return err
	}
	if c.Admin == c.Addr {
		return usageError("-admin: must not be the public address %s", c.Addr)
	}
	return nil
}

// checkURL checks a URL's form and scheme. Its errors never contain the URL,
// which may hold a password.
func checkURL(name, raw string, schemes []string) error {
	scheme, rest, _ := strings.Cut(raw, ":")
	i := slices.IndexFunc(schemes, func(s string) bool { known, _, _ := strings.Cut(s, ":"); return known == scheme })
	switch {
	case i >= 0 && strings.HasSuffix(schemes[i], "//") && !strings.HasPrefix(rest, "//"):
		return usageError("%s: not a valid %s URL", name, schemes[i])
	case i >= 0:
		return checkRest(name, schemes[i], strings.TrimPrefix(rest, "//"))
	case strings.HasPrefix(rest, "//"): // else what stands before the colon may be anything
		return usageError("%s: unknown scheme %q; this build has %s", name, scheme, strings.Join(schemes, ", "))
	}
	return usageError("%s: not a URL; it must start with one of %s", name, strings.Join(schemes, ", "))
}

// checkRest checks what follows the scheme. An @ outside of its place means
// that a password has a / or another sign in it: its rest would be taken for
// a name, and shown.
func checkRest(name, scheme, rest string) error {
	if !shared(scheme) {
		return nil // a path
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if strings.Contains(rest[end:], "@") {
		return usageError("%s: not a valid %s URL; signs such as / ? # %% @ in a password are written with %%, as %%2F", name, scheme)
	}
	at := strings.LastIndexByte(rest[:end], '@') + 1
	hosts := rest[at:end]
	if strings.Contains(hosts, ",") { // of a cluster; package url knows one
		hosts = "host"
	}
	if _, err := url.Parse("x://" + rest[:at] + hosts + rest[end:]); err != nil {
		return usageError("%s: not a valid %s URL", name, scheme)
	}
	return nil
}

func (c *config) checkPrefix() error {
	if len(c.Prefix) > maxPrefix || !utf8.ValidString(c.Prefix) || strings.ContainsAny(c.Prefix, "{}\x00") {
		return usageError("-channel-prefix: at most %d bytes of text without braces", maxPrefix)
	}
	return nil
}

func (c *config) checkReplicas() error {
	if c.Replicas < 1 || c.Replicas > maxReplicas {
		return usageError("-replicas: %d is not between 1 and %d", c.Replicas, maxReplicas)
	}
	_, port, _ := net.SplitHostPort(c.Addr)
	if n, _ := strconv.Atoi(port); c.Replicas > 1 && n != 0 && n+c.Replicas > 65535 {
		return usageError("-addr: there are no %d ports after %d", c.Replicas, n)
	}
	if shared(c.PubSub) && !shared(c.Store) {
		return usageError("-store: %s is this process's own, but %s is shared by several replicas; give them a store that they can share", schemeOf(c.Store), schemeOf(c.PubSub))
	}
	return nil
}

func (c *config) checkLogLevel() error {
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
		return nil
	}
	return usageError("-log-level: %q is not debug, info, warn or error", c.LogLevel)
}

// hostPort is the name of a replica that was given none.
func hostPort(addr net.Addr) string {
	host, err := os.Hostname()
	if err != nil {
		host = "replica"
	}
	_, port, _ := net.SplitHostPort(addr.String())
	return host + ":" + port
}
