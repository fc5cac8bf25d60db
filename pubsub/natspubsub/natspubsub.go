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

	"github.com/nats-io/nats.go"

	"lockstep/internal/natsclient"
	"lockstep/pubsub/driver"
)

// A Driver opens connections to one NATS server, or to one of several that are a
// cluster. It is safe for concurrent use.
type Driver struct {
	where func() (natsclient.Config, error) // asked for each connection
}

// NewDriver returns a driver for a URL, as package natsclient reads it. It does not
// connect. The error is about the URL and does not contain it.
//
//	nats://user:password@a:4222,b:4222   one of these servers; the port is 4222 by default
//	nats://token@a                       a token
//	nats://a?creds=FILE                  a JWT and its key, as "nsc" writes them
//	nats://a?nkey=FILE                   the seed of an NKey
//	tls://a?sslrootcert=FILE             TLS; sslmode, sslcert and sslkey as for PostgreSQL
//
// Files are read again for each connection, so that they can be replaced.
// A server that wants TLS gets it with nats://, too; tls:// insists. What a URL says
// of a store is not looked at.
func NewDriver(url string) (*Driver, error) {
	return newDriver(func() (natsclient.Config, error) { return natsclient.Parse(url) })
}

// NewDriverLike returns a driver that connects where a connection of the program does: with its
// servers, TLS, user, dialler and proxy, also to a server in the process. It has connections of its
// own, one for each hub, and never uses or closes the program's, which may be closed at any time. A
// CustomDialer must return by itself, since it knows no context. Nil is an error.
func NewDriverLike(nc *nats.Conn) (*Driver, error) {
	like, err := natsclient.Like(nc)
	return newDriver(func() (natsclient.Config, error) { return like, err })
}

func newDriver(where func() (natsclient.Config, error)) (*Driver, error) {
	if _, err := where(); err != nil {
		return nil, fmt.Errorf("natspubsub: %w", err)
	}
	return &Driver{where}, nil
}

// Name implements driver.Driver.
func (d *Driver) Name() string { return "nats" }

// Open implements driver.Driver: it connects to one of the servers, any of them.
func (d *Driver) Open(ctx context.Context) (driver.Conn, error) {
	at, err := d.where()
	if err != nil {
		return nil, fmt.Errorf("natspubsub: %w", err)
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	undone := context.AfterFunc(ctx, end)
	c := newConn(end)
	err = c.connect(life, &at)
	if !undone() { // ctx has ended: so has life
		err = ctx.Err()
	}
	if err == nil {
		err = c.fits()
	}
	if err != nil {
		err = fmt.Errorf("natspubsub: %s: %w", at.Places(), err)
		c.discard(err)
		return nil, err
	}
	c.start()
	return c, nil
}
