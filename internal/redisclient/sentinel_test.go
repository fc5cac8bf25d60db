package redisclient_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lockstep/internal/redisclient"
	"lockstep/internal/testserver"
)

// a sentinel that is made up: it says that the master is at an address.
func sentinelThatSays(t *testing.T, addr, epoch string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return testserver.RedisStub(t, func(command []string) string {
		if strings.EqualFold(command[0], "sentinel") {
			return testserver.Bulks("name", "mymaster", "ip", host, "port", port, "config-epoch", epoch)
		}
		return "-ERR unknown command\r\n"
	})
}

// TestTheNewestOfTheSentinelsIsBelieved: one that was cut off knows an old master,
// which may take writes. Those that are silent are not waited for, where more than
// half have spoken.
func TestTheNewestOfTheSentinelsIsBelieved(t *testing.T) {
	redisclient.Silence()
	old, now := testserver.Redis(t), testserver.Redis(t)
	old.Own()
	silent := testserver.RedisStub(t, func([]string) string { return "" })
	dead := "127.0.0.1:1"
	past, present := sentinelThatSays(t, old.Addr, "3"), sentinelThatSays(t, now.Addr, "12")
	for name, c := range map[string]struct {
		sentinels []string
		want      string // "": an error
		says      string
	}{
		"all know":                 {[]string{present, present, present}, now.Addr, ""},
		"one does not know":        {[]string{past, present, dead}, now.Addr, ""},
		"the same, the other way":  {[]string{present, dead, past}, now.Addr, ""},
		"one is silent":            {[]string{silent, present, present}, now.Addr, ""},
		"one that does not know":   {[]string{past, dead, dead}, old.Addr, ""},
		"none is there":            {[]string{dead, dead}, "", "127.0.0.1:1"},
		"one alone, which is mute": {[]string{silent}, "", "no sentinel says where the master is"},
	} {
		t.Run(name, func(t *testing.T) {
			c1, err := redisclient.New("redis+sentinel://" + strings.Join(c.sentinels, ",") + "/mymaster")
			if err != nil {
				t.Fatal(err)
			}
			defer c1.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			info, err := c1.Info(ctx, "server").Result()
			_, port, _ := net.SplitHostPort(c.want)
			if c.want != "" && (err != nil || !strings.Contains(info, "tcp_port:"+port+"\r")) {
				t.Errorf("got %v and %q, want the server at %s", err, info, c.want)
			}
			if c.want == "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

// TestASentinelEndsWithTheCall that asks it, however silent it is.
func TestASentinelEndsWithTheCall(t *testing.T) {
	asked := make(chan struct{}, 10)
	silent := testserver.RedisStub(t, func([]string) string { asked <- struct{}{}; return "" })
	c, err := redisclient.New("redis+sentinel://" + silent + "/mymaster")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := c.(*redis.Client).Options().Dialer(ctx, "tcp", "")
		ended <- err
	}()
	<-asked
	cancel()
	if err := <-ended; err == nil || strings.Contains(err.Error(), "timeout") || strings.Contains(err.Error(), "deadline") {
		t.Errorf("got %v, want that it ended before its own limit", err)
	}
}

func TestWhatSentinelsWantToKnow(t *testing.T) {
	redisclient.Silence()
	watched := testserver.NewRedisSentinel(t, true)
	good := watched.URL
	for _, c := range []struct{ name, url, says string }{
		{"all is right", good, ""},
		{"another name", strings.Replace(good, "/mymaster/", "/other/", 1), "No such master"},
		{"no password of the sentinels", withOption(t, good, "sentinel_password", ""), "NOAUTH"},
		{"the master's password for the sentinels", withOption(t, good, "sentinel_password", testserver.Password), "WRONGPASS"},
		{"no password of the master", "redis+sentinel://" + good[strings.LastIndex(good, "@")+1:], "NOAUTH"},
		{"another database", strings.Replace(good, "/mymaster/0", "/mymaster/99", 1), "out of range"},
		{"sentinels without TLS", strings.Replace(good, "redis+", "rediss+", 1), "deadline"}, // they wait for the end of a line
	} {
		t.Run(c.name, func(t *testing.T) { check(t, ask(t, c.url), c.says) })
	}
	t.Run("a replica that sentinels call the master", func(t *testing.T) {
		url := "redis+sentinel://" + good[len("redis+sentinel://"):strings.LastIndex(good, "@")+1] + sentinelThatSays(t, watched.Replica.Addr, "1") + "/mymaster"
		if err := ask(t, url); !errors.Is(err, redisclient.ErrReplica) {
			t.Errorf("got %v, want %v", err, redisclient.ErrReplica)
		}
	})
}
