package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A config is what flags and environment say, checked.
type config struct {
	Addr     string // host:port
	Admin    string // host:port, "" for none
	PubSub   string // URL
	Store    string // URL
	Prefix   string
	Replica  string // "" means the host name and port
	Replicas int
	Secret   string
	Insecure bool
	Drain    time.Duration
	LogLevel string
	Version  bool
	Export   string // folder; not "": write the browser's application there and exit
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
	minSecret     = 32 // bytes
	maxReplicas   = 64
	maxPrefix     = 128 // bytes
	usageHeadline = `Lockstep keeps every open browser tab in step.

Usage: web [flags]

  web                              one replica on http://localhost:8000, nothing else needed
  web -replicas 3                  three replicas behind a balancer, in one process
  web -pubsub redis://localhost    one of many replicas that share a Redis
  web -export DIR                  the application for browsers, as files that need no server of ours

Every flag can also be set by the environment variable beside it; the flag wins.

`
)

// parseConfig reads the command line and the environment. The error is
// flag.ErrHelp, or wraps errUsage and is one line.
func parseConfig(args []string, getenv func(string) string, help io.Writer) (config, error) {
	var c config
	fs := flag.NewFlagSet("web", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are printed by main, in one line
	env := map[string]string{}
	str := func(p *string, name, variable, def, usage string) {
		env[name] = variable
		fs.StringVar(p, name, def, usage)
	}
	str(&c.Addr, "addr", "ADDR", defaultAddr, "listen `address`; PORT is understood too. With -replicas the balancer listens here and the replicas on the next ports")
	str(&c.PubSub, "pubsub", "PUBSUB_URL", "", "broker `URL`: "+strings.Join(pubsubSchemes(), ", ")+". Default: REDIS_URL, DATABASE_URL if set, else mem:")
	str(&c.Store, "store", "STORE_URL", "", "store `URL`: "+strings.Join(storeSchemes(), ", ")+". Default: the broker's backend where it can store, else "+defaultStore+". mem: forgets")
	str(&c.Prefix, "channel-prefix", "CHANNEL_PREFIX", "lockstep:", "`prefix` of all names at broker and store; only replicas with the same one see each other")
	str(&c.Replica, "replica", "REPLICA", "", "`name` of this replica on the page. Default: host name and port")
	str(&c.Admin, "admin", "ADMIN_ADDR", "localhost:0", "`address` for metrics, pprof and health, never the public one; \"off\" for none")
	str(&c.Secret, "secret", "SECRET", "", fmt.Sprintf("`key` that signs cookies and forms, at least %d bytes, equal on all replicas. Needed with a shared broker; better given by the environment than by a flag", minSecret))
	str(&c.LogLevel, "log-level", "LOG_LEVEL", "info", "`level` of the log on standard error: debug, info, warn or error")
	env["replicas"], env["insecure-dev"], env["drain"] = "REPLICAS", "INSECURE_DEV", "DRAIN"
	fs.IntVar(&c.Replicas, "replicas", 1, "`number` of replicas to run in this process behind a balancer")
	fs.BoolVar(&c.Insecure, "insecure-dev", false, "do without -secret on a shared broker: for development only")
	fs.DurationVar(&c.Drain, "drain", 5*time.Second, "longest `time` over which tabs are sent to other replicas at shutdown")
	fs.BoolVar(&c.Version, "version", false, "print the version and exit")
	fs.Func("export", "write the application that runs in browsers into an empty `folder`, for any server of files, and exit", func(dir string) error {
		if c.Export = dir; dir == "" {
			return errors.New("it names no folder")
		}
		return nil
	})

	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			printHelp(help, fs, env)
			return c, err
		}
		return c, usageError("%s; -h lists all flags", err)
	}
	if fs.NArg() > 0 {
		return c, usageError("unexpected argument %q; -h lists all flags", fs.Arg(0))
	}
	if c.Version || c.Export != "" {
		return c, nil // nothing is served, so nothing else matters
	}
	if err := fromEnvironment(fs, env, getenv); err != nil {
		return c, err
	}
	return c, c.complete(getenv)
}

// fromEnvironment sets the flags that were not given from their variables.
func fromEnvironment(fs *flag.FlagSet, env map[string]string, getenv func(string) string) error {
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if port := getenv("PORT"); port != "" && getenv("ADDR") == "" && !given["addr"] {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return usageError("PORT: %q is not a port number", port)
		}
		if err := fs.Set("addr", ":"+port); err != nil {
			return usageError("PORT: %s", err)
		}
		given["addr"] = true
	}
	for name, variable := range env {
		value := getenv(variable)
		if value == "" || given[name] {
			continue
		}
		if err := fs.Set(name, value); err != nil {
			return usageError("%s: %q is not a value for -%s; -h lists all flags", variable, value, name)
		}
	}
	return nil
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
		func() error { return c.checkAdmin() },
		func() error { return checkURL("-pubsub", c.PubSub, pubsubSchemes()) },
		func() error { return checkURL("-store", c.Store, storeSchemes()) },
		c.checkPrefix, c.checkReplicas, c.checkSecret, c.checkLogLevel,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	if c.Drain < 0 {
		return usageError("-drain: %s is negative", c.Drain)
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
	scheme, _, ok := strings.Cut(raw, ":")
	if !ok || scheme == "" {
		return usageError("%s: not a URL; it must start with one of %s", name, strings.Join(schemes, ", "))
	}
	for _, s := range schemes {
		if strings.TrimSuffix(strings.TrimSuffix(s, "//"), ":") != scheme {
			continue
		}
		if _, err := url.Parse(raw); err != nil && !strings.Contains(raw, ",") {
			return usageError("%s: not a valid %s URL", name, s)
		}
		return nil
	}
	return usageError("%s: unknown scheme %q; this build has %s", name, scheme, strings.Join(schemes, ", "))
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

func (c *config) checkSecret() error {
	if c.Secret != "" && len(c.Secret) < minSecret {
		return usageError("-secret: %d bytes are too few, at least %d are needed", len(c.Secret), minSecret)
	}
	if c.Secret == "" && shared(c.PubSub) && !c.Insecure {
		return usageError("-secret: needed with a shared broker, the same on all replicas (%d bytes or more), or -insecure-dev for development", minSecret)
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

// printHelp lists the flags with their variables and defaults.
func printHelp(w io.Writer, fs *flag.FlagSet, env map[string]string) {
	_, _ = io.WriteString(w, usageHeadline) // a closed terminal has no reader to tell
	fs.VisitAll(func(f *flag.Flag) {
		arg, usage := flag.UnquoteUsage(f)
		head := "  -" + f.Name
		if arg != "" {
			head += " " + arg
		}
		if v := env[f.Name]; v != "" {
			head += "  (" + v + ")"
		}
		def := ""
		if f.DefValue != "" && f.DefValue != "false" {
			def = " (default " + f.DefValue + ")"
		}
		_, _ = fmt.Fprintf(w, "%s\n        %s%s\n", head, usage, def)
	})
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
