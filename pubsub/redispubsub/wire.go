package redispubsub

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// errOnce is what go-redis gets when it wants to connect again by itself.
var errOnce = errors.New("redispubsub: a connection is made only once")

// wire returns a client that makes one TCP connection, and no other after it.
// When life ends so does the connection, and at once every call on it.
//
// go-redis would connect again by itself: a PubSub even before it returns the
// error of the lost connection, while it keeps its Close waiting. Here it
// can't. Nor does it notice a context that is cancelled while it waits.
func wire(life context.Context, like redis.Options) *redis.Client {
	var used atomic.Bool
	dial := like.Dialer
	like.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if used.Swap(true) {
			return nil, errOnce
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(life, cancel)()
		c, err := dial(ctx, network, addr)
		if err == nil {
			context.AfterFunc(life, func() { _ = c.Close() }) // it has ended: nobody can act on its error
		}
		return c, err
	}
	like.MaxRetries = -1 // again: made into 0, the default, by the client that the options come from
	// One pool, also for pipelines, and its one connection is never too old. The
	// pool must be larger than that: after as many errors as it is large it
	// tries again in the background.
	like.PoolSize, like.PipelinePoolSize, like.MinIdleConns = 8, -1, 0
	like.ConnMaxIdleTime, like.ConnMaxLifetime = -1, 0
	return redis.NewClient(&like)
}
