package redispubsub_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"lockstep/internal/testserver"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/redispubsub"
)

// clientOf is a client of somebody else's, with the settings of go-redis.
func clientOf(t testing.TB, url string) *redis.Client {
	t.Helper()
	o, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func newDriverLike(t testing.TB, c redis.UniversalClient) driver.Driver {
	t.Helper()
	d, err := redispubsub.NewDriverLike(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformanceByTheClientOfSomebodyElse(t *testing.T) {
	server := testserver.Redis(t)
	drivertest.Run(t, drivertest.Harness{Driver: func(t testing.TB) driver.Driver { return newDriverLike(t, clientOf(t, server.URL)) }})
}

func TestTheClientOfSomebodyElseIsNotClosedAndItsHookIsCalled(t *testing.T) {
	o, err := redis.ParseURL(testserver.Redis(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	var connected atomic.Int32
	o.OnConnect = func(context.Context, *redis.Conn) error { connected.Add(1); return nil }
	theirs := redis.NewClient(o)
	defer theirs.Close()
	conn, err := newDriverLike(t, theirs).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if connected.Load() != 2 {
		t.Errorf("the hook was called %d times for two connections", connected.Load())
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := theirs.Ping(t.Context()).Err(); err != nil {
		t.Errorf("got %v of the client after the driver", err)
	}
}

func TestAClientThatIsOfNoUseIsRefused(t *testing.T) {
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": "127.0.0.1:1"}})
	defer ring.Close()
	for name, c := range map[string]struct {
		client redis.UniversalClient
		says   string
	}{
		"none":             {nil, "no client"},
		"one that is nil":  {(*redis.Client)(nil), "no client"},
		"of another kind":  {ring, "*redis.Ring"},
		"a nil of cluster": {(*redis.ClusterClient)(nil), "no client"},
	} {
		if _, err := redispubsub.NewDriverLike(c.client); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", name, err, c.says)
		}
	}
}
