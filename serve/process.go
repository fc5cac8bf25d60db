package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"lockstep/internal/process"
	"lockstep/precondition"
)

const (
	// StopTimeout is what the end of a process may take beyond the time over which tabs leave.
	StopTimeout = 10 * time.Second
	// requestsTimeout is how long requests may take to end at shutdown, so that something is left
	// of StopTimeout for what ops wait for.
	requestsTimeout = StopTimeout / 2
	// startTimeout is how long a broker may take to answer at start.
	startTimeout = 10 * time.Second
)

// ListenOptions say how a process listens. Zero values are the defaults.
type ListenOptions struct {
	// Logger is for what is nobody's replica. Nil: slog.Default(), or that of the Server that
	// listens.
	Logger *slog.Logger
	// Admin is a second address for metrics, profiles and health, "localhost:9100": see NewAdmin.
	// It has no access control, and must never be reachable by the public. "": there is none.
	Admin string
	// Cert and Key are files (PEM) with the certificate of the public address, behind which may be
	// those between it and its authority, and with its key. They are read again when they change.
	// Both "": no TLS, as behind a proxy that has it.
	Cert, Key string
	// Drain is the longest time over which tabs are sent to other replicas at the end. Default 5 s;
	// negative: at once.
	Drain time.Duration
	// MaxConns is how many connections the process may have, tabs included: those of all listeners
	// together, and one through the balancer counts as three. More are told so and closed. Default:
	// what the limits of open files and of memory have room for; negative: no limit. How many of
	// one address there may be is Limits.SocketsPerAddr of the servers, for tabs and for all else.
	MaxConns int
	// HeaderTimeout is how long the head of a request may take, and the handshake of TLS: default
	// 5 s. BodyTimeout is that for a whole request, default 15 s, and IdleTimeout that for which a
	// connection may be kept without one, default 1 min.
	HeaderTimeout, BodyTimeout, IdleTimeout time.Duration
	// Version and Preconditions are shown on the admin page: see AdminOptions.
	Version       string
	Preconditions []*precondition.Part
	// Debug are pages of the application's own on the admin address.
	Debug []DebugPage
	// TrustedProxies and Proxies are Options.TrustedProxies and Options.Proxies for the balancer,
	// where there is one: it stands in front of the replicas.
	TrustedProxies []netip.Prefix
	Proxies        *ProxyWatch
}

// DefaultListenOptions returns what the zero value stands for.
func DefaultListenOptions() ListenOptions {
	return ListenOptions{
		Logger: slog.Default(), Drain: 5 * time.Second, MaxConns: maxConns(),
		HeaderTimeout: 5 * time.Second, BodyTimeout: 15 * time.Second, IdleTimeout: time.Minute,
	}
}

// maxConns is what this process has room for; negative: there is no limit.
func maxConns() int {
	if n := process.NewRoom(process.MaxFiles(), process.MemoryLimit(os.DirFS("/"))).Conns(); n > 0 {
		return n
	}
	return -1
}

// withDefaults returns the options with what is missing in them.
func (o ListenOptions) withDefaults() ListenOptions {
	d := DefaultListenOptions()
	fill(&o.Drain, d.Drain)
	fill(&o.MaxConns, d.MaxConns)
	fill(&o.HeaderTimeout, d.HeaderTimeout)
	fill(&o.BodyTimeout, d.BodyTimeout)
	fill(&o.IdleTimeout, d.IdleTimeout)
	if o.Logger == nil {
		o.Logger = d.Logger
	}
	return o
}

// A Process is what one process serves: its replicas, the balancer in front of several, and the
// admin page. Server.ListenAndServe and Replicas make one; who has more to start and stop beside it
// calls Add for each replica, Open, and Stop, from one goroutine.
type Process struct {
	// set once
	opts      ListenOptions
	listeners Listeners
	secure    *tls.Config // of the public address; nil: without
	conns     *connLimiter

	debug    []DebugPage
	replicas []*replica
	balancer *httpServer // nil with one replica
	admin    *httpServer // nil: there is none
}

// A replica is a server and where it is served.
type replica struct {
	server atomic.Pointer[Server]
	http   *httpServer
}

// NewProcess returns a process that owns listeners. Nil options are the defaults. An error is about
// the certificate; then the listeners are the caller's.
func NewProcess(ls Listeners, opts *ListenOptions) (*Process, error) {
	var o ListenOptions
	if opts != nil {
		o = *opts
	}
	p := &Process{opts: o.withDefaults(), listeners: ls}
	p.conns = newConnLimiter(max(0, p.opts.MaxConns))
	var err error
	p.secure, err = secureWith(o.Cert, o.Key, p.opts.Logger)
	return p, err
}

// Add serves a replica, whose application has been started, on the next of the listeners. h answers
// what is asked of it; Server.Handler makes one.
func (p *Process) Add(s *Server, h http.Handler) {
	l, limits := p.listeners.Replicas[len(p.replicas)], s.limiter.limits
	o := p.serverOptions(limits)
	r := new(replica)
	r.server.Store(s)
	o.limiter = p.conns.listener(1, limits.SocketsPerAddr, slices.Concat(s.trusted, limits.Exempt),
		func() int { return r.server.Load().app.Runtime().Stats().Sessions })
	if p.listeners.Front == nil {
		o.tls = p.secure
	}
	if limits.Sockets < 0 {
		h = p.conns.withRoom(h)
	}
	r.http = serveOn(l, h, o, s.log)
	p.replicas = append(p.replicas, r)
}

// Replace has another server take the place of one that Add was given, or of its successor, and
// that has ended by other means than Stop, as that of a replica which was killed. Both were made
// with the same options, and h of Add asks the new one from now on. It is called after Open, and
// may be called concurrently with all but Stop.
func (p *Process) Replace(old, s *Server) {
	for _, r := range p.replicas {
		r.server.CompareAndSwap(old, s)
	}
}

// serverOptions are those of a public listener.
func (p *Process) serverOptions(l Limits) serverOptions {
	return serverOptions{header: p.opts.HeaderTimeout, body: p.opts.BodyTimeout, write: l.WriteTimeout, idle: p.opts.IdleTimeout}
}

// Debug adds pages to the admin address. It is called before Open.
func (p *Process) Debug(pages ...DebugPage) { p.debug = append(p.debug, pages...) }

// Open opens the balancer, when all replicas are there, and the admin page. ctx bounds the call. An
// error is an *AddrError, of the admin page.
func (p *Process) Open(ctx context.Context) error {
	if l := p.listeners.Front; l != nil {
		limits := p.replicas[0].server.Load().limiter.limits
		b := newBalancer(p.listeners.addrs(), p.conns, p.opts.Proxies, p.opts.TrustedProxies, limits.WriteTimeout, p.opts.Logger)
		o := p.serverOptions(limits)
		// A connection to it is another one to a replica.
		o.limiter = p.conns.listener(2, limits.SocketsPerAddr, slices.Concat(p.opts.TrustedProxies, limits.Exempt), b.count)
		o.tls = p.secure
		p.balancer = serveOn(l, b, o, p.opts.Logger)
	}
	return p.openAdmin(ctx)
}

func (p *Process) openAdmin(ctx context.Context) error {
	if p.opts.Admin == "" {
		return nil
	}
	l, err := listenTCP(ctx, p.opts.Admin)
	if err != nil {
		return err
	}
	servers := make([]func() *Server, len(p.replicas))
	for i, r := range p.replicas {
		servers[i] = r.server.Load
	}
	admin := newAdmin(servers, &AdminOptions{Version: p.opts.Version, Refused: p.conns.refused, Preconditions: p.opts.Preconditions, Pages: slices.Concat(p.opts.Debug, p.debug)})
	// A profile takes as long as one asks for.
	p.admin = serveOn(l, admin, serverOptions{header: p.opts.HeaderTimeout, body: p.opts.BodyTimeout, idle: p.opts.IdleTimeout}, p.opts.Logger)
	p.opts.Logger.Info("admin", "url", "http://"+l.Addr().String()+"/debug/")
	return nil
}

// URLs returns where people find the process: its public address, those of the replicas where it is
// the balancer's, and the admin address, "" for none.
func (p *Process) URLs() (public string, replicas []string, admin string) {
	public = pageURL(p.listeners.all()[0], p.secure != nil)
	if p.listeners.Front != nil {
		for _, l := range p.listeners.Replicas {
			replicas = append(replicas, pageURL(l, false))
		}
	}
	if p.admin != nil {
		admin = "http://" + p.admin.listener.Addr().String()
	}
	return public, replicas, admin
}

// Failed delivers why serving has ended by itself, if it does. It is called once, after Open.
func (p *Process) Failed() <-chan error {
	var public []*httpServer
	for _, r := range p.replicas {
		public = append(public, r.http)
	}
	if p.balancer != nil {
		public = append(public, p.balancer)
	}
	return failed(public...)
}

// Stop ends everything in the reverse order of the start: tabs are sent away over at most drain, in
// which the replicas say that they are not ready; requests finish; the applications stop, and all
// listeners are closed. It waits until that is done. ctx bounds the whole.
func (p *Process) Stop(ctx context.Context, drain time.Duration) error {
	results := make(chan error, len(p.replicas))
	for _, r := range p.replicas {
		go func() { results <- r.stop(ctx, drain) }() // ends with ctx at the latest
	}
	var errs []error
	for range p.replicas {
		errs = append(errs, <-results)
	}
	errs = append(errs, p.balancer.stop(ctx), p.admin.stop(ctx))
	p.listeners.Close()
	return errors.Join(errs...)
}

// stop is Stop of one replica. Its listener stays open during the drain, so that /readyz can say
// why and a balancer hears it; it answers pages and forms until then.
func (r *replica) stop(ctx context.Context, drain time.Duration) error {
	s := r.server.Load()
	err := s.app.Drain(ctx, drain)
	soon, cancel := context.WithTimeout(ctx, requestsTimeout)
	defer cancel()
	err = errors.Join(err, r.http.stop(soon), s.app.Stop(ctx, 0))
	s.Close()
	return err
}
