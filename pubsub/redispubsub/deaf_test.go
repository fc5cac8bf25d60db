package redispubsub_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lockstep/internal/testserver"
)

// A deafConn is a connection on which nothing comes any more once it is deaf, if
// something was subscribed on it.
type deafConn struct {
	net.Conn
	deaf       *atomic.Bool
	subscribes atomic.Bool
}

func (c *deafConn) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("ssubscribe")) {
		c.subscribes.Store(true)
	}
	return c.Conn.Write(b)
}

func (c *deafConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || !c.deaf.Load() || !c.subscribes.Load() {
			return n, err
		}
	}
}

// TestAConnectionThatGoesDeafEndsInACluster, although the hub's heartbeats come
// back, which go by another node.
func TestAConnectionThatGoesDeafEndsInACluster(t *testing.T) {
	cluster := testserver.NewRedisCluster(t, 3, 0)
	var deaf atomic.Bool
	theirs := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{cluster.Servers[0].Addr},
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			return &deafConn{Conn: c, deaf: &deaf}, err
		},
	})
	defer theirs.Close()
	conn, err := newDriverLike(t, theirs).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	roundTrip(t, conn, "x")
	deaf.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = conn.Receive(ctx)
	if err == nil || !strings.Contains(err.Error(), "has gone silent") {
		t.Errorf("got %v, want that it is silent", err)
	}
}
