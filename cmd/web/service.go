package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"lockstep/app/web"
	"lockstep/precondition"
	"lockstep/static"
	"lockstep/static/compile"
)

// startTimeout bounds how long backends may take to answer at start.
const startTimeout = 10 * time.Second

// A service is everything that startService has started: the replicas of this process, the balancer
// in front of them, and the admin page.
type service struct {
	deps     dependencies
	replicas []*replicaServer
	balancer *httpServer       // nil with one replica
	admin    *httpServer       // nil if there is none
	compiler *compile.Compiler // of the program for browsers
	log      *slog.Logger
}

// startService opens the backends and starts replicas, balancer and admin page. On an error nothing
// is left running.
func startService(ctx context.Context, c *config, log *slog.Logger) (*service, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	public, err := listenPublic(ctx, c.Addr, c.Replicas, c.TLS.on())
	if err != nil {
		return nil, err
	}
	s := &service{log: log}
	if err := s.open(ctx, c); err != nil {
		public.close()
		return nil, err
	}
	front, backs := public.split()
	if err := s.startReplicas(ctx, backs, c); err != nil {
		if front != nil {
			_ = front.Close() // nothing was served on it
		}
		return nil, errors.Join(err, s.abort())
	}
	if front != nil {
		s.startBalancer(front, backs, &c.edgeFlags)
	}
	if err := s.startAdmin(ctx, c.Admin, &c.edgeFlags); err != nil {
		return nil, errors.Join(err, s.abort())
	}
	s.compiler.Start()
	return s, nil
}

// open opens what the replicas share.
func (s *service) open(ctx context.Context, c *config) (err error) {
	if s.deps.assets, err = static.New(); err != nil {
		return err
	}
	s.compiler = compile.New(s.deps.assets, &compile.Options{Logger: s.log})
	s.bound(c)
	s.watch(c)
	if s.deps.tls, err = c.TLS.open(s.log); err != nil {
		return err
	}
	return s.deps.openBackends(ctx, &c.backendFlags, &c.keyFlags, s.log)
}

// bound keeps the process within the limits that its surroundings set, and says where the
// configuration does not fit them.
func (s *service) bound(c *config) {
	limit, process := memoryLimit(os.DirFS("/")), precondition.NewPart("process", s.log)
	conns, unmet := c.maxConns(maxFiles(), limit)
	s.deps.conns = newConnLimiter(conns)
	s.deps.unmet = append(s.deps.unmet, process)
	process.Saw("", "", append(unmet, boundMemory(limit, c.goLimit, debug.SetMemoryLimit, s.log)...)...)
}

// watch has the public address say what proxies in front of it should be and are not.
func (s *service) watch(c *config) {
	s.deps.front = precondition.NewPart("proxy", s.log)
	s.deps.watch = web.NewProxyWatch(c.TrustedProxies.prefixes, s.deps.front)
	s.deps.unmet = append(s.deps.unmet, s.deps.front)
}

// startReplicas starts a replica on each listener. After an error those run that were started
// before, and the other listeners are closed.
func (s *service) startReplicas(ctx context.Context, ls publicListeners, c *config) error {
	for i, l := range ls {
		o := replicaOptions{name: c.name(i), rebalance: c.Rebalance, of: c.Replicas, edge: &c.edgeFlags}
		r, err := startReplica(ctx, l, &s.deps, o, s.log)
		if err != nil {
			ls[i:].close()
			return c.brokerFailed(err)
		}
		s.replicas = append(s.replicas, r)
	}
	return nil
}

// startBalancer starts the balancer. A connection to it is another one to a replica.
func (s *service) startBalancer(l net.Listener, replicas publicListeners, e *edgeFlags) {
	b := newBalancer(replicas.addrs(), s.deps.conns, s.deps.watch, e, s.log)
	limiter := e.limiter(s.deps.conns, 2, e.TrustedProxies.prefixes, b.count)
	s.balancer = serveOn(l, b, e.server(limiter, s.deps.tls), s.log)
}

func (s *service) startAdmin(ctx context.Context, addr string, e *edgeFlags) error {
	if addr == "" {
		return nil
	}
	l, err := listenTCP(ctx, "-admin", addr)
	if err != nil {
		return err
	}
	var servers []*web.Server
	for _, r := range s.replicas {
		servers = append(servers, r.web)
	}
	admin := web.NewAdmin(servers, &web.AdminOptions{
		Version: version(), Refused: s.deps.conns.refused, Preconditions: s.deps.unmet,
	})
	s.admin = serveOn(l, admin, e.adminServer(), s.log)
	s.log.Info("admin", "url", "http://"+l.Addr().String()+"/debug/")
	return nil
}

// announce prints the addresses to open.
func (s *service) announce(w io.Writer) {
	public := s.replicas[0].server.listener
	if s.balancer != nil {
		public = s.balancer.listener
	}
	_, _ = fmt.Fprintf(w, "Lockstep is at %s\n", pageURL(public, s.deps.tls != nil)) // a closed pipe has no reader to tell
	if s.balancer != nil {
		for _, r := range s.replicas {
			_, _ = fmt.Fprintf(w, "  replica  %s\n", pageURL(r.server.listener, false))
		}
	}
	if s.admin != nil {
		_, _ = fmt.Fprintf(w, "  admin    http://%s/debug/\n", s.admin.listener.Addr())
	}
	_, _ = fmt.Fprintln(w, "Open it in several tabs and click.")
}

// public returns the servers that must not end by themselves.
func (s *service) public() (all []*httpServer) {
	for _, r := range s.replicas {
		all = append(all, r.server)
	}
	if s.balancer != nil {
		all = append(all, s.balancer)
	}
	return all
}

// stop ends everything in the reverse order of start.
func (s *service) stop(ctx context.Context, drain time.Duration) error {
	s.compiler.Stop()
	var errs []error
	results := make(chan error, len(s.replicas))
	for _, r := range s.replicas {
		go func() { results <- r.stop(ctx, drain) }()
	}
	for range s.replicas {
		errs = append(errs, <-results)
	}
	errs = append(errs, s.balancer.stop(ctx), s.admin.stop(ctx), s.deps.close())
	return errors.Join(slices.DeleteFunc(errs, func(err error) bool { return err == nil })...)
}

// abort is stop for a start that did not succeed.
func (s *service) abort() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return s.stop(ctx, 0)
}
