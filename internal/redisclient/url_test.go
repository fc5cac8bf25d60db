package redisclient_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lockstep/internal/redisclient"
	"lockstep/internal/testserver"
)

func TestOptionsAreTheSameForAllKinds(t *testing.T) {
	const given = "?pool_size=3&min_idle_conns=1&pool_timeout=7s&read_timeout=9s&conn_max_lifetime=11s&client_name=x"
	for _, url := range []string{"redis://h", "rediss://h", "redis+cluster://h,i", "rediss+cluster://h", "redis+sentinel://h,i/m", "rediss+sentinel://h/m/2"} {
		c, err := redisclient.New(url + given)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		var got redis.Options
		switch c := c.(type) {
		case *redis.Client:
			got = *c.Options()
		case *redis.ClusterClient:
			o := c.Options()
			got = redis.Options{
				PoolSize: o.PoolSize, PipelinePoolSize: o.PipelinePoolSize, PoolTimeout: o.PoolTimeout, ReadTimeout: o.ReadTimeout,
				ConnMaxLifetime: o.ConnMaxLifetime, ClientName: o.ClientName, DialTimeout: o.DialTimeout, MinIdleConns: o.MinIdleConns, TLSConfig: o.TLSConfig,
			}
		}
		// Pipelines would have ten connections more, in a pool of their own.
		if got.PoolSize != 3 || got.PipelinePoolSize != -1 || got.PoolTimeout != 7*time.Second || got.ReadTimeout != 9*time.Second ||
			got.ConnMaxLifetime != 11*time.Second || got.ClientName != "x" || got.DialTimeout != 2*time.Second || got.MinIdleConns != 1 {
			t.Errorf("%s: got %+v", url, got)
		}
		if secure := strings.HasPrefix(url, "rediss"); (got.TLSConfig != nil) != secure {
			t.Errorf("%s: with TLS: %t", url, !secure)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAURLSaysWhereAndWho(t *testing.T) {
	for url, want := range map[string]redis.Options{
		"redis://h":                            {Addr: "h:6379"},
		"redis://u:p%2F@h:1/3":                 {Addr: "h:1", Username: "u", Password: "p/", DB: 3},
		"redis://h/3?db=4":                     {Addr: "h:6379", DB: 4},
		"redis://[::1]:2":                      {Addr: "[::1]:2"},
		"redis+sentinel://u:p@h,i/my%2Fname/5": {Addr: "my/name", Username: "u", Password: "p", DB: 5},
		"redis+sentinel://h/m":                 {Addr: "m"},
		"redis+sentinel://h/m?db=6":            {Addr: "m", DB: 6},
	} {
		c, err := redisclient.New(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		got := c.(*redis.Client).Options()
		if got.Addr != want.Addr || got.Username != want.Username || got.Password != want.Password || got.DB != want.DB {
			t.Errorf("%s: got %s, %q, %q, %d", url, got.Addr, got.Username, got.Password, got.DB)
		}
		_ = c.Close() // it has not connected
	}
	c, err := redisclient.New("redis+cluster://u:p@h,[::1],i:3")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := strings.Join(c.(*redis.ClusterClient).Options().Addrs, " "); got != "h:6379 [::1]:6379 i:3" {
		t.Errorf("got %s", got)
	}
}

func TestHowAClusterBroadcastsIsInItsURL(t *testing.T) {
	for url, want := range map[string]string{
		"redis+cluster://h": "", "redis+cluster://h?pubsub=both": "both", "rediss+cluster://h?pubsub=classic&pool_size=1": "classic", "redis://h": "",
	} {
		if got, err := redisclient.PubSub(url); got != want || err != nil {
			t.Errorf("%s: got %q, %v; want %q", url, got, err, want)
		}
	}
}

// TestAnOldRedisIsRefused: it has no sharded publish/subscribe, and can't be
// installed here. What Valkey and others call themselves is not held against
// them.
func TestAnOldRedisIsRefused(t *testing.T) {
	redisclient.Silence()
	for name, c := range map[string]struct{ info, says string }{
		"Redis 6":               {"redis_version:6.2.14\r\nrole:master\r\n", "the server is Redis 6.2.14, and the oldest that can be used is Redis 7.0"},
		"Redis 7":               {"redis_version:7.0.0\r\nrole:master\r\n", ""},
		"Valkey 8":              {"redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.3\r\nrole:master\r\n", ""},
		"one that does not say": {"role:master\r\n", ""},
	} {
		addr := testserver.RedisStub(t, func(command []string) string {
			switch strings.ToLower(command[0]) {
			case "info":
				return testserver.Bulk(c.info)
			case "role":
				return "*3\r\n" + testserver.Bulk("master") + ":0\r\n*0\r\n"
			case "cluster":
				return "*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n" + testserver.Bulk("") + ":0\r\n" + testserver.Bulk("x")
			case "ping", "get":
				return "+PONG\r\n"
			}
			return "-ERR unknown command\r\n"
		})
		for _, scheme := range []string{"redis://", "redis+cluster://"} {
			err := ask(t, scheme+addr)
			if (c.says != "") != errors.Is(err, redisclient.ErrOld) {
				t.Errorf("%s, %s: got %v", name, scheme, err)
			}
			if scheme == "redis://" {
				check(t, err, c.says)
			}
		}
	}
}
