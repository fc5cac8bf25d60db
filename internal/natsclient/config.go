package natsclient

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// openTimeout is how long one server may take until it is connected, and again
// until it has answered.
const openTimeout = 2 * time.Second

// A Config is how to connect, and as whom.
type Config struct {
	nats.Options // with its secrets; CustomDialer is for Dialer to make
	dial         func(ctx context.Context, network, addr string) (net.Conn, error)
	tls          bool // dial brings TLS
	// Replicas is how many servers are to keep what is stored. Zero: as many as
	// make sense.
	Replicas int
	// Synced says that whoever has written the URL knows that the servers have
	// sync_interval: always, which they don't tell.
	Synced bool
}

var errNoConn = errors.New("there is no connection")

// Like returns how to connect where a connection of the program does, and nothing else of its
// options: callbacks are the program's, and what nats.go does when a connection is lost, or with
// what we say ourselves, is ours to decide. The connection is not used. Nil is an error.
func Like(nc *nats.Conn) (Config, error) {
	if nc == nil {
		return Config{}, errNoConn
	}
	o := &nc.Opts
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
	return Config{Options: own, dial: dialLike(o), tls: ok && skips.SkipTLSHandshake()}, nil
}

// dialLike is how options have connections made.
func dialLike(o *nats.Options) func(ctx context.Context, network, addr string) (net.Conn, error) {
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
	o.AllowReconnect = false // whoever connects begins anew
	o.Timeout = openTimeout
	// What the servers of a cluster say of each other is not believed: who
	// deploys may have given addresses that others can't reach.
	o.IgnoreDiscoveredServers = true
	o.SkipHostLookup = true          // the dialler does it, and ends with its context
	o.ReconnectOnFlusherError = true // there is no reconnection, so it is the end
}

// Dialer returns a dialler whose connections end with life, and at once every call on them: nats.go
// waits for a write, its Close included, and knows no context. made is told of each attempt, and
// returns what takes the place of the connection.
func (c *Config) Dialer(life context.Context, made func(addr string, raw net.Conn, err error) (net.Conn, error)) nats.CustomDialer {
	return dialer{tls: c.tls, dial: func(network, addr string) (net.Conn, error) {
		raw, err := c.dial(life, network, addr)
		if err != nil {
			return made(addr, nil, err)
		}
		context.AfterFunc(life, func() { _ = raw.Close() }) // it has ended: nobody can act on its error
		return made(addr, raw, nil)
	}}
}

// A dialer is a nats.CustomDialer.
type dialer struct {
	dial func(network, addr string) (net.Conn, error)
	tls  bool // what it makes has TLS already
}

// Dial implements nats.CustomDialer.
func (d dialer) Dial(network, addr string) (net.Conn, error) { return d.dial(network, addr) }

// SkipTLSHandshake is what nats.go asks of diallers that have it.
func (d dialer) SkipTLSHandshake() bool { return d.tls }

// Places returns the addresses of the servers, for an error: without what lets in there.
func (c *Config) Places() string {
	var all []string
	for _, s := range c.Servers {
		if _, rest, ok := strings.Cut(s, "://"); ok {
			s = rest
		}
		all = append(all, s[strings.LastIndexByte(s, '@')+1:])
	}
	return strings.Join(all, ",")
}
