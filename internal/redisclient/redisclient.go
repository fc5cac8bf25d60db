// Package redisclient makes go-redis clients with the settings that this
// project needs: no retry that the caller does not see, bounded dialling,
// connections that prove that they are to a master. It is shared by the driver
// and the store for Redis, and knows neither.
package redisclient

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"lockstep/internal/tlsoptions"
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
const secureSchemes = "rediss:// and rediss+cluster://"

var errURL = errors.New("not a valid Redis URL (redis://[user:password@]host:port/db)")

// New returns a client for a redis://, rediss://, redis+cluster:// or
// rediss+cluster:// URL. It does not connect. The error does not contain the
// URL, which may hold a password.
//
// With TLS the options sslmode, sslrootcert, sslcert and sslkey mean what they
// mean for PostgreSQL: see package tlsoptions. Other options are those of
// redis.ParseURL; for a cluster there are none.
//
// A connection to a server that says that it is a replica is an error
// (ErrReplica), except in a cluster, where nodes say themselves who is asked.
//
// A new connection costs two round trips before its first call, which waits for
// them in its own time: go-redis names itself in none, and see ask.
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

// cutSecurity takes the options of TLS out of a URL: go-redis does not know them.
func cutSecurity(raw string) (rest string, o tlsoptions.Options, err error) {
	rest, query, found := strings.Cut(raw, "?")
	if !found {
		return raw, o, nil
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		return "", o, errURL
	}
	o = tlsoptions.Take(q)
	if len(q) > 0 {
		rest += "?" + q.Encode()
	}
	return rest, o, nil
}

// A use is what a client is for.
type use struct {
	store bool               // what is written is to last
	seen  *precondition.Part // is told what each server does not meet; nil: nobody
}

func newClient(raw string, u use) (redis.UniversalClient, error) {
	raw, f, err := cutSecurity(raw)
	if err != nil {
		return nil, err
	}
	if rest, ok := strings.CutPrefix(raw, "redis+cluster://"); ok {
		return cluster(rest, f, nil, u)
	}
	if rest, ok := strings.CutPrefix(raw, "rediss+cluster://"); ok {
		return cluster(rest, f, &tls.Config{MinVersion: tls.VersionTLS12}, u) // the name of each node is added
	}
	o, err := redis.ParseURL(raw)
	if err != nil {
		return nil, errURL
	}
	if err := f.Apply(o.TLSConfig, secureSchemes); err != nil {
		return nil, err
	}
	if o.TLSConfig != nil {
		o.Dialer = secureDialer(o.TLSConfig)
	}
	return single(o, u), nil
}

// single returns a client of one server, with our settings.
func single(o *redis.Options, u use) redis.UniversalClient {
	o.MaxRetries, o.DialerRetries = -1, 1
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = dialTimeout, ioTimeout, ioTimeout
	o.PoolSize, o.ContextTimeoutEnabled = pool, true
	if o.ConnMaxLifetime == 0 {
		o.ConnMaxLifetime, o.ConnMaxLifetimeJitter = lifetime, lifetime/4
	}
	o.OnConnect, o.DisableIdentity = both(o.OnConnect, u.prove), true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(o)
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

// cluster reads [user:password@]host:port,host:port.
func cluster(rest string, f tlsoptions.Options, secure *tls.Config, use use) (redis.UniversalClient, error) {
	if err := f.Apply(secure, secureSchemes); err != nil {
		return nil, err
	}
	o := &redis.ClusterOptions{TLSConfig: secure}
	if secure != nil {
		o.Dialer = secureDialer(secure)
	}
	at := strings.LastIndexByte(rest, '@')
	if at >= 0 {
		u, err := url.Parse("redis://" + rest[:at+1] + "host")
		if err != nil || u.Host != "host" { // there is a / in the password
			return nil, errURL
		}
		o.Username = u.User.Username()
		o.Password, _ = u.User.Password()
	}
	for host := range strings.SplitSeq(strings.TrimSuffix(rest[at+1:], "/"), ",") {
		if host == "" || strings.ContainsAny(host, "/@?# ") {
			return nil, errURL
		}
		o.Addrs = append(o.Addrs, host)
	}
	return several(o, use), nil
}

// several returns a client of a cluster, with our settings.
func several(o *redis.ClusterOptions, u use) redis.UniversalClient {
	o.MaxRetries, o.DialerRetries = -1, 1
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = dialTimeout, ioTimeout, ioTimeout
	o.PoolSize, o.ContextTimeoutEnabled = pool, true
	o.ConnMaxLifetime, o.ConnMaxLifetimeJitter, o.ClusterStateReloadInterval = lifetime, lifetime/4, reload
	o.NewClient = func(o *redis.Options) *redis.Client {
		o.OnConnect, o.DisableIdentity = both(o.OnConnect, u.look(o.Addr)), true
		return redis.NewClient(o)
	}
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClusterClient(o)
}

// secureDialer is go-redis's own dialler for TLS, except that it ends with its
// context. It adds the host's name to c if there is none.
func secureDialer(c *tls.Config) func(ctx context.Context, network, addr string) (net.Conn, error) {
	d := &tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout}, Config: c} // handshake included
	return d.DialContext
}

// Silence stops go-redis from writing to standard error on its own, for the
// whole process: its errors are returned, and logged where they end. Programs
// call it once; a library must not.
func Silence() { redis.SetLogger(&logging.VoidLogger{}) }
