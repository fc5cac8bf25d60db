// Package natspubsub is a driver over core NATS, with one subscription for each
// topic, so that only replicas that show a topic get its messages. It needs no
// JetStream, and stores nothing.
//
// NATS delivers at most once and cuts a subscriber that reads too slowly; that
// shows as a lost connection, after which the hub reloads. So does the notice of
// a server that it is about to shut down (lame duck mode). nats.go's own
// reconnection is off.
//
// In a cluster Subscribe returns when the server that it is connected to has the
// subscription. The others learn of it a moment later; what is published there
// before is missed, and found by the versions of what comes next.
package natspubsub

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"lockstep/pubsub/driver"
)

// openTimeout is how long one server may take until it is connected, and again
// until it has answered.
const openTimeout = 2 * time.Second

// A Driver opens connections to one NATS server, or to one of several that are a
// cluster. It is safe for concurrent use.
type Driver struct {
	url string // with its secrets
}

// NewDriver returns a driver for a URL. It does not connect. The error is about
// the URL and does not contain it.
//
//	nats://user:password@a:4222,b:4222   one of these servers; the port is 4222 by default
//	nats://token@a                       a token
//	nats://a?creds=FILE                  a JWT and its key, as "nsc" writes them
//	nats://a?nkey=FILE                   the seed of an NKey
//	tls://a?sslrootcert=FILE             TLS; sslmode, sslcert and sslkey as for PostgreSQL
//
// Files are read again for each connection, so that they can be replaced.
// A server that wants TLS gets it with nats://, too; tls:// insists.
func NewDriver(url string) (*Driver, error) {
	if _, err := options(url); err != nil {
		return nil, err
	}
	return &Driver{url}, nil
}

// options returns how to connect.
func options(url string) (nats.Options, error) {
	o, err := parse(url)
	if err != nil {
		return o, fmt.Errorf("natspubsub: %w", err)
	}
	o.Name = "lockstep"
	o.Timeout = openTimeout
	// What the servers of a cluster say of each other is not believed: who
	// deploys may have given addresses that others can't reach.
	o.IgnoreDiscoveredServers = true
	o.SkipHostLookup = true          // the dialler does it, and ends with its context
	o.ReconnectOnFlusherError = true // there is no reconnection, so it is the end
	return o, nil
}

// Name implements driver.Driver.
func (d *Driver) Name() string { return "nats" }

// Open implements driver.Driver: it connects to one of the servers, any of them.
func (d *Driver) Open(ctx context.Context) (driver.Conn, error) {
	o, err := options(d.url)
	if err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	undone := context.AfterFunc(ctx, end)
	c := newConn(end)
	err = c.connect(life, o)
	if !undone() { // ctx has ended: so has life
		err = ctx.Err()
	}
	if err == nil {
		err = c.fits()
	}
	if err != nil {
		err = fmt.Errorf("natspubsub: %s: %w", places(o.Servers), err)
		c.discard(err)
		return nil, err
	}
	c.start()
	return c, nil
}

// places returns the addresses of servers, for an error.
func places(servers []string) string {
	var all []string
	for _, s := range servers {
		_, addr, _ := strings.Cut(s, "://")
		all = append(all, addr)
	}
	return strings.Join(all, ",")
}
