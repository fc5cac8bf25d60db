package redisstate_test

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lockstep/internal/testserver"
	"lockstep/state"
)

// TestAClusterSharesTheWork: parts are on all nodes, and calls that concern
// several of them are one round trip.
func TestAClusterSharesTheWork(t *testing.T) {
	addrs := startCluster(t)
	s := open(t, "redis+cluster://"+strings.Join(addrs, ","), nil)
	var steps []state.Step
	var topics []string
	for i := range state.MaxSteps {
		topics = append(topics, "topic-"+strconv.Itoa(i))
	}
	before, err := s.Read(t.Context(), topics...)
	if err != nil {
		t.Fatal(err)
	}
	for i, topic := range topics {
		steps = append(steps, step(topic, before[i], i))
	}
	steps[7].Base.Version++ // does not hold
	var marks []state.Mark
	for i, o := range s.Commit(t.Context(), steps...) {
		if want := (i == 7); errors.Is(o.Err, state.ErrConflict) != want || !want && o.Err != nil {
			t.Errorf("step %d: %+v", i, o)
		}
		marks = append(marks, state.Mark{Topic: topics[i], Client: steps[i].Moves[0].Client, UpTo: 1})
	}
	after, err := s.Read(t.Context(), topics...)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range after {
		if want := strconv.Itoa(i); i != 7 && string(r.Data) != want {
			t.Errorf("topic %d: got %+v, want %s", i, r, want)
		}
	}
	if err := s.Finish(t.Context(), marks...); err != nil {
		t.Error(err)
	}
	for _, addr := range addrs {
		if keys := connect(t, "redis://"+addr).Keys(t.Context(), "{lockstep:/*}done:*").Val(); len(keys) == 0 {
			t.Errorf("%s has nothing to do", addr)
		}
	}
}

// startCluster starts a cluster of three masters and returns their addresses.
func startCluster(t *testing.T) (addrs []string) {
	t.Helper()
	for _, server := range startServers(t) {
		addrs = append(addrs, server.Addr)
	}
	return addrs
}

func startServers(t *testing.T) (servers []*testserver.Server) {
	t.Helper()
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Skip("redis-cli is not installed (Debian package redis-tools)")
	}
	var addrs []string
	for range 3 {
		server := testserver.Redis(t, "--cluster-enabled", "yes")
		server.Own()
		servers, addrs = append(servers, server), append(addrs, server.Addr)
	}
	args := append([]string{"--cluster", "create"}, addrs...)
	if out, err := exec.CommandContext(t.Context(), cli, append(args, "--cluster-yes")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, addr := range addrs {
		awaitCluster(t, addr)
	}
	return servers
}

// awaitCluster waits until a node takes part in a cluster that works.
func awaitCluster(t *testing.T, addr string) {
	t.Helper()
	c := connect(t, "redis://"+addr)
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
