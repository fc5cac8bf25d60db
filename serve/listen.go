package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"

	"lockstep"
	"lockstep/internal/keys"
	"lockstep/internal/process"
	"lockstep/precondition"
)

// MaxReplicas is how many replicas one process may run.
const MaxReplicas = 64

// ListenAndServe starts the application, and serves its own addresses and those of h on a TCP
// address, "localhost:8000", until the process is told to end (SIGINT, SIGTERM): then the server is
// not ready any more, tabs are sent to other replicas, what was begun is finished, and it returns
// nil. Another signal ends the process at once. /healthz and /readyz say how the server is. h nil:
// only its own addresses. Go stays below the memory limit of the container, where GOMEMLIMIT does
// not say by how much. What is wrong with the setup, or with the address, is an error of one
// sentence; the application is stopped in any case.
func (s *Server) ListenAndServe(addr string, h http.Handler, opts ...ListenOptions) error {
	return untilSignal(func(ctx context.Context) error {
		o := s.listenOptions(opts)
		o.Preconditions = append(o.Preconditions, boundMemory(&o))
		ls, err := listenFor(ctx, addr, 1, &o)
		if err != nil {
			return errors.Join(err, stopped(ctx, s))
		}
		return run(ctx, ls, &o, []site{{s, h}})
	})
}

// Serve is ListenAndServe on a listener, which it closes, until ctx ends. It leaves signals, and
// the memory limit, to its caller. An application that was started already is not started again.
func (s *Server) Serve(ctx context.Context, l net.Listener, h http.Handler, opts ...ListenOptions) error {
	o := s.listenOptions(opts)
	return run(ctx, Listeners{Replicas: []net.Listener{l}}, &o, []site{{s, h}})
}

// Replicas serves several replicas of an application from this process until it is told to end, as
// ListenAndServe: to try on one machine how they keep each other in step. A balancer listens on
// addr, and the replicas on the next ports; 1 is one replica, on addr, without a balancer. replica
// makes each: it is called in the order of the replicas, with the name of each, for
// lockstep.Options.Replica, and with the options for New that they need behind the balancer, to
// which it may add. Their applications must share a broker and a store: those that
// backends.Driver and backends.Store return for "mem:" or a file, or any that are in a server.
func Replicas(addr string, n int, replica func(name string, o *Options) (*Server, http.Handler), opts ...ListenOptions) error {
	if n < 1 || n > MaxReplicas {
		return fmt.Errorf("serve: %d is no number of replicas; it is 1 to %d", n, MaxReplicas)
	}
	return untilSignal(func(ctx context.Context) error {
		var o ListenOptions
		if len(opts) > 0 {
			o = opts[0]
		}
		o = o.withDefaults()
		o.Preconditions = append(o.Preconditions, boundMemory(&o))
		ls, err := listenFor(ctx, addr, n, &o)
		if err != nil {
			return err
		}
		return run(ctx, ls, &o, sites(ls, replica))
	})
}

// sites makes the replicas, which believe each other's cookies.
func sites(ls Listeners, replica func(name string, o *Options) (*Server, http.Handler)) (all []site) {
	fresh := keys.Fresh()
	for i, l := range ls.Replicas {
		o := &Options{fresh: fresh}
		if ls.Front != nil {
			o.TrustedProxies = BehindBalancer(l.Addr())
		}
		s, h := replica("replica-"+strconv.Itoa(i+1), o)
		all = append(all, site{s, h})
	}
	return all
}

// untilSignal calls serve with a context that the first signal ends. By then the next is not caught
// any more, and ends the process.
func untilSignal(serve func(context.Context) error) error {
	told, uncatch := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer uncatch()
	ctx, end := context.WithCancel(context.Background())
	defer end()
	defer context.AfterFunc(told, func() { uncatch(); end() })()
	return serve(ctx)
}

// listenOptions are the options of a server that listens by itself.
func (s *Server) listenOptions(opts []ListenOptions) (o ListenOptions) {
	if len(opts) > 0 {
		o = opts[0]
	}
	if o.Logger == nil {
		o.Logger = s.log
	}
	return o.withDefaults()
}

// listenFor is Listen, as options say whether there is TLS.
func listenFor(ctx context.Context, addr string, n int, o *ListenOptions) (Listeners, error) {
	return Listen(ctx, addr, n, o.Cert != "")
}

// boundMemory has Go stay below the memory limit, and returns what is not as it should be.
func boundMemory(o *ListenOptions) *precondition.Part {
	part := precondition.NewPart("process", o.Logger)
	part.Saw("", "", process.BoundMemory(process.MemoryLimit(os.DirFS("/")), os.Getenv("GOMEMLIMIT"), debug.SetMemoryLimit, o.Logger)...)
	return part
}

// A site is a server and what it serves beside its own addresses.
type site struct {
	server *Server
	h      http.Handler
}

// run serves until ctx ends, or something fails. It ends all that it was given.
func run(ctx context.Context, ls Listeners, o *ListenOptions, sites []site) error {
	p, err := NewProcess(ls, o)
	for i := 0; i < len(sites) && err == nil; i++ {
		err = p.begin(ctx, sites[i])
	}
	if err == nil {
		err = p.Open(ctx)
	}
	if err == nil {
		p.announce()
		select {
		case <-ctx.Done():
			o.Logger.Info("shutting down; another signal ends it at once", "drain", max(0, o.Drain))
		case err = <-p.Failed():
		}
	}
	return errors.Join(err, p.end(ctx, sites))
}

// errNoServer is the error of a replica that is none.
var errNoServer = errors.New("serve: Replicas was given a function that returns no server")

// begin starts a site, and serves it.
func (p *Process) begin(ctx context.Context, s site) error {
	if s.server == nil {
		return errNoServer
	}
	if err := s.server.Err(); err != nil {
		return err
	}
	if s.server.app.Hub() == nil { // it was not started
		ctx, cancel := context.WithTimeout(ctx, startTimeout)
		defer cancel()
		if err := s.server.app.Start(ctx); err != nil {
			return err
		}
	}
	p.Add(s.server, s.server.Handler(s.h))
	return nil
}

// announce logs where the process is.
func (p *Process) announce() {
	url, replicas, _ := p.URLs()
	for i, r := range replicas {
		p.opts.Logger.Info("replica", "url", r, "replica", p.replicas[i].server.Load().app.Replica())
	}
	p.opts.Logger.Info("serving", "url", url)
}

// end stops what is served, and the applications of sites that did not come to that.
func (p *Process) end(ctx context.Context, sites []site) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(0, p.opts.Drain)+StopTimeout)
	defer cancel()
	n := len(p.replicas)
	errs := []error{p.Stop(ctx, max(0, p.opts.Drain))}
	for _, s := range sites[n:] {
		errs = append(errs, stopped(ctx, s.server))
	}
	return errors.Join(errs...)
}

// stopped stops the application of a server on which nothing is served.
func stopped(ctx context.Context, s *Server) error {
	if s == nil || s.app == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), StopTimeout)
	defer cancel()
	err := s.app.Stop(ctx, 0)
	s.Close()
	return err
}

// Handler returns a handler of the server's own addresses, those that say how it is, and those of
// h; nil: there are no others.
func (s *Server) Handler(h http.Handler) http.Handler {
	if h == nil {
		h = http.NotFoundHandler()
	}
	return s.Around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case isOwn(path, s.mount), isProbePath(path):
			s.own.ServeHTTP(w, r)
		default:
			h.ServeHTTP(w, r)
		}
	}))
}

// isOwn reports whether a path is below a mount.
func isOwn(path, mount string) bool {
	return mount != "" && len(path) > len(mount) && path[:len(mount)] == mount && path[len(mount)] == '/'
}

// keysOf returns the keys that sign what an application's pages have, where the options have none:
// see Options.Keys.
func (o *Options) keysOf(a *lockstep.App, getenv func(string) string) ([][]byte, error) {
	all, err := keys.FromEnvironment(getenv)
	if err != nil || len(all) > 0 {
		return all, err
	}
	if file, ok := a.Store().(interface{ Path() string }); ok {
		kept, err := keys.Kept(file.Path())
		return [][]byte{kept}, err
	}
	if o.fresh == nil {
		o.fresh = keys.Fresh()
	}
	return [][]byte{o.fresh}, nil
}
