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
	await(t, func() bool {
		return strings.Contains(c.(*redis.Client).ClusterInfo(t.Context()).Val(), "cluster_state:ok")
	})
}

// TestAClusterThatFailsOverGoesOn, when it is asked to and when a node dies:
// the part is another server's then, which may lack what was acknowledged last.
func TestAClusterThatFailsOverGoesOn(t *testing.T) {
	servers := startServers(t)
	master, next := servers[0], testserver.Redis(t, "--cluster-enabled", "yes")
	id, err := connect(t, master.URL).Do(t.Context(), "CLUSTER", "MYID").Text()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "redis-cli", "--cluster", "add-node", next.Addr, master.Addr,
		"--cluster-slave", "--cluster-master-id", id).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, server := range append(servers, next) {
		if err := plain(t, server).ConfigSet(t.Context(), "cluster-node-timeout", "1000").Err(); err != nil {
			t.Fatal(err)
		}
	}
	awaitInfo(t, next, "master_link_status:up")
	s := open(t, "redis+cluster://"+servers[1].Addr, nil)
	topic := topicOf(t, s, connect(t, master.URL))

	before := click(t, s, topic, 10)
	if err := plain(t, next).Do(t.Context(), "CLUSTER", "FAILOVER").Err(); err != nil {
		t.Fatal(err)
	}
	awaitInfo(t, next, "role:master")
	before = goesOn(t, s, topic, before)

	awaitInfo(t, master, "master_link_status:up")
	awaitReplica(t, next.URL, key(t, connect(t, next.URL), "state", topic)+"+") // of the same part
	next.Kill()
	awaitInfo(t, master, "role:master")
	goesOn(t, s, topic, before)
}

// goesOn waits until a topic can be read again, which is soon, and then clicked.
func goesOn(t *testing.T, s state.Store, topic string, before state.Record) state.Record {
	t.Helper()
	began := time.Now()
	var after []state.Record
	await(t, func() bool {
		var err error
		after, err = s.Read(t.Context(), topic)
		return err == nil
	})
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
	if string(after[0].Data) != string(before.Data) || after[0].Epoch <= before.Epoch {
		t.Errorf("got %+v after %+v, want the same in a newer epoch", after[0], before)
	}
	r := click(t, s, topic, 1)
	if r.Version != before.Version+1 {
		t.Errorf("got %+v after %+v", r, before)
	}
	return r
}

// plain returns a client of one server. Ours does not talk to replicas.
func plain(t *testing.T, server *testserver.Server) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: server.Addr})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// awaitInfo waits until a server says something of its replication.
func awaitInfo(t *testing.T, server *testserver.Server, says string) {
	t.Helper()
	c := plain(t, server)
	await(t, func() bool { return strings.Contains(c.Info(t.Context(), "replication").Val(), says) })
}

// await waits until a condition holds.
func await(t *testing.T, cond func() bool) {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	for !cond() {
		select {
		case <-again.C:
		case <-limit.C:
			t.Fatal("it does not happen")
		}
	}
}
