package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"lockstep/app"
	"lockstep/app/web"
	"lockstep/counter"
	"lockstep/internal/limit"
	"lockstep/pubsub/driver"
	"lockstep/static"
)

// A replica is one complete server: listener, hub and runtime of its own.
type replica struct {
	app    *app.App
	web    *web.Server
	server *server
}

// A shelf is what the replicas of one process have in common.
type shelf struct {
	driver driver.Driver
	store  counter.Store
	assets *static.Assets
	keys   [][]byte
	gate   *gate
	tls    *tls.Config // of the public address; nil: without
}

// startReplica starts a replica on a listener that it then owns.
func startReplica(ctx context.Context, l net.Listener, name string, s shelf, c config, log *slog.Logger) (*replica, error) {
	if name == "" {
		name = hostPort(l.Addr())
	}
	log = log.With("replica", name)
	a := app.New(s.driver, s.store, &app.Options{Logger: log, Prefix: c.Prefix, Replica: name, Rebalance: c.Rebalance})
	if err := a.Start(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	trusted := c.trustedBy(l)
	handler := web.New(a, s.assets, &web.Options{
		Logger: log, Keys: s.keys, Version: version(), TrustedProxies: trusted, Hosts: c.Hosts.names,
		Limits: c.forWeb(s.gate.max, c.Replicas),
	})
	o := c.serverOptions()
	o.door = s.gate.door(1, c.ConnsPerAddr, slices.Concat(trusted, c.Exempt.prefixes), func() int { return a.Runtime().Stats().Sessions })
	if c.Replicas == 1 {
		o.tls = s.tls
	}
	return &replica{app: a, web: handler, server: serveOn(l, handler, o, log)}, nil
}

// trustedBy returns whose word about visitors a replica takes: that of the
// proxies, and of the balancer in this process, which comes from this machine.
func (c *config) trustedBy(l net.Listener) []netip.Prefix {
	if c.Replicas == 1 {
		return c.TrustedProxies.prefixes
	}
	trusted := slices.Concat(c.TrustedProxies.prefixes, limit.Loopback())
	if ap, err := netip.ParseAddrPort(l.Addr().String()); err == nil && !ap.Addr().IsUnspecified() {
		a := ap.Addr().Unmap().WithZone("")
		trusted = append(trusted, netip.PrefixFrom(a, a.BitLen()))
	}
	return trusted
}

// serverOptions returns the time limits of a public listener.
func (c *config) serverOptions() serverOptions {
	return serverOptions{header: c.HeaderTimeout, body: c.BodyTimeout, write: c.WriteTimeout, idle: c.IdleTimeout}
}

// requestsTimeout is how long requests may take to end at shutdown, so that
// something is left of stopTimeout for what clicks wait for.
const requestsTimeout = stopTimeout / 2

// stop sends the tabs away over at most drain, lets requests finish, and ends
// the replica. The listener stays open during the drain, so that /readyz can say
// why and a balancer hears it; pages and forms are answered until it is closed.
func (r *replica) stop(ctx context.Context, drain time.Duration) error {
	err := r.app.Drain(ctx, drain)
	hurry, cancel := context.WithTimeout(ctx, requestsTimeout)
	defer cancel()
	err = errors.Join(err, r.server.stop(hurry), r.app.Stop(ctx, 0))
	r.web.Close()
	return err
}
