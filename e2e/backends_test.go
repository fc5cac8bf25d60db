package e2e_test

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"

	"lockstep/internal/testserver"
)

// What replicas can share: one server that is broker and store, or one of each.
const (
	redis          = "Redis"
	postgres       = "Postgres"
	natsRedis      = "NATS, Redis"
	natsPostgres   = "NATS, Postgres"
	rabbitPostgres = "RabbitMQ, Postgres"
	snsRedis       = "SNS with SQS, Redis" // late, twice, and in no order
	embedded       = "embedded"            // the file and the bus of one replica
)

// both are the backends of one server, allBrokers those with each broker, and allBackends all that
// replicas can share.
var (
	both        = []string{redis, postgres}
	allBrokers  = []string{redis, postgres, natsRedis, rabbitPostgres, snsRedis}
	allBackends = append(slices.Clone(allBrokers), natsPostgres)
)

// startServers starts the servers of a backend.
func (w *cluster) startServers() {
	w.Helper()
	switch w.backend {
	case redis, natsRedis, snsRedis:
		w.server = testserver.Redis(w)
	case postgres, natsPostgres, rabbitPostgres:
		w.server = testserver.Postgres(w)
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
}

// restart kills the broker, which may be the store, and starts it again when a replica has said
// that it is away.
func (w *cluster) restart() {
	w.Helper()
	broker := cmp.Or(w.broker, w.server)
	broker.Kill()
	w.degraded(w.ps[0], "broker")
	broker.Start()
}

// TestEveryBackendServesAnOutsideClient: nine tabs that know nothing but docs/protocol.md, three at
// each of three replicas, click 300 times, a third of it twice, while their connections are cut and
// the broker is killed and started again. The application is the same on all backends.
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
			var clicks sync.WaitGroup
			clicks.Go(func() { clickOutside(t, ctx, all, meanwhile, (before+meanwhile)*tabs) })
			w.restart()
			clicks.Wait()
			for _, p := range w.ps {
				if late := visitOutside(t, p.url+w.group.path(), w.group.topic()); late.shown.count != (before+meanwhile)*tabs {
					t.Errorf("who comes late to %s is shown %d, want %d", p.url, late.shown.count, (before+meanwhile)*tabs)
				}
			}
		})
	}
}
