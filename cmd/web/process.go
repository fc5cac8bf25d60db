package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"time"

	"lockstep/app/web"
	"lockstep/static"
)

const (
	// startTimeout bounds how long backends may take to answer at start.
	startTimeout = 10 * time.Second
	// stopTimeout is what shutdown may take beyond the drain time.
	stopTimeout = 10 * time.Second
	// ownFiles is more than a process opens for anything but visitors.
	ownFiles = 64
)

// A process is everything that run has started.
type process struct {
	shelf    shelf
	replicas []*replica
	front    *server // the balancer; nil with one replica
	admin    *server // nil if there is none
	secure   bool    // the public address speaks TLS
	log      *slog.Logger
}

// start opens the backends and starts replicas, balancer and admin page. On
// an error nothing is left running.
func start(ctx context.Context, c config, log *slog.Logger) (*process, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	listeners, err := listenAll(ctx, c)
	if err != nil {
		return nil, err
	}
	p := &process{log: log, secure: c.TLS.on()}
	if err := p.openShelf(ctx, c); err != nil {
		closeAll(listeners)
		return nil, err
	}
	front, backs := listeners[0], listeners[1:]
	if len(backs) == 0 {
		front, backs = nil, listeners
	}
	for i, l := range backs {
		r, err := startReplica(ctx, l, replicaName(c, i, l), p.shelf, c, log)
		if err != nil {
			closeAll(listeners[i:])
			return nil, errors.Join(unreachable("-pubsub", c.PubSub, err), p.abort())
		}
		p.replicas = append(p.replicas, r)
	}
	if front != nil {
		p.startFront(front, backs, c)
	}
	if err := p.startAdmin(ctx, c); err != nil {
		return nil, errors.Join(err, p.abort())
	}
	return p, nil
}

// openShelf opens what the replicas share.
func (p *process) openShelf(ctx context.Context, c config) (err error) {
	if p.shelf.assets, err = static.New(); err != nil {
		return err
	}
	p.shelf.gate = newGate(p.maxConns(c))
	if p.shelf.tls, err = c.TLS.open(p.log); err != nil {
		return fmt.Errorf("-tls-cert, -tls-key: %w", err)
	}
	if p.shelf.driver, err = openDriver(c.PubSub, c.Prefix); err != nil {
		return usageError("-pubsub: %s", err)
	}
	if p.shelf.store, err = openStore(ctx, c.Store, c.Prefix); err != nil {
		return unreachable(storeFlag(c), c.Store, err)
	}
	if p.shelf.keys, err = signingKeys(c); err != nil {
		return errors.Join(fmt.Errorf("-secret: %w", err), p.shelf.store.Close())
	}
	return nil
}

// maxConns is -max-conns, or what the system allows; 0 is no limit.
func (p *process) maxConns(c config) int {
	files := maxFiles()
	// The rest is for backends, the store and what the program itself has open.
	most := files - max(files/10, min(ownFiles, files/2))
	if c.MaxConns == 0 {
		return most
	}
	if files > 0 && c.MaxConns > most {
		p.log.Warn("max_conns leaves little of the limit of open files", "max_conns", c.MaxConns, "files", files)
	}
	return c.MaxConns
}

// startFront starts the balancer. A connection to it is another one to a
// replica.
func (p *process) startFront(l net.Listener, backs []net.Listener, c config) {
	f := &front{
		next: newBalancer(addresses(backs), p.log), gate: p.shelf.gate, writeTimeout: c.WriteTimeout,
		trusted: c.TrustedProxies.prefixes, visitor: web.ForwardedFor(c.TrustedProxies.prefixes),
	}
	o := c.serverOptions()
	o.tls = p.shelf.tls
	o.door = p.shelf.gate.door(2, c.ConnsPerAddr, slices.Concat(c.TrustedProxies.prefixes, c.Exempt.prefixes), f.count)
	p.front = serveOn(l, f, o, p.log)
}

// listenAll takes all addresses before anything else is started: of one
// replica, or of the balancer and then of its replicas on the next ports.
func listenAll(ctx context.Context, c config) ([]net.Listener, error) {
	host, port, _ := net.SplitHostPort(c.Addr)
	first, _ := strconv.Atoi(port)
	n := c.Replicas
	if n > 1 {
		n++
	}
	var ls []net.Listener
	for i := range n {
		if i == 1 && c.TLS.on() {
			host = "localhost" // nobody else may see what is not encrypted
		}
		port := 0
		if first != 0 {
			port = first + i
		}
		addr := net.JoinHostPort(host, strconv.Itoa(port))
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
		if err != nil {
			closeAll(ls)
			return nil, fmt.Errorf("-addr: %w", err)
		}
		ls = append(ls, l)
	}
	return ls, nil
}

func closeAll(ls []net.Listener) {
	for _, l := range ls {
		_ = l.Close() // nothing was served on it
	}
}

func addresses(ls []net.Listener) (addrs []string) {
	for _, l := range ls {
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}

// replicaName is the name of the replica with index i.
func replicaName(c config, i int, l net.Listener) string {
	switch {
	case c.Replica == "" || c.Replicas == 1:
		return c.Replica
	}
	return c.Replica + "-" + strconv.Itoa(i+1)
}

func (p *process) startAdmin(ctx context.Context, c config) error {
	if c.Admin == "" {
		return nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Admin)
	if err != nil {
		return fmt.Errorf("-admin: %w", err)
	}
	var servers []*web.Server
	for _, r := range p.replicas {
		servers = append(servers, r.web)
	}
	admin := web.NewAdmin(servers, &web.AdminOptions{Version: version(), Refused: p.shelf.gate.refused})
	// Profiles take as long as one asks for.
	p.admin = serveOn(l, admin, serverOptions{header: c.HeaderTimeout, body: c.BodyTimeout, idle: c.IdleTimeout}, p.log)
	p.log.Info("admin", "url", "http://"+l.Addr().String()+"/debug/")
	return nil
}

// announce prints the addresses to open.
func (p *process) announce(w io.Writer) {
	public := p.replicas[0].server.listener
	if p.front != nil {
		public = p.front.listener
	}
	_, _ = fmt.Fprintf(w, "Lockstep is at %s\n", pageURL(public, p.secure)) // a closed pipe has no reader to tell
	if p.front != nil {
		for _, r := range p.replicas {
			_, _ = fmt.Fprintf(w, "  replica  %s\n", pageURL(r.server.listener, false))
		}
	}
	if p.admin != nil {
		_, _ = fmt.Fprintf(w, "  admin    http://%s/debug/\n", p.admin.listener.Addr())
	}
	_, _ = fmt.Fprintln(w, "Open it in several tabs and click.")
}

// pageURL is a listener's address as one would type it.
func pageURL(l net.Listener, secure bool) string {
	host, port, _ := net.SplitHostPort(l.Addr().String())
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() || ip.IsLoopback() {
		host = "localhost"
	}
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, port)
}

// public returns the servers that must not end by themselves.
func (p *process) public() (all []*server) {
	for _, r := range p.replicas {
		all = append(all, r.server)
	}
	if p.front != nil {
		all = append(all, p.front)
	}
	return all
}

// stop ends everything in the reverse order of start.
func (p *process) stop(ctx context.Context, drain time.Duration) error {
	var errs []error
	results := make(chan error, len(p.replicas))
	for _, r := range p.replicas {
		go func() { results <- r.stop(ctx, drain) }()
	}
	for range p.replicas {
		errs = append(errs, <-results)
	}
	errs = append(errs, p.front.stop(ctx), p.admin.stop(ctx))
	if p.shelf.store != nil {
		errs = append(errs, p.shelf.store.Close())
	}
	return errors.Join(slices.DeleteFunc(errs, func(err error) bool { return err == nil })...)
}

// abort is stop for a start that did not succeed.
func (p *process) abort() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return p.stop(ctx, 0)
}
