package backends

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"lockstep"
	"lockstep/internal/keys"
	"lockstep/internal/redisclient"
	"lockstep/precondition"
	"lockstep/pubsub/driver"
	"lockstep/state"
)

// startTimeout is how long MustOpen waits for a store.
const startTimeout = 10 * time.Second

// MustOpen is Open for main functions: where that has an error it writes one line to standard
// error, and ends the process with exit code 1. It waits for 10 s for a store that starts. "" is
// mem:, so that a variable of the environment chooses, and need not be set.
func MustOpen(url string, opts *lockstep.Options) *lockstep.App {
	return mustOpen(url, opts, os.Getenv, os.Stderr, os.Exit)
}

// mustOpen is MustOpen with its surroundings passed in. exit does not return.
func mustOpen(url string, opts *lockstep.Options, getenv func(string) string, stderr io.Writer, exit func(int)) *lockstep.App {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	broker, store := Both(url)
	app, err := openBoth(ctx, broker, store, opts, nil, getenv)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, strings.Join(strings.Fields(err.Error()), " ")) // the exit code says it too
		exit(1)
	}
	return app
}

// Open returns an application over the broker and the store of one URL: see the package's comment.
// It opens the store, and closes it when the application stops (App.OnStop); the broker is
// connected by App.Start. ctx bounds the call. Nil options are the defaults of package lockstep,
// but for Prefix, which is DefaultPrefix. A broker that others may reach needs LOCKSTEP_SECRET: see
// Options.Secret. It stops go-redis from writing to standard error on its own, for the whole
// process. An error is one sentence, without any password.
func Open(ctx context.Context, url string, opts *lockstep.Options) (*lockstep.App, error) {
	broker, store := Both(url)
	return OpenBoth(ctx, broker, store, opts, nil)
}

// OpenBoth is Open with a URL for the broker and one for the store, and with more options, whose
// Prefix and OpLifetime are those of opts where that has them. Nil options are the defaults.
func OpenBoth(ctx context.Context, broker, store string, opts *lockstep.Options, more *Options) (*lockstep.App, error) {
	return openBoth(ctx, broker, store, opts, more, os.Getenv)
}

// OpenReplicas is Open for several replicas of one process, which share what is opened: one for
// each name. The store is closed when the last of them has stopped.
func OpenReplicas(ctx context.Context, url string, names []string, opts *lockstep.Options) ([]*lockstep.App, error) {
	broker, store := Both(url)
	return OpenReplicasOfBoth(ctx, broker, store, names, opts)
}

// OpenReplicasOfBoth is OpenReplicas with a URL for the broker and one for the store.
func OpenReplicasOfBoth(ctx context.Context, broker, store string, names []string, opts *lockstep.Options) ([]*lockstep.App, error) {
	return OpenEach(ctx, broker, store, names, opts, nil)
}

// OpenEach is OpenReplicasOfBoth for replicas that differ by more than their names: f is called
// with the options of each, one after the other in the order of names, and may set what is a
// replica's own, such as Hooks. What it says of Prefix and OpLifetime is wrong: these are the
// process's. Nil: they don't differ.
func OpenEach(
	ctx context.Context, broker, store string, names []string, opts *lockstep.Options, f func(o *lockstep.Options),
) ([]*lockstep.App, error) {
	shared, d, s, err := parts(ctx, broker, store, opts, nil, os.Getenv)
	if err != nil {
		return nil, err
	}
	var open atomic.Int64
	open.Store(int64(len(names)))
	var all []*lockstep.App
	for _, name := range names {
		app := shared
		app.Replica = name
		if f != nil {
			f(&app)
		}
		a := lockstep.New(d, s, &app)
		a.OnStop(func(context.Context) error {
			if open.Add(-1) > 0 {
				return nil
			}
			return s.Close()
		})
		all = append(all, a)
	}
	return all, nil
}

// Both returns the URLs of broker and store that one URL stands for: see the package's comment.
func Both(url string) (broker, store string) {
	switch {
	case url == "":
		return "mem:", "mem:"
	case schemeOf(url) == "file:":
		return "mem:", url
	}
	return url, url
}

// errNoSecret says what to do about a broker that anybody could speak on.
var errNoSecret = &Error{ofURL: true, reason: "replicas that share a broker need the same secret of at least 32 bytes in " + keys.Variable +
	`, which signs what they say to each other, and cookies: "openssl rand -hex 32" makes one`}

// openBoth is OpenBoth with its surroundings passed in.
func openBoth(ctx context.Context, broker, store string, opts *lockstep.Options, more *Options, getenv func(string) string) (*lockstep.App, error) {
	app, d, s, err := parts(ctx, broker, store, opts, more, getenv)
	if err != nil {
		return nil, err
	}
	a := lockstep.New(d, s, &app)
	a.OnStop(func(context.Context) error { return s.Close() })
	return a, nil
}

// parts returns what an application is made of: its options, and the broker and the store, opened.
func parts(ctx context.Context, broker, store string, opts *lockstep.Options, more *Options, getenv func(string) string) (
	app lockstep.Options, d driver.Driver, s state.Store, err error,
) {
	app, o, err := settle(broker, store, opts, more, getenv)
	if err != nil {
		return app, nil, nil, err
	}
	redisclient.Silence()
	if d, err = Driver(broker, &o); err != nil {
		return app, nil, nil, err
	}
	s, err = Store(ctx, store, &o)
	return app, d, s, err
}

// settle returns the options of the application and of its backends, which agree.
func settle(broker, store string, opts *lockstep.Options, more *Options, getenv func(string) string) (app lockstep.Options, o Options, err error) {
	if opts != nil {
		app = *opts
	}
	if more != nil {
		o = *more
	}
	if len(o.Secret) == 0 {
		if o.Secret, err = keys.FromEnvironment(getenv); err != nil {
			return app, o, &Error{ofURL: true, reason: err.Error(), err: err}
		}
	}
	if err := checkURLs(broker, store); err != nil {
		return app, o, err
	}
	if Shared(broker) && len(o.Secret) == 0 {
		return app, o, errNoSecret
	}
	app.Prefix = cmp.Or(app.Prefix, o.Prefix, DefaultPrefix)
	app.OpLifetime = cmp.Or(app.OpLifetime, o.OpLifetime)
	o.Prefix, o.OpLifetime = app.Prefix, app.OpLifetime
	log := app.Logger
	if log == nil {
		log = slog.Default()
	}
	if o.BrokerUnmet == nil {
		o.BrokerUnmet = precondition.NewPart("broker", log)
	}
	if o.StoreUnmet == nil {
		o.StoreUnmet = precondition.NewPart("store", log)
	}
	return app, o, nil
}

// checkURLs returns what is wrong with the URLs of a broker and a store. Where they are one, what
// can be a broker can be a store: so the store's error lists all that it may be.
func checkURLs(broker, store string) error {
	if err := CheckStore(store); err != nil {
		return err
	}
	if e, wrong := errors.AsType[*Error](CheckBroker(broker)); wrong {
		return wrongURL("the broker: %s", e.reason)
	}
	return CheckBoth(broker, store)
}
