package testserver

import (
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A RedisCluster is a Redis Cluster that runs.
type RedisCluster struct {
	URL     string    // redis+cluster://, with all nodes
	Servers []*Server // all nodes

	t testing.TB
}

// NewRedisCluster starts a Redis Cluster with some masters, and each with some
// replicas, and waits until all agree. A node that has been silent for two
// seconds is taken for dead. args are further flags of each node. It is always
// the test's own.
func NewRedisCluster(t testing.TB, masters, replicas int, args ...string) *RedisCluster {
	t.Helper()
	c := &RedisCluster{t: t}
	create := []string{"--cluster", "create"}
	for range masters * (1 + replicas) {
		server := Redis(t, append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "2000"}, args...)...)
		server.Own()
		c.Servers, create = append(c.Servers, server), append(create, server.Addr)
	}
	c.URL = "redis+cluster://" + strings.Join(create[2:], ",")
	create = append(create, "--cluster-replicas", strconv.Itoa(replicas), "--cluster-yes")
	if out, err := exec.Command(program(t, "redis-tools", "redis-cli"), create...).CombinedOutput(); err != nil {
		t.Fatalf("testserver: %v\n%s", err, out)
	}
	c.Await()
	return c
}

// Await waits until all nodes, which must run, agree.
func (c *RedisCluster) Await() {
	c.t.Helper()
	awaitRedis(c.t, "the cluster does not come up", func() bool { return !slices.ContainsFunc(c.Servers, c.incomplete) })
}

// incomplete reports whether a node does not know yet what it is.
func (c *RedisCluster) incomplete(s *Server) bool {
	info := s.redisCLI("CLUSTER", "INFO")
	if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:"+strconv.Itoa(len(c.Servers))) {
		return true
	}
	role := s.redisCLI("INFO", "replication")
	return strings.Contains(role, "role:slave") && !strings.Contains(role, "master_link_status:up")
}

// Owner returns the master of a key, as one of the nodes that runs sees it.
func (c *RedisCluster) Owner(key string) *Server {
	c.t.Helper()
	for _, asked := range c.Servers {
		if asked.cmd == nil {
			continue
		}
		slot, err := strconv.Atoi(asked.redisCLI("CLUSTER", "KEYSLOT", key))
		if err != nil {
			c.t.Fatal(err)
		}
		return c.at(ownerOf(asked.redisCLI("CLUSTER", "NODES"), slot)[1])
	}
	c.t.Fatal("testserver: no node of the cluster runs")
	return nil
}

// Move has a slot move from its master to another, as a resharding does with a
// slot that has no keys.
func (c *RedisCluster) Move(key string, to *Server) {
	c.t.Helper()
	slot, id := to.redisCLI("CLUSTER", "KEYSLOT", key), to.redisCLI("CLUSTER", "MYID")
	from := c.Owner(key)
	to.redisCLI("CLUSTER", "SETSLOT", slot, "IMPORTING", from.redisCLI("CLUSTER", "MYID"))
	from.redisCLI("CLUSTER", "SETSLOT", slot, "MIGRATING", id)
	for _, s := range []*Server{to, from} {
		s.redisCLI("CLUSTER", "SETSLOT", slot, "NODE", id)
	}
}

// Replica returns a replica of a master.
func (c *RedisCluster) Replica(master *Server) *Server {
	c.t.Helper()
	id := master.redisCLI("CLUSTER", "MYID")
	for line := range strings.Lines(master.redisCLI("CLUSTER", "NODES")) {
		if f := strings.Fields(line); len(f) > 3 && f[3] == id {
			return c.at(f[1])
		}
	}
	c.t.Fatalf("testserver: %s has no replica", master.Addr)
	return nil
}

// AwaitReplica waits until what a master has acknowledged is at its replica, too.
func (c *RedisCluster) AwaitReplica(master *Server) {
	c.t.Helper()
	awaitReplica(master, c.Replica(master))
}

// awaitReplica waits until what a master of Redis has acknowledged is at a replica, too.
func awaitReplica(master, replica *Server) {
	master.t.Helper()
	offset := func(of *Server, field string) (n int) {
		info, _ := of.tryCLI("INFO", "replication") // a sentinel cuts connections
		for line := range strings.Lines(info) {
			if value, ok := strings.CutPrefix(line, field+":"); ok {
				n, _ = strconv.Atoi(strings.TrimSpace(value)) // else 0
			}
		}
		return n
	}
	acknowledged := 0
	awaitRedis(master.t, "the replica does not follow", func() bool {
		if acknowledged == 0 {
			acknowledged = offset(master, "master_repl_offset")
		}
		follows, _ := replica.tryCLI("INFO", "replication")
		return strings.Contains(follows, "master_link_status:up") && acknowledged > 0 && offset(replica, "slave_repl_offset") >= acknowledged
	})
}

// Takeover has a replica become the master of its part, in agreement with the
// old one, and waits until it is.
func (c *RedisCluster) Takeover(replica *Server) {
	c.t.Helper()
	replica.redisCLI("CLUSTER", "FAILOVER")
	awaitRedis(c.t, replica.Addr+" does not become a master", func() bool {
		return strings.Contains(replica.redisCLI("INFO", "replication"), "role:master")
	})
}

// ownerOf returns the fields of the line of CLUSTER NODES whose node has a slot.
func ownerOf(nodes string, slot int) []string {
	for line := range strings.Lines(nodes) {
		fields := strings.Fields(line)
		for _, slots := range fields[min(8, len(fields)):] {
			first, last, _ := strings.Cut(slots, "-")
			if last == "" {
				last = first
			}
			low, err := strconv.Atoi(first)
			high, err2 := strconv.Atoi(last)
			if err == nil && err2 == nil && low <= slot && slot <= high {
				return fields
			}
		}
	}
	return []string{"", ""}
}

// at returns the node at an address as CLUSTER NODES has it.
func (c *RedisCluster) at(address string) *Server {
	c.t.Helper()
	addr, _, _ := strings.Cut(address, "@")
	for _, s := range c.Servers {
		if s.Addr == addr {
			return s
		}
	}
	c.t.Fatalf("testserver: no node is at %q", address)
	return nil
}
