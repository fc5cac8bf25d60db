package redispubsub_test

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lockstep/internal/redisclient"
	"lockstep/internal/testserver"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/redispubsub"
)

func TestMain(m *testing.M) {
	redisclient.Silence()
	goleak.VerifyTestMain(m)
}

func newDriver(t testing.TB, url string) driver.Driver {
	t.Helper()
	d, err := redispubsub.NewDriver(url)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) {
	server := testserver.Redis(t)
	drivertest.Run(t, drivertest.Harness{
		Driver: func(t testing.TB) driver.Driver { return newDriver(t, server.URL) },
		Break: func(t testing.TB, _ driver.Driver) {
			c, err := redisclient.New(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for _, kind := range []string{"pubsub", "normal"} {
				if err := c.Do(context.Background(), "CLIENT", "KILL", "TYPE", kind).Err(); err != nil {
					t.Fatal(err)
				}
			}
		},
		Restart: func(testing.TB, driver.Driver) { server.Restart() },
	})
}

// TestAKilledSubscriberIsNotReplacedInSilence: go-redis connects again by
// itself; what was published meanwhile would be missed by nobody.
func TestAKilledSubscriberIsNotReplacedInSilence(t *testing.T) {
	server := testserver.Redis(t)
	conn, err := newDriver(t, server.URL).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Subscribe(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	c, err := redisclient.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	if m, err := conn.Receive(t.Context()); err == nil {
		t.Fatalf("got %+v, want an error", m)
	}
	for range 3 {
		if _, err := conn.Receive(t.Context()); err == nil {
			t.Fatal("the connection came back to life")
		}
		if err := conn.Subscribe(t.Context(), "y"); err == nil {
			t.Fatal("a lost connection took a subscription")
		}
	}
}

// TestARefusedTopicIsAnErrorOfThatTopicOnly: access rules of Redis.
func TestARefusedTopicIsAnErrorOfThatTopicOnly(t *testing.T) {
	server := testserver.Redis(t)
	c, err := redisclient.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Do(t.Context(), "ACL", "SETUSER", "tab", "on", ">hunter2", "+@all", "allkeys", "resetchannels", "&good*").Err(); err != nil {
		t.Fatal(err)
	}
	conn, err := newDriver(t, strings.Replace(server.URL, "redis://", "redis://tab:hunter2@", 1)).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Subscribe(t.Context(), "good1"); err != nil {
		t.Fatal(err)
	}
	if err := conn.Subscribe(t.Context(), "bad"); err == nil || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("got %v, want NOPERM", err)
	}
	if err := conn.Subscribe(t.Context(), "good2"); err != nil {
		t.Errorf("after a refusal: %v", err)
	}
	if err := conn.Publish(t.Context(), "good1", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if m, err := conn.Receive(t.Context()); err != nil || m.Topic != "good1" {
		t.Errorf("got %+v, %v", m, err)
	}
}

func TestErrorsContainNoPassword(t *testing.T) {
	for _, url := range []string{"redis://u:hunter2@[::1", "nonsense hunter2", "redis+cluster://u:hunter2@/", "redis+cluster://u:hunter2@a b"} {
		if _, err := redispubsub.NewDriver(url); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := newDriver(t, "redis://u:hunter2@127.0.0.1:1").Open(ctx); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("got %v, want the address and no password", err)
	}
}

// TestACluster: a classic PUBLISH reaches every node, so one connection to any
// node hears all topics.
func TestACluster(t *testing.T) {
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Skip("redis-cli is not installed (Debian package redis-tools)")
	}
	var addrs []string
	for range 3 {
		addrs = append(addrs, testserver.Redis(t, "--cluster-enabled", "yes").Addr)
	}
	args := append([]string{"--cluster", "create"}, addrs...)
	if out, err := exec.CommandContext(t.Context(), cli, append(args, "--cluster-yes")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	url := "redis+cluster://" + strings.Join(addrs, ",")
	client, err := redisclient.New(url)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		info, err := client.ClusterInfo(t.Context()).Result()
		if err == nil && strings.Contains(info, "cluster_state:ok") {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("the cluster does not come up: %v %s", err, info)
		}
	}
	drivertest.Run(t, drivertest.Harness{Driver: func(t testing.TB) driver.Driver { return newDriver(t, url) }})
}

func BenchmarkRoundTrip(b *testing.B) {
	drivertest.Benchmark(b, newDriver(b, testserver.Redis(b).URL))
}
