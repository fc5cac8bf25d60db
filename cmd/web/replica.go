package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"lockstep/app"
	"lockstep/app/web"
	"lockstep/counter"
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
	secret []byte
}

// startReplica starts a replica on a listener that it then owns.
func startReplica(ctx context.Context, l net.Listener, name string, s shelf, c config, log *slog.Logger) (*replica, error) {
	if name == "" {
		name = hostPort(l.Addr())
	}
	log = log.With("replica", name)
	a := app.New(s.driver, s.store, &app.Options{Logger: log, Prefix: c.Prefix, Replica: name})
	if err := a.Start(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	handler := web.New(a, s.assets, &web.Options{Logger: log, Secret: s.secret, Version: version()})
	return &replica{app: a, web: handler, server: serveOn(l, handler, log)}, nil
}

// stop sends the tabs away over at most drain, lets requests finish, and ends
// the replica. The listener stays open meanwhile, so that /readyz can say why
// and a balancer hears it.
func (r *replica) stop(ctx context.Context, drain time.Duration) error {
	err := r.app.Stop(ctx, drain)
	r.web.Close()
	return errors.Join(err, r.server.stop(ctx))
}
