package redispubsub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep/internal/redisclient"
	"lockstep/internal/testserver"
	"lockstep/pubsub/driver"
	"lockstep/pubsub/drivertest"
	"lockstep/pubsub/redispubsub"
)

// TestPartitionsNeverChange: all replicas must agree on them, of whatever version.
func TestPartitionsNeverChange(t *testing.T) {
	tags, slots := redispubsub.Tags()
	if len(tags) != 64 {
		t.Fatalf("got %d partitions, want 64", len(tags))
	}
	for i, slot := range slots {
		if slot/256 != i {
			t.Errorf("partition %d is in slot %d: nodes do not have as many each", i, slot)
		}
	}
	for topic, want := range map[string]string{
		"lockstep:counter:lobby": "{52}lockstep:counter:lobby", "a": "{52}a", "{a}b": "{113}{a}b", "é}": "{132}é}",
	} {
		if got := redispubsub.ChannelOf(topic); got != want {
			t.Errorf("%q: got channel %q, want %q", topic, got, want)
		}
	}
}

// TestConformanceInACluster: three masters, and topics on all of them.
func TestConformanceInACluster(t *testing.T) {
	cluster := testserver.NewRedisCluster(t, 3, 0)
	everywhere := func(f func(*testserver.Server)) {
		for _, s := range cluster.Servers {
			f(s)
		}
	}
	for _, mode := range []string{"sharded", "classic"} {
		t.Run(mode, func(t *testing.T) {
			h := drivertest.Harness{
				Driver: func(t testing.TB) driver.Driver { return newDriver(t, cluster.URL+"?pubsub="+mode) },
				Break: func(t testing.TB, _ driver.Driver) {
					everywhere(func(s *testserver.Server) { cut(t, s.URL, "pubsub", "normal") })
				},
			}
			if mode == "sharded" {
				h.Restart = func(testing.TB, driver.Driver) {
					everywhere((*testserver.Server).Restart)
					cluster.Await()
				}
				h.Freeze = func(testing.TB, driver.Driver) func() {
					everywhere((*testserver.Server).Freeze)
					return func() { everywhere((*testserver.Server).Thaw); cluster.Await() }
				}
			}
			drivertest.Run(t, h)
		})
	}
	t.Run("slots are as the server counts them", func(t *testing.T) {
		tags, slots := redispubsub.Tags()
		c := clientOf(t, cluster.Servers[0].URL)
		for i, tag := range tags {
			if got := c.ClusterKeySlot(t.Context(), tag+"x").Val(); got != int64(slots[i]) {
				t.Errorf("%s is in slot %d, not %d", tag, got, slots[i])
			}
		}
	})
	t.Run("a message concerns one node", func(t *testing.T) { concernsOneNode(t, cluster) })
	t.Run("versions that differ", func(t *testing.T) { modesMeet(t, cluster.URL) })
}

// concernsOneNode compares what nodes tell each other with each mode.
func concernsOneNode(t *testing.T, cluster *testserver.RedisCluster) {
	const topics, each = 30, 3
	relayed := func() (n int) {
		for _, s := range cluster.Servers {
			info := clientOf(t, s.URL).ClusterInfo(t.Context()).Val()
			for _, name := range []string{"cluster_stats_messages_publish_sent:", "cluster_stats_messages_publishshard_sent:"} {
				if _, rest, ok := strings.Cut(info, name); ok {
					text, _, _ := strings.Cut(rest, "\r\n")
					sent, err := strconv.Atoi(text)
					if err != nil {
						t.Fatal(err)
					}
					n += sent
				}
			}
		}
		return n
	}
	for mode, want := range map[string]int{"sharded": 0, "classic": topics * each * (len(cluster.Servers) - 1)} {
		conn := open(t, cluster.URL+"?pubsub="+mode)
		before := relayed()
		for i := range topics {
			if err := conn.Subscribe(t.Context(), fmt.Sprint("topic-", i)); err != nil {
				t.Fatal(err)
			}
			for range each {
				if err := conn.Publish(t.Context(), fmt.Sprint("topic-", i), []byte("x")); err != nil {
					t.Fatal(err)
				}
				receive(t, conn)
			}
		}
		if got := relayed() - before; got != want {
			t.Errorf("%s: nodes have told each other of %d messages, want %d", mode, got, want)
		}
		for _, s := range cluster.Servers {
			if got := len(clientOf(t, s.URL).PubSubShardChannels(t.Context(), "*topic-*").Val()); (got > 0) != (mode == "sharded") {
				t.Errorf("%s: %s has %d channels", mode, s.Addr, got)
			}
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// modesMeet: while a deploy goes from one mode to another through both. Each case has a topic of
// its own: nodes tell each other late of what was published before, and nobody would receive it.
func modesMeet(t *testing.T, url string) {
	for i, c := range []struct {
		from, to string
		copies   int
	}{
		{"classic", "both", 1}, {"both", "classic", 1}, {"both", "both", 2}, {"sharded", "both", 1}, {"both", "sharded", 1},
	} {
		topic := fmt.Sprint("x", i)
		from, to := open(t, url+"?pubsub="+c.from), open(t, url+"?pubsub="+c.to)
		for _, subscribed := range []string{topic, "end"} {
			if err := to.Subscribe(within(t), subscribed); err != nil {
				t.Fatal(err)
			}
		}
		if err := from.Publish(within(t), topic, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		for range c.copies {
			if m := receive(t, to); m.Topic != topic || string(m.Payload) != "hello" {
				t.Errorf("from %s to %s: got %+v", c.from, c.to, m)
			}
		}
		if err := to.Unsubscribe(within(t), topic); err != nil {
			t.Fatal(err)
		}
		for _, conn := range []driver.Conn{from, to} {
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// within bounds what a connection may take to notice something.
func within(t testing.TB) context.Context {
	t.Helper()
	return drivertest.Within(t, 30*time.Second)
}

// open opens a connection that is closed when the test ends.
func open(t *testing.T, url string) driver.Conn {
	t.Helper()
	conn, err := newDriver(t, url).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // it may have ended
	return conn
}

// openSoon tries until it can: the nodes of a cluster agree after a moment.
func openSoon(t *testing.T, url string) driver.Conn {
	t.Helper()
	d := newDriver(t, url)
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		conn, err := d.Open(ctx)
		cancel()
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() }) // it may have ended
			return conn
		}
		select {
		case <-again.C:
		case <-limit.C:
			t.Fatal(err)
		}
	}
}

func receive(t *testing.T, conn driver.Conn) driver.Message {
	t.Helper()
	m, err := conn.Receive(within(t))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// roundTrip sends something to itself.
func roundTrip(t *testing.T, conn driver.Conn, topic string) {
	t.Helper()
	if err := conn.Subscribe(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	if err := conn.Publish(t.Context(), topic, []byte("back")); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, conn); m.Topic != topic || string(m.Payload) != "back" {
		t.Errorf("got %+v", m)
	}
}

// TestWhatChangesInAClusterEndsTheConnection, whatever is done on it: it is never
// silent. A new one is then as the cluster is.
func TestWhatChangesInAClusterEndsTheConnection(t *testing.T) {
	cluster := testserver.NewRedisCluster(t, 3, 1)
	const topic = "counter:lobby"
	channel := redispubsub.ChannelOf(topic)

	t.Run("a slot moves", func(t *testing.T) {
		listens, speaks, rests := open(t, cluster.URL), open(t, cluster.URL), open(t, cluster.URL)
		roundTrip(t, listens, topic)
		from := cluster.Owner(channel)
		i := slices.IndexFunc(cluster.Servers, func(s *testserver.Server) bool { return s != from && isMaster(t, s) })
		cluster.Move(channel, cluster.Servers[i])
		if err := speaks.Publish(t.Context(), topic, nil); err == nil {
			t.Error("what is published where the slot was is taken")
		}
		drivertest.WantEnd(within(t), t, listens, "has moved", "do not agree")
		drivertest.WantEnd(within(t), t, speaks, "MOVED", "has moved")
		drivertest.WantEnd(within(t), t, rests, "has moved")
		roundTrip(t, openSoon(t, cluster.URL), topic)
	})
	t.Run("a replica takes over", func(t *testing.T) {
		listens, rests := openSoon(t, cluster.URL), openSoon(t, cluster.URL)
		roundTrip(t, listens, topic)
		cluster.Takeover(cluster.Replica(cluster.Owner(channel)))
		drivertest.WantEnd(within(t), t, listens, "has moved", redisclient.ErrReplica.Error(), "MOVED")
		drivertest.WantEnd(within(t), t, rests, "has moved", redisclient.ErrReplica.Error())
		roundTrip(t, openSoon(t, cluster.URL), topic)
	})
	t.Run("a master is silent", func(t *testing.T) {
		listens, rests := openSoon(t, cluster.URL), openSoon(t, cluster.URL)
		roundTrip(t, listens, topic)
		master := cluster.Owner(channel)
		master.Freeze()
		began := time.Now()
		drivertest.WantEnd(within(t), t, listens, master.Addr, "has moved")
		drivertest.WantEnd(within(t), t, rests, master.Addr, "has moved")
		t.Logf("found out after %s", time.Since(began))
		master.Kill()
		next := openSoon(t, cluster.URL) // the replica is the master
		roundTrip(t, next, topic)
	})
}

// isMaster reports whether a node has slots, or may have.
func isMaster(t *testing.T, s *testserver.Server) bool {
	t.Helper()
	return strings.Contains(clientOf(t, s.URL).Info(t.Context(), "replication").Val(), "role:master")
}

// TestASubscriberOfAClusterThatIsTooSlowLearnsThatItWasCut by one node: that ends
// the connection to all.
func TestASubscriberOfAClusterThatIsTooSlowLearnsThatItWasCut(t *testing.T) {
	cluster := testserver.NewRedisCluster(t, 3, 0, "--client-output-buffer-limit", "pubsub", "1mb", "0", "0")
	slow, pub := open(t, cluster.URL), open(t, cluster.URL)
	if err := slow.Subscribe(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	const n = 50
	for range n { // more than the limit and all buffers of the system
		if err := pub.Publish(t.Context(), "x", make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	for range n {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		_, err := slow.Receive(ctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			t.Fatal("it is silent")
		}
		if err != nil {
			return
		}
	}
	t.Error("it was not cut: nothing is shown")
}

// TestConformanceInAClusterOverTLS, of one node.
func TestConformanceInAClusterOverTLS(t *testing.T) {
	server := testserver.RedisTLS(t, testserver.NewAuthority(t), "--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-announce-ip", "127.0.0.1")
	admin, err := redisclient.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if err := admin.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	url := strings.Replace(server.URL, "rediss://", "rediss+cluster://", 1)
	if err := openSoon(t, url).Close(); err != nil { // CLUSTERDOWN for a while
		t.Fatal(err)
	}
	drivertest.Run(t, drivertest.Harness{
		Driver: func(t testing.TB) driver.Driver { return newDriver(t, url) },
		Break:  func(t testing.TB, _ driver.Driver) { cut(t, server.URL, "pubsub", "normal") },
	})
}
