package main

import (
	"errors"
	"flag"
	"io"

	"lockstep/app/web"
	"lockstep/backends"
	"lockstep/internal/flags"
	"lockstep/internal/keys"
	"lockstep/serve/settings"
)

// A config is what flags and environment say, checked. Each part is for what bears its name, and
// knows its own flags.
type config struct {
	addressFlags
	backendFlags
	embeddedFlags
	replicaFlags
	keyFlags
	TLS tlsFlags
	settings.Edge
	logFlags

	goLimit string              // GOMEMLIMIT, which Go's runtime has read
	environ func(string) string // has what OpenTelemetry's variables say

	// The rest has the program do something else than serve.
	Version     bool   // print it and exit
	Healthcheck bool   // ask the server and exit
	Export      string // folder; not "": write the browser's application there and exit
}

const introduction = `Lockstep keeps every open browser tab in step.

Usage: web [flags]

  web                              one replica on http://localhost:8000, nothing else needed
  web -replicas 3                  three replicas behind a balancer, in one process
  web -pubsub redis://localhost    one of many replicas that share a Redis
  web -healthcheck                 ask the server of the same settings whether it is well
  web -export DIR                  the application for browsers, as files for any server
  web version                      say which version this is

Every flag can also be set by the environment variable beside it; the flag wins. What is secret can
be in a file, whose path is in SECRET_FILE, PUBSUB_URL_FILE, STORE_URL_FILE, OPS_TOKEN_FILE, or
in REDIS_URL_FILE and the like.
`

// parseConfig reads the command line and the environment. The error is
// flag.ErrHelp, or wraps settings.ErrUsage and is one line without any secret.
func parseConfig(args []string, getenv func(string) string, help io.Writer) (config, error) {
	var c config
	fs := settings.NewSet("web")
	c.define(fs)
	if err := fs.Parse(flags.Words(args)); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.Help(help, introduction)
			return c, err
		}
		return c, settings.Wrong("%s; -h lists all flags", err)
	}
	if fs.NArg() > 0 {
		return c, strayArgument(fs, len(args)-fs.NArg()+1)
	}
	if c.Version || c.Export != "" {
		return c, nil // nothing is served, so nothing else matters
	}
	if c.Healthcheck {
		return c, c.completeHealthcheck(fs, getenv)
	}
	getenv, err := keys.WithFiles(getenv, append([]string{"SECRET", "PUBSUB_URL", "STORE_URL", "OPS_TOKEN"}, backends.Variables()...)...)
	if err != nil {
		return c, settings.Wrong("%s", err)
	}
	if err := fs.FromEnvironment(getenv); err != nil {
		return c, err
	}
	c.backendFlags.complete(getenv)
	c.goLimit, c.environ = getenv("GOMEMLIMIT"), getenv
	return c, c.check()
}

// fronted reports whether browsers reach the process by something in front of it, as far as the
// configuration says so, or by TLS: not by the ports of its replicas.
func (c *config) fronted() bool {
	return len(c.TrustedProxies.Prefixes) > 0 || len(c.Hosts.Names) > 0 || len(c.Origins.Patterns) > 0 || c.BasePath != "" || c.TLS.on()
}

// strayArgument is the error for the first argument that belongs to no flag, the nth of all. It
// does not say the argument: it may be a part of a secret.
func strayArgument(fs *settings.Set, nth int) error {
	hint := "-h lists all flags"
	if meant := fs.Stray(fs.Arg(0)); meant != "" {
		hint = meant
	}
	return settings.Wrong("there is an argument that belongs to no flag, the %d. of all; %s", nth, hint)
}

// define adds all flags.
func (c *config) define(fs *settings.Set) {
	c.addressFlags.define(fs)
	c.backendFlags.define(fs)
	c.embeddedFlags.define(fs)
	c.replicaFlags.define(fs)
	c.keyFlags.define(fs)
	c.TLS.define(fs)
	c.Edge.Define(fs, web.ValidBasePath)

	fs.Group("Others")
	c.logFlags.define(fs)
	fs.Command(&c.Healthcheck, "healthcheck", "ask the server at -addr whether it is well, print one line and exit, with 0 if it is")
	fs.Command(&c.Version, "version", "print the version and exit")
	fs.Note("export")
	fs.Func("export", "write the application that runs in browsers into an empty `folder`, for any server of files, and exit", func(dir string) error {
		if c.Export = dir; dir == "" {
			return errors.New("it names no folder")
		}
		return nil
	})
}

// completeHealthcheck checks what -healthcheck needs to ask a server, and no more: it must not be
// the reason why a server is said to be ill.
func (c *config) completeHealthcheck(fs *settings.Set, getenv func(string) string) error {
	if err := fs.FromEnvironment(getenv); err != nil {
		return err
	}
	return c.checkKnown()
}

// check checks what a server needs, and returns the first error.
func (c *config) check() error {
	for _, check := range []func() error{
		c.replicaFlags.check,
		func() error { return c.addressFlags.check(c.Replicas) },
		c.backendFlags.check,
		func() error { return c.keyFlags.check(c.PubSub) },
		func() error { return c.embeddedFlags.check(&c.backendFlags, &c.keyFlags) },
		c.logFlags.check, c.TLS.check, c.Edge.Check,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}
