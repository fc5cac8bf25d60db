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
	"errors"
	"fmt"
	"net"
	"slices"
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
	where func() (place, error) // asked for each connection
}

// A place is how to connect, and as whom.
type place struct {
	options nats.Options // with its secrets; the dialler is beside it
	dial    dialFunc
	tls     bool // dial brings TLS
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
	where := func() (place, error) {
		o, err := parse(url)
		if err != nil {
			return place{}, fmt.Errorf("natspubsub: %w", err)
		}
		prepare(&o)
		return place{options: o, dial: (&net.Dialer{Timeout: openTimeout}).DialContext}, nil
	}
	if _, err := where(); err != nil {
		return nil, err
	}
	return &Driver{where}, nil
}

// NewDriverLike returns a driver that connects where a connection of the program does: with its
// servers, TLS, user, dialler and proxy, also to a server in the process. It has connections of its
// own, one for each hub, and never uses or closes the program's, which may be closed at any time. A
// CustomDialer must return by itself, since it knows no context. Nil is an error.
func NewDriverLike(nc *nats.Conn) (*Driver, error) {
	if nc == nil {
		return nil, errNoConn
	}
	like := likeOf(&nc.Opts)
	return &Driver{func() (place, error) { return like, nil }}, nil
}

// errNoConn is the error of a connection that is nil.
var errNoConn = errors.New("natspubsub: there is no connection")

// likeOf returns where options lead, and nothing else of them: callbacks are the program's, and
// what nats.go does when a connection is lost, or with what we say ourselves, is ours to decide.
func likeOf(o *nats.Options) place {
	own := nats.Options{
		Url: o.Url, Servers: slices.Clone(o.Servers), NoRandomize: o.NoRandomize,
		Secure: o.Secure, TLSConfig: o.TLSConfig, TLSCertCB: o.TLSCertCB, TLSHandshakeFirst: o.TLSHandshakeFirst, RootCAsCB: o.RootCAsCB,
		UserJWT: o.UserJWT, Nkey: o.Nkey, SignatureCB: o.SignatureCB,
		User: o.User, Password: o.Password, UserInfo: o.UserInfo, Token: o.Token, TokenHandler: o.TokenHandler,
		ProxyPath: o.ProxyPath, Compression: o.Compression, InboxPrefix: o.InboxPrefix,
		WebSocketConnectionHeaders: o.WebSocketConnectionHeaders, WebSocketConnectionHeadersHandler: o.WebSocketConnectionHeadersHandler,
	}
	prepare(&own)
	skips, ok := o.CustomDialer.(interface{ SkipTLSHandshake() bool })
	return place{own, dialLike(o), ok && skips.SkipTLSHandshake()}
}

// dialLike is how options have connections made.
func dialLike(o *nats.Options) dialFunc {
	if server := o.InProcessServer; server != nil {
		return func(context.Context, string, string) (net.Conn, error) { return server.InProcessConn() }
	}
	if d := o.CustomDialer; d != nil {
		return func(_ context.Context, network, addr string) (net.Conn, error) { return d.Dial(network, addr) }
	}
	var d net.Dialer
	if o.Dialer != nil {
		d = *o.Dialer
	}
	d.Timeout = openTimeout
	return d.DialContext
}

// prepare sets what is the same for all connections.
func prepare(o *nats.Options) {
	o.Name = "lockstep"
	o.Timeout = openTimeout
	// What the servers of a cluster say of each other is not believed: who
	// deploys may have given addresses that others can't reach.
	o.IgnoreDiscoveredServers = true
	o.SkipHostLookup = true          // the dialler does it, and ends with its context
	o.ReconnectOnFlusherError = true // there is no reconnection, so it is the end
}

// Name implements driver.Driver.
func (d *Driver) Name() string { return "nats" }

// Open implements driver.Driver: it connects to one of the servers, any of them.
func (d *Driver) Open(ctx context.Context) (driver.Conn, error) {
	at, err := d.where()
	if err != nil {
		return nil, err
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	undone := context.AfterFunc(ctx, end)
	c := newConn(end)
	err = c.connect(life, at)
	if !undone() { // ctx has ended: so has life
		err = ctx.Err()
	}
	if err == nil {
		err = c.fits()
	}
	if err != nil {
		err = fmt.Errorf("natspubsub: %s: %w", places(at.options.Servers), err)
		c.discard(err)
		return nil, err
	}
	c.start()
	return c, nil
}

// places returns the addresses of servers, for an error: without what lets in there.
func places(servers []string) string {
	var all []string
	for _, s := range servers {
		if _, rest, ok := strings.Cut(s, "://"); ok {
			s = rest
		}
		all = append(all, s[strings.LastIndexByte(s, '@')+1:])
	}
	return strings.Join(all, ",")
}
