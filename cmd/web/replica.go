package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"lockstep/app"
	"lockstep/app/web"
	"lockstep/counter"
	"lockstep/pubsub/driver"
	"lockstep/static"
)

const (
	// headerTimeout and the others bound what a slow or hostile client can
	// hold; sockets are exempt, because net/http lets go of them.
	headerTimeout = 5 * time.Second
	bodyTimeout   = 15 * time.Second
	idleTimeout   = 60 * time.Second
	maxHeader     = 16 << 10 // bytes
)

// A replica is one complete server: listener, hub and runtime of its own.
type replica struct {
	app      *app.App
	server   *http.Server
	listener net.Listener
	served   chan error // what Serve returned
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
	r := &replica{app: a, listener: l, server: newServer(handler, log), served: make(chan error, 1)}
	go func() { r.served <- r.server.Serve(l) }() // ends with stop
	return r, nil
}

// newServer returns an HTTP server with the limits that every listener has.
func newServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: bodyTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// stop sends the tabs away over at most drain, lets requests finish, and ends
// the replica. The listener stays open meanwhile, so that /readyz can say why
// and a balancer hears it.
func (r *replica) stop(ctx context.Context, drain time.Duration) error {
	err := r.app.Stop(ctx, drain)
	err = errors.Join(err, r.server.Shutdown(ctx))
	if served := <-r.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
