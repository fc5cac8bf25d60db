package e2e_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"lockstep/internal/testserver"
)

// What replicas can share: one server that is broker and store, or one of each.
const (
	redis          = "Redis"
	postgres       = "Postgres"
	redisCluster   = "Redis Cluster"       // three masters, each with a replica
	sentinel       = "Redis with Sentinel" // a master and a replica
	nats           = "NATS"
	natsRedis      = "NATS, Redis"
	natsPostgres   = "NATS, Postgres"
	rabbitPostgres = "RabbitMQ, Postgres"
	snsRedis       = "SNS with SQS, Redis" // late, twice, and in no order
	natsWithin     = "NATS within the replicas"
	embedded       = "embedded" // the file and the bus of one replica
)

// both are the backends of one server that were there first, and allStores those with each store;
// apart are those whose broker is a server of its own, and allBrokers those with each broker;
// allBackends are all that replicas can share. Package backends has no driver of those in
// handedIn: a program that has it hands it in.
var (
	both        = []string{redis, postgres}
	allStores   = append(slices.Clone(both), nats)
	apart       = []string{natsRedis, rabbitPostgres, snsRedis}
	allBrokers  = append(slices.Clone(both), apart...)
	allBackends = append(slices.Clone(allBrokers), redisCluster, sentinel, nats, natsPostgres, natsWithin)
	handedIn    = []string{snsRedis, natsWithin}
)

// startServers starts the servers of a backend.
func (w *cluster) startServers() {
	w.Helper()
	switch w.backend {
	case redis, natsRedis, snsRedis:
		w.server = testserver.Redis(w)
	case postgres, natsPostgres, rabbitPostgres:
		w.server = testserver.Postgres(w)
	case nats:
		w.server = testserver.JetStream(w, "")
	case redisCluster:
		w.nodes = testserver.NewRedisCluster(w, 3, 1)
		w.url = w.nodes.URL
	case natsWithin:
		for i := range 3 {
			w.peers = append(w.peers, fmt.Sprintf("127.0.0.%d:%d", i+1, testserver.FreePort(w)))
		}
	case sentinel:
		w.watched = testserver.NewRedisSentinel(w, true)
		w.url = w.watched.URL
	default:
		w.Fatalf("there is no backend %q", w.backend)
	}
	switch w.backend {
	case natsRedis, natsPostgres:
		w.broker = testserver.NATS(w, "")
	case rabbitPostgres:
		w.broker = testserver.RabbitMQ(w, "")
	case snsRedis:
		w.cloud = testserver.Goaws(w)
		w.cloud.Hostile(true)
		w.broker = w.cloud.Server
	}
	for _, s := range []*testserver.Server{w.server, w.broker} {
		if s != nil {
			s.Own()
		}
	}
}

// lose kills the broker, which may be the store; of several servers the one that has the group's
// topic, when another one has all that it has.
func (w *cluster) lose() {
	w.Helper()
	switch {
	case w.peers != nil:
		w.ps[len(w.ps)-1].kill()
	case w.nodes != nil:
		master := w.master()
		w.nodes.AwaitReplica(master)
		master.Kill()
	case w.watched != nil:
		w.watched.AwaitReplica()
		w.watched.Master.Kill()
	default:
		cmp.Or(w.broker, w.server).Kill()
	}
}

// restore starts again what was lost, when a replica has said that it is away, or waits until
// another one has taken its place.
func (w *cluster) restore() {
	w.Helper()
	switch {
	case w.peers != nil:
		w.ps[len(w.ps)-1].restart()
	case w.nodes != nil: // they do it by themselves
	case w.watched != nil:
		w.watched.AwaitSwitch()
	default:
		w.degraded(w.ps[0], "broker")
		cmp.Or(w.broker, w.server).Start()
	}
}

// master is the node of a Redis Cluster that has the group's topic.
func (w *cluster) master() *testserver.Server {
	w.Helper()
	return w.nodes.Owner(keyOf(prefixOf(w.T), w.group.topic()))
}

// TestEveryBackendServesAnOutsideClient: nine tabs that know nothing but docs/protocol.md, three at
// each of three replicas, click 300 times, a third of it twice, while their connections are cut and
// the broker is killed and started again, or replaced by another server. Where the broker is in the
// replicas it dies with one of them, whose tabs move to the others. The application is the same on
// all backends.
func TestEveryBackendServesAnOutsideClient(t *testing.T) {
	t.Parallel()
	for _, backend := range allBackends {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			w := newCluster(t, demo(), backend, demo().kinds[0], false)
			w.startReplicas(3)
			ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
			defer cancel()
			const tabs, before, meanwhile = 9, 14, 20
			var all []*outsider
			for i := range tabs {
				o := visitOutside(t, w.ps[i%3].url+w.group.path(), w.group.topic())
				if err := o.connect(ctx); err != nil {
					t.Fatal(err)
				}
				defer func() { o.ws.CloseNow() }()
				all = append(all, o)
			}
			clickOutside(t, ctx, all, before, before*tabs)
			w.lose()
			for _, o := range all {
				if w.peers != nil && strings.HasPrefix(o.page, w.ps[2].url) {
					o.moveTo(t, ctx, w.ps[0].url+w.group.path())
				}
			}
			var clicks sync.WaitGroup
			clicks.Go(func() { clickOutside(t, ctx, all, meanwhile, (before+meanwhile)*tabs) })
			w.restore()
			clicks.Wait()
			for _, p := range w.ps {
				if late := visitOutside(t, p.url+w.group.path(), w.group.topic()); late.shown.count != (before+meanwhile)*tabs {
					t.Errorf("who comes late to %s is shown %d, want %d", p.url, late.shown.count, (before+meanwhile)*tabs)
				}
			}
		})
	}
}
