package redisclient

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"lockstep/internal/tlsoptions"
)

// The ports of servers and sentinels where a URL has none.
const (
	serverPort   = "6379"
	sentinelPort = "26379"
)

var (
	errURL       = errors.New("not a valid Redis URL (redis://[user:password@]host:port/db)")
	errDatabase  = errors.New("not a valid Redis URL: a Redis Cluster has no numbered databases")
	errMaster    = errors.New("not a valid Redis URL: the one of a master that Sentinel watches has its name, as redis+sentinel://host1:26379,host2:26379/mymaster/0")
	errRetries   = errors.New("the Redis URL says how to try again: leave it out, for a call whose answer was lost would be done twice")
	errPubSub    = errors.New("pubsub in the URL of a Redis Cluster is one of sharded, classic, both")
	errTimeout   = errors.New("dial_timeout, read_timeout and write_timeout of the Redis URL are more than 0")
	errForOthers = errors.New("pubsub is for redis+cluster:// and rediss+cluster://, and sentinel_username and sentinel_password for redis+sentinel:// and rediss+sentinel://")
)

// settings are the options of a URL that go-redis knows, and that we leave to
// its user.
func settings() []string {
	return []string{
		"client_name", "conn_max_idle_time", "conn_max_lifetime", "conn_max_lifetime_jitter", "db", "dial_timeout",
		"idle_timeout", "max_active_conns", "max_concurrent_dials", "max_conn_age", "max_idle_conns", "min_idle_conns",
		"pipeline_pool_size", "pipeline_read_buffer_size", "pipeline_write_buffer_size", "pool_fifo", "pool_size", "pool_timeout",
		"protocol", "read_timeout", "skip_verify", "write_timeout",
	}
}

// retries are those that we don't.
func retries() []string { return []string{"max_retries", "max_retry_backoff", "min_retry_backoff"} }

// An address is what a URL says. It has secrets.
type address struct {
	kind     string // "", "+cluster" or "+sentinel"
	hosts    []string
	name     string         // of the master that sentinels watch
	options  *redis.Options // as the URL has them; of one server its address, too
	sentinel *url.Userinfo  // who we are at the sentinels; nil: nobody
	pubsub   string         // how a cluster broadcasts; "": not said
}

// parse reads a URL. No error contains it.
func parse(raw string) (*address, error) {
	scheme, rest, found := strings.Cut(raw, "://")
	secure, kind := strings.HasPrefix(scheme, "rediss"), strings.TrimPrefix(strings.TrimPrefix(scheme, "rediss"), "redis")
	if !found || !strings.HasPrefix(scheme, "redis") || !slices.Contains([]string{"", "+cluster", "+sentinel"}, kind) {
		return nil, errURL
	}
	rest, query, _ := strings.Cut(rest, "?")
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, errURL
	}
	a := &address{kind: kind}
	security := tlsoptions.Take(q)
	if err := a.takeOwn(q); err != nil {
		return nil, err
	}
	if err := a.takeSettings(q, secure); err != nil {
		return nil, err
	}
	if err := a.takeServers(rest); err != nil {
		return nil, err
	}
	return a, security.Apply(a.options.TLSConfig, secureSchemes)
}

// takeOwn takes out of a query what is an option of one kind alone.
func (a *address) takeOwn(q url.Values) error {
	a.pubsub = q.Get("pubsub")
	switch {
	case q.Has("pubsub") && !slices.Contains([]string{"sharded", "classic", "both"}, a.pubsub):
		return errPubSub
	case q.Has("sentinel_username") || q.Has("sentinel_password"):
		a.sentinel = url.UserPassword(q.Get("sentinel_username"), q.Get("sentinel_password"))
	}
	if q.Has("pubsub") && a.kind != "+cluster" || a.sentinel != nil && a.kind != "+sentinel" {
		return errForOthers
	}
	for _, name := range []string{"pubsub", "sentinel_username", "sentinel_password"} {
		q.Del(name)
	}
	return nil
}

// takeSettings reads the options that go-redis knows, as it does. The name of
// one that it doesn't know is not shown: a password with a ? in it would be one.
func (a *address) takeSettings(q url.Values, secure bool) (err error) {
	scheme := "redis"
	if secure {
		scheme = "rediss"
	}
	for name := range q {
		switch {
		case slices.Contains(retries(), name):
			return errRetries
		case name == "db" && a.kind == "+cluster":
			return errDatabase
		case !slices.Contains(settings(), name) || name == "skip_verify" && !secure:
			return errors.New("not a valid Redis URL: it has an option that is not known; known are " + strings.Join(settings(), ", ") + ", and those of TLS")
		}
		if _, err := redis.ParseURL(scheme + "://host?" + url.Values{name: q[name]}.Encode()); err != nil {
			return fmt.Errorf("the value of %s in the Redis URL can't be read", name)
		}
	}
	if a.options, err = redis.ParseURL(scheme + "://host?" + q.Encode()); err != nil {
		return errURL
	}
	if a.options.DialTimeout < 0 || a.options.ReadTimeout < 0 || a.options.WriteTimeout < 0 {
		return errTimeout
	}
	return nil
}

// takeServers reads what stands before the options: [user:password@]hosts[/path].
func (a *address) takeServers(rest string) error {
	at := strings.LastIndexByte(rest, '@') + 1
	hosts, path, _ := strings.Cut(rest[at:], "/")
	user, err := url.Parse("redis://" + rest[:at] + "host")
	if err != nil || user.Host != "host" || strings.ContainsAny(rest[at:], "#? ") { // there is a / in the password
		return errURL
	}
	a.options.Username = user.User.Username()
	a.options.Password, _ = user.User.Password()
	if a.kind == "" {
		return a.takeServer(hosts, path)
	}
	port := serverPort
	if a.kind == "+sentinel" {
		port = sentinelPort
	}
	for host := range strings.SplitSeq(hosts, ",") {
		if host == "" {
			return errURL
		}
		a.hosts = append(a.hosts, withPort(host, port))
	}
	a.options.TLSConfig = anyName(a.options.TLSConfig)
	if a.kind == "+sentinel" {
		return a.takeMaster(path)
	}
	if path != "" {
		return errURL
	}
	return nil
}

// takeServer reads where one server is, as go-redis does.
func (a *address) takeServer(host, path string) error {
	one, err := redis.ParseURL("redis://" + host + "/" + path)
	if err != nil {
		return errURL
	}
	a.options.Addr = one.Addr
	if a.options.DB == 0 {
		a.options.DB = one.DB
	}
	if a.options.TLSConfig != nil {
		a.options.TLSConfig.ServerName, _, err = net.SplitHostPort(one.Addr)
	}
	return err
}

// takeMaster reads name[/db].
func (a *address) takeMaster(path string) error {
	name, db, _ := strings.Cut(path, "/")
	name, err := url.PathUnescape(name)
	if err != nil || name == "" {
		return errMaster
	}
	one, err := redis.ParseURL("redis://host/" + db)
	if err != nil {
		return errMaster
	}
	a.name, a.options.Addr = name, name
	if a.options.DB == 0 {
		a.options.DB = one.DB
	}
	return nil
}

// withPort returns a host with a port, which it may have.
func withPort(host, port string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

// anyName is how TLS is spoken with several servers: the name of each is added
// when it is dialled.
func anyName(c *tls.Config) *tls.Config {
	if c != nil {
		c.ServerName = ""
	}
	return c
}
