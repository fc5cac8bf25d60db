// Package redisclient makes go-redis clients with the settings that this
// project needs: no retry that the caller does not see, bounded dialling,
// connections that prove that they are to a master. It is shared by the driver
// and the store for Redis, and knows neither.
package redisclient

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"lockstep/precondition"
)

const (
	dialTimeout = 2 * time.Second
	ioTimeout   = 3 * time.Second
	// pool is how many connections one client keeps: calls are merged before
	// they get here.
	pool = 8
	// lifetime is how long a connection is used, where the URL does not say
	// conn_max_lifetime: an address that leads elsewhere is followed even when
	// the server that it led to does not know that it was replaced.
	lifetime = time.Minute
	// reload is how often a client asks a cluster, while it is used, who has what:
	// one whose node died would go on asking that for as long.
	reload = time.Second
)

// secureSchemes are those whose URLs may have options of TLS.
const secureSchemes = "rediss://, rediss+cluster:// and rediss+sentinel://"

// New returns a client for a URL. It does not connect. The error does not
// contain the URL, which may hold a password.
//
//	redis://user:password@host:6379/0         one server; rediss:// with TLS
//	redis+cluster://host1:6379,host2          a Redis Cluster; rediss+cluster:// with TLS
//	redis+sentinel://host1:26379,host2/name/0 the master of that name, which these sentinels
//	                                          watch; rediss+sentinel:// with TLS for both
//
// User and password are those of the servers. sentinel_username and
// sentinel_password are those of the sentinels, which have none without them.
//
// With TLS the options sslmode, sslrootcert, sslcert and sslkey mean what they
// mean for PostgreSQL: see package tlsoptions. Other options are those of
// redis.ParseURL, for all kinds of URLs, but for those that have go-redis try
// again: they are refused, and so is what is not known. pubsub is for the
// broker: see PubSub.
//
// A connection to a server that says that it is a replica is an error
// (ErrReplica), except in a cluster, where nodes say themselves who is asked. So
// is one to a Redis that is older than 7.0.
//
// A new connection costs two round trips before its first call, which waits for
// them in its own time: go-redis names itself in none, and see ask. Sentinels
// are asked before, for each connection.
//
// MaxRetries is off: a retried INCR whose answer was lost is applied twice and
// reported as success (measured with go-redis 9.23). Maintenance
// notifications are off: plain servers do not know them.
func New(raw string) (redis.UniversalClient, error) { return newClient(raw, use{}) }

// NewBroker is New for a broker. seen is told what each server does not meet;
// nil: nobody.
func NewBroker(raw string, seen *precondition.Part) (redis.UniversalClient, error) {
	return newClient(raw, use{seen: seen})
}

// PubSub returns what the URL of a cluster says of how it broadcasts: "sharded",
// "classic" or "both"; "" where it says nothing, and for all other URLs.
func PubSub(raw string) (string, error) {
	a, err := parse(raw)
	if err != nil {
		return "", err
	}
	return a.pubsub, nil
}

// A use is what a client is for.
type use struct {
	store   bool               // what is written is to last
	watched bool               // by Sentinel
	seen    *precondition.Part // is told what each server does not meet; nil: nobody
}

func newClient(raw string, u use) (redis.UniversalClient, error) {
	a, err := parse(raw)
	if err != nil {
		return nil, err
	}
	switch a.kind {
	case "+cluster":
		return several(a.cluster(), u), nil
	case "+sentinel":
		return watched(a, u), nil
	}
	if a.options.TLSConfig != nil {
		a.options.Dialer = plainDialer(a.options)
	}
	return single(a.options, u), nil
}

// single returns a client of one server, with our settings where there are none.
func single(o *redis.Options, u use) redis.UniversalClient {
	o.MaxRetries, o.DialerRetries = -1, 1
	o.DialTimeout = orTimeout(o.DialTimeout, dialTimeout)
	o.ReadTimeout, o.WriteTimeout = orTimeout(o.ReadTimeout, ioTimeout), orTimeout(o.WriteTimeout, ioTimeout)
	o.PoolSize, o.PipelinePoolSize = cmp.Or(o.PoolSize, pool), cmp.Or(o.PipelinePoolSize, -1)
	o.ContextTimeoutEnabled = true
	if o.ConnMaxLifetime == 0 {
		o.ConnMaxLifetime, o.ConnMaxLifetimeJitter = lifetime, lifetime/4
	}
	o.OnConnect, o.DisableIdentity = both(o.OnConnect, u.prove), true
	o.MaintNotificationsConfig = noNotifications()
	return redis.NewClient(o)
}

// orTimeout returns a timeout, or the one in its place where there is none.
func orTimeout(d, otherwise time.Duration) time.Duration { return cmp.Or(d, otherwise) }

// noNotifications is that servers are not asked for what only some know.
func noNotifications() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// A hook is redis.Options.OnConnect.
type hook = func(context.Context, *redis.Conn) error

// both returns a hook that is one and then the other; the first may be nil.
func both(one, other hook) hook {
	if one == nil {
		return other
	}
	return func(ctx context.Context, c *redis.Conn) error {
		if err := one(ctx, c); err != nil {
			return err
		}
		return other(ctx, c)
	}
}

// cluster returns what go-redis wants to know of a cluster.
func (a *address) cluster() *redis.ClusterOptions {
	o := a.options
	c := &redis.ClusterOptions{
		Addrs: a.hosts, TLSConfig: o.TLSConfig, Username: o.Username, Password: o.Password, ClientName: o.ClientName, Protocol: o.Protocol,
		DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
		PoolFIFO: o.PoolFIFO, PoolSize: o.PoolSize, PoolTimeout: o.PoolTimeout, MinIdleConns: o.MinIdleConns, MaxIdleConns: o.MaxIdleConns,
		MaxActiveConns: o.MaxActiveConns, MaxConcurrentDials: o.MaxConcurrentDials, PipelinePoolSize: o.PipelinePoolSize,
		PipelineReadBufferSize: o.PipelineReadBufferSize, PipelineWriteBufferSize: o.PipelineWriteBufferSize,
		ConnMaxIdleTime: o.ConnMaxIdleTime, ConnMaxLifetime: o.ConnMaxLifetime, ConnMaxLifetimeJitter: o.ConnMaxLifetimeJitter,
	}
	if o.TLSConfig != nil {
		c.Dialer = plainDialer(o)
	}
	return c
}

// several returns a client of a cluster, with our settings where there are none.
func several(o *redis.ClusterOptions, u use) redis.UniversalClient {
	o.MaxRetries, o.DialerRetries = -1, 1
	o.DialTimeout = orTimeout(o.DialTimeout, dialTimeout)
	o.ReadTimeout, o.WriteTimeout = orTimeout(o.ReadTimeout, ioTimeout), orTimeout(o.WriteTimeout, ioTimeout)
	o.PoolSize, o.PipelinePoolSize = cmp.Or(o.PoolSize, pool), cmp.Or(o.PipelinePoolSize, -1)
	o.ContextTimeoutEnabled, o.ClusterStateReloadInterval = true, reload
	if o.ConnMaxLifetime == 0 {
		o.ConnMaxLifetime, o.ConnMaxLifetimeJitter = lifetime, lifetime/4
	}
	o.NewClient = func(o *redis.Options) *redis.Client {
		o.OnConnect, o.DisableIdentity = both(o.OnConnect, u.look(o.Addr)), true
		return redis.NewClient(o)
	}
	o.MaintNotificationsConfig = noNotifications()
	return redis.NewClusterClient(o)
}

// plainDialer is go-redis's own dialler, with TLS where there is, except that it
// ends with its context. The host's name is added to what TLS checks if there
// is none.
func plainDialer(o *redis.Options) dialer {
	d := &net.Dialer{Timeout: orTimeout(o.DialTimeout, dialTimeout)}
	if o.TLSConfig == nil {
		return d.DialContext
	}
	return (&tls.Dialer{NetDialer: d, Config: o.TLSConfig}).DialContext // handshake included
}

// Silence stops go-redis from writing to standard error on its own, for the
// whole process: its errors are returned, and logged where they end. Programs
// call it once; a library must not.
func Silence() { redis.SetLogger(&logging.VoidLogger{}) }
