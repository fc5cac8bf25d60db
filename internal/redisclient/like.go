package redisclient

import (
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"lockstep/precondition"
)

// errNoClient is the error of a client that is nil.
var errNoClient = errors.New("there is no client of Redis")

// BrokerLike returns a client that leads where another one does, with the settings of New: see
// like. seen is told what each server does not meet; nil: nobody.
func BrokerLike(c redis.UniversalClient, seen *precondition.Part) (redis.UniversalClient, error) {
	return like(c, use{seen: seen})
}

// PoolLike returns a pool of clients that lead where another one does, as BrokerLike. It does not
// connect.
func PoolLike(c redis.UniversalClient, seen *precondition.Part) (*Pool, error) {
	return newPool(func() (redis.UniversalClient, error) { return like(c, use{store: true, seen: seen}) })
}

// like takes from a client where it leads and who it is there: address, dialler, TLS, user,
// database. How often it tries, how long it waits and what it keeps are ours: a call that is sent
// twice in silence is what we can't have. Connections are its own, so the other client may be used
// for anything, and is closed by whoever has made it.
func like(c redis.UniversalClient, u use) (redis.UniversalClient, error) {
	switch c := c.(type) {
	case *redis.Client:
		if c != nil {
			return single(optionsLike(c.Options()), u), nil
		}
	case *redis.ClusterClient:
		if c != nil {
			return several(clusterLike(c.Options()), u), nil
		}
	case nil:
	default:
		return nil, fmt.Errorf("no use for a %T: it is to be a *redis.Client or a *redis.ClusterClient", c)
	}
	return nil, errNoClient
}

func optionsLike(o *redis.Options) *redis.Options {
	return &redis.Options{
		Network: o.Network, Addr: o.Addr, DB: o.DB, ClientName: o.ClientName, Protocol: o.Protocol,
		Dialer: o.Dialer, TLSConfig: o.TLSConfig, OnConnect: o.OnConnect,
		Username: o.Username, Password: o.Password, CredentialsProvider: o.CredentialsProvider,
		CredentialsProviderContext: o.CredentialsProviderContext, StreamingCredentialsProvider: o.StreamingCredentialsProvider,
	}
}

func clusterLike(o *redis.ClusterOptions) *redis.ClusterOptions {
	return &redis.ClusterOptions{
		Addrs: o.Addrs, ClientName: o.ClientName, Protocol: o.Protocol, ClusterSlots: o.ClusterSlots,
		Dialer: o.Dialer, TLSConfig: o.TLSConfig, OnConnect: o.OnConnect,
		Username: o.Username, Password: o.Password, CredentialsProvider: o.CredentialsProvider,
		CredentialsProviderContext: o.CredentialsProviderContext, StreamingCredentialsProvider: o.StreamingCredentialsProvider,
	}
}
