package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"lockstep/app"
	"lockstep/app/web"
	"lockstep/pubsub"
)

const (
	// stopTimeout is what shutdown may take beyond the drain time.
	stopTimeout = 10 * time.Second
	// requestsTimeout is how long requests may take to end at shutdown, so that something is left
	// of stopTimeout for what clicks wait for.
	requestsTimeout = stopTimeout / 2
)

// A replicaServer is one complete server: listener, hub and runtime of its own.
type replicaServer struct {
	app    *app.App
	web    *web.Server
	server *httpServer
}

// replicaOptions are the settings of a replica.
type replicaOptions struct {
	name      string  // "": host name and port
	rebalance float64 // tabs a second
	of        int     // replicas in this process; more than 1 are behind a balancer
	edge      *edgeFlags
}

// startReplica starts a replica on a listener that it then owns.
func startReplica(ctx context.Context, l net.Listener, d *dependencies, o replicaOptions, log *slog.Logger) (*replicaServer, error) {
	if o.name == "" {
		o.name = hostPort(l.Addr())
	}
	log = log.With("replica", o.name)
	a, err := patiently(ctx, func() (*app.App, error) {
		a := newApp(d, &o, log)
		return a, a.Start(ctx)
	})
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	trusted, secure := o.surroundings(l, d)
	proxies := d.watch
	if o.of > 1 {
		proxies = nil // the balancer is the only one, and watches those before it
	}
	handler := web.New(a, d.assets, &web.Options{
		Logger: log, Keys: d.keys, Version: version(), TrustedProxies: trusted, Hosts: o.edge.Hosts.names,
		Origins: o.edge.Origins.patterns, BasePath: o.edge.BasePath,
		Uploads: d.uploads, Limits: o.edge.forWeb(d.conns.max, o.of), Proxies: proxies, Preconditions: d.front,
	})
	limiter := o.edge.limiter(d.conns, 1, trusted, func() int { return a.Runtime().Stats().Sessions })
	return &replicaServer{app: a, web: handler, server: serveOn(l, handler, o.edge.server(limiter, secure), log)}, nil
}

// newApp returns the application of a replica. It starts once.
func newApp(d *dependencies, o *replicaOptions, log *slog.Logger) *app.App {
	watch := &strangers{part: d.peers, replica: o.name}
	a := app.New(d.driver, d.store, &app.Options{
		Logger: log, Prefix: d.prefix, Replica: o.name, OpLifetime: d.life, Rebalance: o.rebalance,
		OpLifetimeDiffers: func() { otherLifetime(d.peers, o.name) },
		Hub:               pubsub.Options{OnForged: watch.heard},
	})
	watch.others = func() int { return a.Others() - (o.of - 1) }
	return a
}

// surroundings returns whose word about clients a replica takes, and how it speaks TLS: behind the
// balancer not at all.
func (o *replicaOptions) surroundings(l net.Listener, d *dependencies) ([]netip.Prefix, *tls.Config) {
	if o.of == 1 {
		return o.edge.TrustedProxies.prefixes, d.tls
	}
	return o.edge.behindBalancer(l.Addr()), nil
}

// stop sends the tabs away over at most drain, lets requests finish, and ends the replica. The
// listener stays open during the drain, so that /readyz can say why and a balancer hears it; it
// answers pages and forms until then.
func (r *replicaServer) stop(ctx context.Context, drain time.Duration) error {
	err := r.app.Drain(ctx, drain)
	soon, cancel := context.WithTimeout(ctx, requestsTimeout)
	defer cancel()
	err = errors.Join(err, r.server.stop(soon), r.app.Stop(ctx, 0))
	r.web.Close()
	return err
}
