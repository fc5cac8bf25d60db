package rediscounter_test

import (
	"errors"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lockstep/counter"
	"lockstep/counter/countertest"
	"lockstep/counter/rediscounter"
	"lockstep/internal/redisclient"
	"lockstep/internal/testserver"
)

// cluster starts a cluster of one node, which refuses scripts whose keys are
// in several slots as a larger one does.
func cluster(t *testing.T) (url string) {
	t.Helper()
	bus, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := bus.Addr().(*net.TCPAddr).Port
	if err := bus.Close(); err != nil {
		t.Fatal(err)
	}
	server := testserver.Redis(t, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(port))
	server.Own()
	c, err := redisclient.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for c.Set(t.Context(), "ready", 1, 0).Err() != nil { // CLUSTERDOWN
		select {
		case <-again.C:
		case <-limit.C:
			t.Fatal("the cluster does not come up")
		}
	}
	return "redis+cluster://" + server.Addr
}

func TestStoreKeepsTheContractInACluster(t *testing.T) {
	url := cluster(t)
	opts := &rediscounter.Options{Prefix: "test:"}
	another := func(t testing.TB, _ counter.Store) counter.Store { return open(t, url, opts) }
	countertest.Run(t, func(t testing.TB) counter.Store { return open(t, url, opts) },
		&countertest.Options{Reopen: another, Second: another})
}

// TestACountOfAnotherProgramIsNotAnOverflow: the error has to say what is wrong.
func TestACountOfAnotherProgramIsNotAnOverflow(t *testing.T) {
	server := testserver.Redis(t)
	server.Own()
	s := open(t, server.URL, nil)
	c, err := redisclient.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.HSet(t.Context(), "{lockstep:}counter:x", "n", "many").Err(); err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Apply(t.Context(), "x", counter.Op{ID: "sixteen-or-longer", Kind: counter.Increment})
	if err == nil || errors.Is(err, counter.ErrOverflow) {
		t.Errorf("got %v, want Redis's own error", err)
	}
	if n := c.Exists(t.Context(), "{lockstep:}op:x:sixteen-or-longer").Val(); n != 0 {
		t.Error("the op is remembered though it was not applied")
	}
}

// startCluster starts a cluster of three masters and returns their addresses.
func startCluster(t *testing.T) (addrs []string) {
	t.Helper()
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Skip("redis-cli is not installed (Debian package redis-tools)")
	}
	for range 3 {
		server := testserver.Redis(t, "--cluster-enabled", "yes")
		server.Own()
		addrs = append(addrs, server.Addr)
	}
	args := append([]string{"--cluster", "create"}, addrs...)
	if out, err := exec.CommandContext(t.Context(), cli, append(args, "--cluster-yes")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, addr := range addrs {
		awaitCluster(t, addr)
	}
	return addrs
}

// awaitCluster waits until a node takes part in a cluster that works.
func awaitCluster(t *testing.T, addr string) {
	t.Helper()
	c, err := redisclient.New("redis://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for {
		info, err := c.(*redis.Client).ClusterInfo(t.Context()).Result()
		if err == nil && strings.Contains(info, "cluster_state:ok") {
			return
		}
		select {
		case <-again.C:
		case <-limit.C:
			t.Fatalf("the cluster does not come up: %v %s", err, info)
		}
	}
}
