// Package natsembedded runs a NATS server in the process of a replica, so that replicas need no
// broker and no store beside them. Servers that name each other are a cluster: three of them
// survive the loss of any one, with all that was acknowledged, and a fourth can take its place.
//
//	s, err := natsembedded.Start(&natsembedded.Options{
//		Listen: "10.0.0.1:6222", Peers: []string{"10.0.0.2:6222", "10.0.0.3:6222"}, Secret: keys,
//	})
//
// It is the broker (Driver) and the store (Open) of package natspubsub and package natsstate, over
// connections within the process. Nothing else can connect: the server listens for its peers alone,
// who prove with TLS in both directions that they have the secret.
//
// What is acknowledged is on the disks of a majority: each write is brought there before. So
// nothing can be written, or read anew, while fewer than a majority of the peers run.
//
// This is for a few replicas that keep what they know themselves. Its servers are of NATS as
// everywhere; whoever has a cluster of NATS needs package natspubsub and package natsstate alone.
// It is a module of its own, since it has all of the server in it.
package natsembedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"lockstep/pubsub/natspubsub"
	"lockstep/state/natsstate"
)

const (
	// DefaultDir is Options.Dir where there is none.
	DefaultDir = "data/nats"
	// MaxPeers is how many servers a cluster has at most, itself included: each is connected to all.
	MaxPeers = 16

	// startTimeout is how long a server may take until it listens. It reads what it has kept before.
	startTimeout = time.Minute
	listenAgain  = 100 * time.Millisecond
	// routePing is how often peers are asked whether they are there: one that is frozen, or whose
	// cable is cut, is given up after three.
	routePing = 2 * time.Second
	// mostKept is how many servers keep the states, where there are as many.
	mostKept = 3
)

// Options of a Server. Zero values are the defaults.
type Options struct {
	// Dir is the folder in which it keeps states, its own; it is made where it is missing. Default
	// DefaultDir.
	Dir string
	// Listen is the host:port at which its peers reach it: it listens there, and is known by it, so
	// it must be an address that they can use, and no wildcard. "": it is alone.
	Listen string
	// Peers are the addresses of the others, as their Listen has them; its own may be among them, so
	// that the list is the same for all. Each of them must be able to reach each. A cluster begins
	// when a majority of them is there.
	Peers []string
	// Replaces are addresses of peers that never come back: they no longer count, and what they kept
	// is copied to one that lives, such as this one. It is for the first start of a peer that takes
	// the place of another; later it does nothing; when somebody else has come to the address since,
	// it warns. A peer that comes back at its own address with an empty folder takes its own place
	// without it.
	Replaces []string
	// Secret is the keys by which peers know each other, of at least 32 bytes each: the first proves,
	// all are believed, so that they can be replaced one after the other. Needed with Listen.
	Secret [][]byte
	// Logger is told what the server says. Nil: slog.Default().
	Logger *slog.Logger
}

// Check returns what is wrong with the options, or nil. It opens nothing.
func (o *Options) Check() error {
	_, err := newCluster(o)
	return err
}

// A Server is a NATS server of this process. It is safe for concurrent use.
type Server struct {
	// set once
	lock    *flock.Flock   // of the folder
	nats    *server.Server // nil: it has not started
	log     *slog.Logger
	conn    *nats.Conn // of applications
	admin   *nats.Conn // of the system account
	kept    int        // how many servers keep the states
	members sync.WaitGroup
	cut     context.CancelFunc // ends members
	stop    sync.Once
}

// Start starts a server, which has read what it has kept when Start returns, and may have yet to
// find its peers: see Await. A folder is used by one server at a time, and either alone or in a
// cluster. Nil options are the defaults. Its errors are one line each, without any secret.
func Start(opts *Options) (*Server, error) {
	s, err := start(opts)
	if err != nil {
		return nil, fmt.Errorf("natsembedded: %w", err)
	}
	return s, nil
}

func start(opts *Options) (*Server, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	o.Dir = cmp.Or(o.Dir, DefaultDir)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	c, err := newCluster(&o)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	s := &Server{lock: flock.New(filepath.Join(o.Dir, "lock")), log: o.Logger, kept: c.kept(), cut: func() {}}
	if err := s.begin(&o, c); err != nil {
		s.Stop()
		return nil, err
	}
	if c != nil {
		s.join(c)
	}
	return s, nil
}

// begin locks the folder, and starts the server.
func (s *Server) begin(o *Options, c *cluster) error {
	if locked, err := s.lock.TryLock(); err != nil || !locked {
		return cmp.Or(err, fmt.Errorf("%s is used by another process", o.Dir))
	}
	if err := fits(o.Dir, c != nil); err != nil {
		return err
	}
	id, err := identity(o.Dir)
	if err != nil {
		return err
	}
	users, err := newUsers()
	if err != nil {
		return err
	}
	if s.nats, err = run(settings(o, c, id, users), &said{log: o.Logger}); err != nil {
		return err
	}
	return s.connect(users)
}

// run starts a server, and waits until it listens.
func run(o *server.Options, log *said) (*server.Server, error) {
	ns, err := server.NewServer(o)
	if err != nil {
		return nil, err
	}
	ns.SetLoggerV2(log, false, false, false)
	ns.Start()
	for end := time.Now().Add(startTimeout); time.Now().Before(end) && log.fatal() == nil; {
		if ns.ReadyForConnections(listenAgain) && ns.JetStreamEnabled() {
			return ns, nil
		}
	}
	ns.Shutdown()
	ns.WaitForShutdown()
	return nil, cmp.Or(log.fatal(), log.last(), errors.New("the server did not start"))
}

// connect makes the connections within the process.
func (s *Server) connect(u users) (err error) {
	if s.conn, err = u.application.connect(s.nats); err != nil {
		return err
	}
	s.admin, err = u.system.connect(s.nats)
	return err
}

// Await returns when the store can be used: at once where the server is alone, and in a cluster
// when a majority of its peers is there. Until then it logs each half a minute that it waits. It
// returns the error of ctx when that ends before.
func (s *Server) Await(ctx context.Context) error {
	tell := time.Now().Add(tellFirst)
	for {
		err := s.await(ctx, tell)
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		s.log.Info("waiting for a majority of the peers", "connected", s.connected())
		tell = time.Now().Add(tellAgain)
	}
}

// await asks again until the store can be used, ctx ends, or it is time to tell of it.
func (s *Server) await(ctx context.Context, tell time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, tell)
	defer cancel()
	tick := time.NewTicker(askAgain)
	defer tick.Stop()
	for s.ready(ctx) != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// connected is how many peers this one is connected to.
func (s *Server) connected() int {
	routes, err := s.nats.Routez(nil)
	if err != nil {
		return 0
	}
	peers := map[string]bool{}
	for _, r := range routes.Routes {
		peers[r.RemoteID] = true
	}
	return len(peers)
}

const (
	askAgain  = 250 * time.Millisecond
	tellFirst = 3 * time.Second
	tellAgain = 30 * time.Second
)

// ready returns why the store can't be used yet, or nil.
func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second) // nobody answers where nobody leads
	defer cancel()
	return ask(ctx, s.conn, server.JSApiAccountInfo, nil)
}

// Driver returns a driver of a hub that speaks over this server. Its connections end with it.
func (s *Server) Driver() (*natspubsub.Driver, error) { return natspubsub.NewDriverLike(s.conn) }

// Open opens the store that is on this server and its peers, which the caller closes. Of opts,
// Replicas and Synced are the server's to say: three servers keep the states, or all where there
// are fewer. Nil options are the defaults.
func (s *Server) Open(ctx context.Context, opts *natsstate.Options) (*natsstate.Store, error) {
	var o natsstate.Options
	if opts != nil {
		o = *opts
	}
	o.Replicas, o.Synced = s.kept, true
	return natsstate.OpenLike(ctx, s.conn, &o)
}

// Stop ends the server, after everything that uses it. What it leads it gives to its peers before,
// so that they need not find out. It waits for all of it; Stop twice is harmless.
func (s *Server) Stop() {
	s.stop.Do(func() {
		s.cut()
		s.members.Wait()
		for _, nc := range []*nats.Conn{s.conn, s.admin} {
			if nc != nil {
				nc.Close()
			}
		}
		if s.nats != nil {
			s.nats.Shutdown()
			s.nats.WaitForShutdown()
		}
		_ = s.lock.Close() // its end is that of the process, at the latest
	})
}
