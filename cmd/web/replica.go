package main

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"time"

	"lockstep/app"
	"lockstep/app/web"
	"lockstep/backends"
	"lockstep/live"
	"lockstep/pubsub"
	"lockstep/serve"
	"lockstep/serve/ops"
	"lockstep/serve/settings"
	"lockstep/xray"
)

// replicaOptions are the settings of a replica.
type replicaOptions struct {
	name      string
	rebalance float64 // tabs a second
	fresh     time.Duration
	of        int // replicas in this process; more than 1 are behind a balancer
	edge      *settings.Edge
	opsToken  string // "": the page of the replicas is for this machine alone
	front     int    // port of the balancer
	siblings  []web.Sibling
	breaker   *breaker // nil: nobody breaks anything
	place     *place   // of breaker
}

// A started replica is what startReplica has made.
type started struct {
	*web.Server
	app *app.App
	brk *app.Break // nil: nobody breaks anything
}

// startReplica starts a replica that is going to listen at an address.
func startReplica(ctx context.Context, at net.Addr, d *dependencies, o replicaOptions, log *slog.Logger) (*started, error) {
	log = log.With("replica", o.name)
	var gallery *web.Gallery // of the application that has started, as page and brk are
	var page *ops.Ops
	var brk *app.Break
	a, err := backends.Patiently(ctx, func() (*app.App, error) {
		a := newApp(d, &o, log)
		gallery = web.AddGallery(a)
		page = ops.New(a.App, &ops.Options{Logger: log, Version: version(), Token: o.opsToken})
		if o.breaker != nil {
			brk = o.breaker.add(a)
		}
		return a, a.Start(ctx)
	})
	if err != nil {
		return nil, err
	}
	trusted, proxies := o.edge.TrustedProxies.Prefixes, d.watch
	if o.of > 1 {
		// The balancer is the only one, and watches those before it.
		trusted, proxies = slices.Concat(trusted, serve.BehindBalancer(at)), nil
	}
	var breaks *web.Break
	if brk != nil {
		breaks = o.breaker.of(brk)
	}
	s := web.New(a, d.assets, &web.Options{Version: version(), Gallery: gallery, Ops: page, Break: breaks, Front: o.front, Siblings: o.siblings, Options: serve.Options{
		Logger: log, Keys: d.keys, TrustedProxies: trusted, Hosts: o.edge.Hosts.Names,
		Origins: o.edge.Origins.Patterns, BasePath: o.edge.BasePath,
		Uploads: d.uploads, Limits: o.edge.ForServer(d.conns, o.of), Proxies: proxies, Preconditions: d.front,
	}})
	return &started{s, a, brk}, nil
}

// painters is how many tabs of a replica are asked when they have painted, at a time.
const painters = 64

// newApp returns the application of a replica. It starts once.
func newApp(d *dependencies, o *replicaOptions, log *slog.Logger) *app.App {
	watch := &strangers{part: d.peers, replica: o.name}
	follows := xray.New(d.traces.Options(log))
	broker, store := d.driver, d.store
	if o.place != nil {
		broker, store = o.place.faults.Driver(broker), o.place.faults.Store(store)
	}
	a := app.New(broker, store, &app.Options{
		Logger: log, Prefix: d.prefix, Replica: o.name, OpLifetime: d.life, Rebalance: o.rebalance, Fresh: o.fresh,
		OpLifetimeDiffers: func() { otherLifetime(d.peers, o.name) },
		Hub:               pubsub.Options{OnForged: watch.heard},
		Act:               app.ActBreak,
		Hooks:             follows, Live: live.Options{Painters: painters},
	})
	follows.Follow(a.App)
	watch.others = func() int { return a.Others() - (o.of - 1) }
	return a
}
