package e2e_test

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep/internal/testserver"
)

// switchoverFaults are what happens when another server takes over: addresses
// that lead to the wrong one, and servers that answer though they are it.
func switchoverFaults() []faultCase {
	return []faultCase{
		{
			fault: "switchover with a lagging address", injected: "the standby takes over; for 6 s the address still leads to the old server, a standby now",
			expected: "not ready meanwhile; clicks wait; the first connection that leads right is used",
			on:       both, quick: both, pair: true,
			run: func(w *cluster) {
				w.switchOver()
				w.note("degraded after %s", w.degraded(w.ps[0], "broker"))
				w.hold(w.lasts(6*time.Second, 2*time.Second))
				w.lead(w.standby)
			},
		},
		{
			fault: "failover behind a role check", injected: "a balancer leads new connections to the new server; the old one takes no writes and keeps its connections",
			expected: "noticed by what it answers; connections are made anew",
			on:       both, quick: []string{redis}, pair: true,
			kinds: (*target).allKinds,
			run: func(w *cluster) {
				w.demote()
				w.lead(w.standby)
			},
		},
		{
			fault: "broker moved, the old one lives on", injected: "the address leads to another broker; one of three replicas connects again, the others are left at the old one",
			expected: "followed within 21 s; meanwhile in step by the store",
			on:       both,
			run:      moveBroker,
		},
	}
}

// addStandby gives the server a second one that follows it, and the outsider an
// address that can lead to either.
func (w *cluster) addStandby() {
	w.Helper()
	if w.backend == redis {
		w.standby = testserver.Redis(w)
		w.standby.Replicate(w.server)
	} else {
		w.standby = testserver.PostgresStandby(w, w.server)
	}
	w.outside = testserver.NewProxy(w, w.server.Addr)
	w.store = openStore(w.T, w.outside.Rewrite(w.server.URL), prefixOf(w.T))
	w.group.reads(w.store)
}

// switchOver makes the standby the server, and the server its standby, without
// the loss of a write.
func (w *cluster) switchOver() {
	w.Helper()
	if w.backend == redis {
		w.server.Failover(w.standby)
		return
	}
	w.server.Stop() // it waits until the standby has all
	w.standby.Promote()
	w.server.Follow(w.standby)
	w.server.Start()
}

// demote has the server take no more writes, and keep its connections; then the
// standby takes over.
func (w *cluster) demote() {
	w.Helper()
	if w.backend == redis {
		w.server.Failover(w.standby)
		return
	}
	c, err := pgx.Connect(w.Context(), w.server.URL)
	if err != nil {
		w.Fatal(err)
	}
	defer c.Close(w.Context())
	for _, statement := range []string{"ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"} {
		if _, err := c.Exec(w.Context(), statement); err != nil {
			w.Fatal(err)
		}
	}
	w.hold(500 * time.Millisecond) // for what was under way
	w.standby.CatchUp(w.server)
	w.standby.Promote()
}

// lead has new connections of everybody go to another server.
func (w *cluster) lead(to *testserver.Server) {
	for _, p := range w.proxies {
		p.broker.Target(to.Addr)
		p.store.Target(to.Addr)
	}
	w.outside.Target(to.Addr)
}

// moveBroker leaves replicas at a broker that works, while the address leads to
// another.
func moveBroker(w *cluster) {
	var next *testserver.Server
	if w.backend == redis {
		next = testserver.Redis(w)
	} else {
		next = testserver.Postgres(w)
	}
	before := make([]int, len(w.ps))
	for i, p := range w.ps {
		before[i] = p.reconnects()
	}
	began := time.Now()
	w.brokers(func(p *testserver.Proxy) { p.Target(next.Addr) })
	w.proxies[0].broker.Cut()
	within(w.T, 30*time.Second, "all replicas to be at the new broker", func() error {
		for i, p := range w.ps {
			if p.reconnects() == before[i] {
				return fmt.Errorf("%s is at the old one", p.url)
			}
		}
		return nil
	})
	w.note("all followed after %s", time.Since(began).Round(100*time.Millisecond))
}

var reconnectsMetric = regexp.MustCompile(`(?m)^lockstep_pubsub_reconnects_total\{[^}]*\} (\d+)$`)

// reconnects returns how often a replica has connected to the broker again.
func (p *process) reconnects() int {
	p.t.Helper()
	_, metrics := get(p.t, p.admin()+"/metrics")
	m := reconnectsMetric.FindStringSubmatch(metrics)
	if m == nil {
		p.t.Fatalf("no metric of reconnections in %q", metrics)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}
