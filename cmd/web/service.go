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
	"time"

	"lockstep/app/web"
	"lockstep/internal/process"
	"lockstep/internal/traces"
	"lockstep/precondition"
	"lockstep/serve"
	"lockstep/serve/ops"
	"lockstep/serve/settings"
	"lockstep/static/compile"
)

// startTimeout bounds how long backends may take to answer at start.
const startTimeout = 10 * time.Second

// A service is everything that startService has started: the replicas of this process, the balancer
// in front of them, and the admin page.
type service struct {
	deps     dependencies
	process  *serve.Process
	compiler *compile.Compiler // of the program for browsers
	breaker  *breaker          // nil: nobody breaks anything
	log      *slog.Logger
}

// startService opens the backends and starts replicas, balancer and admin page. A server of NATS in
// this process has as much time as its peers need; all else has startTimeout. On an error nothing
// is left running.
func startService(ctx context.Context, c *config, log *slog.Logger) (*service, error) {
	s := &service{log: log}
	if err := s.deps.openEmbedded(ctx, c, log); err != nil {
		return nil, err
	}
	if err := s.start(ctx, c); err != nil {
		return nil, errors.Join(err, s.deps.close())
	}
	return s, nil
}

// start is startService without the server of NATS.
func (s *service) start(ctx context.Context, c *config) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	listeners, err := serve.Listen(ctx, c.Addr, c.Replicas, c.TLS.on())
	if err != nil {
		return notHeard("-addr", err)
	}
	if err := s.open(ctx, c); err != nil {
		listeners.Close()
		return err
	}
	s.deps.traces = traces.Start(c.environ, version(), s.log)
	if yes, anywhere := c.breaks(); yes {
		s.breaker = newBreaker(listeners.Replicas, c, anywhere, s.log)
	}
	if s.process, err = serve.NewProcess(listeners, s.listenOptions(c)); err != nil {
		return errors.Join(err, s.abort())
	}
	if err := s.startReplicas(ctx, &listeners, c); err != nil {
		return errors.Join(err, s.abort())
	}
	public, _, _ := s.process.URLs()
	s.process.Debug(serve.DebugPage{Name: "ops", Text: "all replicas, live", To: public + c.BasePath + ops.DefaultPath})
	if err := s.process.Open(ctx); err != nil {
		return errors.Join(notHeard("-admin", err), s.abort())
	}
	s.compiler.Start()
	if s.breaker != nil {
		s.breaker.start(s.process, s.deps.store)
	}
	return nil
}

// notHeard is the error of an address that a flag has named.
func notHeard(flag string, err error) error {
	if e, ok := errors.AsType[*serve.AddrError](err); ok {
		return fmt.Errorf("%s: %s", flag, e.Say(flag))
	}
	return fmt.Errorf("%s: %w", flag, err)
}

// listenOptions say how the process listens.
func (s *service) listenOptions(c *config) *serve.ListenOptions {
	return &serve.ListenOptions{
		Logger: s.log, Admin: c.Admin, Cert: c.TLS.Cert, Key: c.TLS.Key, Drain: c.Drain, MaxConns: settings.OrNone(s.deps.conns),
		HeaderTimeout: c.HeaderTimeout, BodyTimeout: c.BodyTimeout, IdleTimeout: c.IdleTimeout,
		Version: version(), Preconditions: s.deps.unmet, TrustedProxies: c.TrustedProxies.Prefixes, Proxies: s.deps.watch,
	}
}

// open opens what the replicas share.
func (s *service) open(ctx context.Context, c *config) (err error) {
	if s.deps.assets, err = serve.Assets(); err != nil {
		return err
	}
	s.compiler = compile.New(s.deps.assets, &compile.Options{Logger: s.log})
	s.bound(c)
	s.watch(c)
	return s.deps.openBackends(ctx, &c.backendFlags, &c.keyFlags, s.log)
}

// bound keeps the process within the limits that its surroundings set, and says where the
// configuration does not fit them.
func (s *service) bound(c *config) {
	limit, part := process.MemoryLimit(os.DirFS("/")), precondition.NewPart("process", s.log)
	conns, unmet := c.Connections(process.MaxFiles(), limit)
	s.deps.conns = conns
	s.deps.unmet = append(s.deps.unmet, part)
	part.Saw("", "", append(unmet, process.BoundMemory(limit, c.goLimit, debug.SetMemoryLimit, s.log)...)...)
}

// watch has the public address say what proxies in front of it should be and are not.
func (s *service) watch(c *config) {
	s.deps.front = precondition.NewPart("proxy", s.log)
	s.deps.watch = serve.NewProxyWatch(c.TrustedProxies.Prefixes, s.deps.front)
	s.deps.unmet = append(s.deps.unmet, s.deps.front)
}

// startReplicas starts a replica on each listener. After an error those run that were started
// before.
func (s *service) startReplicas(ctx context.Context, ls *serve.Listeners, c *config) error {
	front, siblings := siblings(ls, c)
	for i, l := range ls.Replicas {
		o := replicaOptions{
			name: c.name(i, l.Addr()), rebalance: c.Rebalance, fresh: c.Fresh, of: c.Replicas, edge: &c.Edge, opsToken: c.OpsToken,
			front: front, siblings: siblings,
		}
		if s.breaker != nil {
			if err := s.startBreakable(ctx, s.breaker.places[i], o); err != nil {
				return c.brokerFailed(err)
			}
			continue
		}
		r, err := startReplica(ctx, l.Addr(), &s.deps, o, s.log)
		if err != nil {
			return c.brokerFailed(err)
		}
		s.process.Add(r.Server.Server, r.Server)
	}
	return nil
}

// siblings are the replicas behind the balancer, and its port, where browsers reach them beside it.
func siblings(ls *serve.Listeners, c *config) (front int, all []web.Sibling) {
	if c.Replicas == 1 || c.fronted() {
		return 0, nil
	}
	for i, l := range ls.Replicas {
		all = append(all, web.Sibling{Name: c.name(i, l.Addr()), Port: portOf(l.Addr())})
	}
	return portOf(ls.Front.Addr()), all
}

func portOf(at net.Addr) int {
	if tcp, ok := at.(*net.TCPAddr); ok {
		return tcp.Port
	}
	return 0
}

// startBreakable starts a replica that can be broken on purpose, and started again.
func (s *service) startBreakable(ctx context.Context, p *place, o replicaOptions) error {
	o.breaker, o.place = s.breaker, p
	p.begin = func(ctx context.Context) (*started, error) { return startReplica(ctx, p.addr, &s.deps, o, s.log) }
	if err := p.start(ctx); err != nil {
		return err
	}
	s.process.Add(p.door.Load().Server, p)
	return nil
}

// announce prints the addresses to open.
func (s *service) announce(w io.Writer) {
	public, replicas, admin := s.process.URLs()
	_, _ = fmt.Fprintf(w, "Lockstep is at %s\n", public) // a closed pipe has no reader to tell
	for _, url := range replicas {
		_, _ = fmt.Fprintf(w, "  replica  %s\n", url)
	}
	if admin != "" {
		_, _ = fmt.Fprintf(w, "  admin    %s/debug/\n", admin)
	}
	_, _ = fmt.Fprintln(w, "Open it in several tabs and click.")
}

// stop ends everything in the reverse order of start.
func (s *service) stop(ctx context.Context, drain time.Duration) error {
	s.breaker.stop()
	s.compiler.Stop()
	err := s.process.Stop(ctx, drain)
	s.deps.traces.Stop() // after the last click
	return errors.Join(err, s.deps.close())
}

// abort is stop for a start that did not succeed.
func (s *service) abort() error {
	ctx, cancel := context.WithTimeout(context.Background(), serve.StopTimeout)
	defer cancel()
	return s.stop(ctx, 0)
}
