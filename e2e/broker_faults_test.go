package e2e_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"

	"lockstep/internal/history"
	"lockstep/internal/testserver"
)

// brokerFaults are what happens on the way between the replicas, while the
// store lives.
func brokerFaults() []faultCase {
	return []faultCase{
		{
			fault: "broker unreachable", injected: "a proxy cuts and refuses connections for 30 s; the store lives",
			expected: "degraded, clicks are counted, other replicas follow by anti-entropy",
			on:       allBrokers, quick: []string{redis}, kit: []string{redis},
			kinds: (*target).pieceKinds,
			run: func(w *cluster) {
				w.brokers(func(p *testserver.Proxy) { p.Refuse(true) })
				w.note("degraded after %s", w.degraded(w.ps[0], "broker"))
				w.hold(w.lasts(30*time.Second, 4*time.Second))
				w.noneWaits(3 * time.Second)
				w.brokers(func(p *testserver.Proxy) { p.Refuse(false) })
			},
		},
		{
			fault: "broker restarted", injected: "kill -9 of the broker, started again after 2 s; the store lives",
			expected: "as above",
			on:       apart,
			run: func(w *cluster) {
				w.broker.Kill()
				w.note("degraded after %s", w.degraded(w.ps[0], "broker"))
				w.hold(2 * time.Second)
				w.noneWaits(3 * time.Second)
				w.broker.Start()
			},
		},
		{
			fault: "broker frozen", injected: "SIGSTOP of the broker for 10 s; the store lives",
			expected: "found by the heartbeat; then as above",
			on:       apart,
			run: func(w *cluster) {
				w.broker.Freeze()
				w.note("degraded after %s", w.degraded(w.ps[0], "broker"))
				w.hold(10 * time.Second)
				w.noneWaits(3 * time.Second)
				w.broker.Thaw()
			},
		},
		{
			fault: "half-open connection to the broker", injected: "a proxy drops packets both ways for 15 s, no RST; the store lives",
			expected: "found by the heartbeat; then as above",
			on:       allBrokers, quick: []string{postgres}, kit: []string{postgres},
			run: func(w *cluster) {
				w.brokers(func(p *testserver.Proxy) { p.Stall(true) })
				w.note("found after %s", w.degraded(w.ps[0], "broker"))
				w.hold(w.lasts(15*time.Second, 2*time.Second))
				w.noneWaits(3 * time.Second)
				w.brokers(func(p *testserver.Proxy) { p.Stall(false) })
			},
		},
		{
			fault: "deaf replica", injected: "a proxy holds back what the broker sends to one of three",
			expected: "found within 4 s, not ready, shown on the page; heals itself",
			on:       allBrokers, quick: both,
			kinds: (*target).pieceKinds,
			run: func(w *cluster) {
				w.proxies[0].broker.StallAnswers(true)
				w.note("found after %s", w.degraded(w.ps[0], "broker"))
				w.hold(w.lasts(5*time.Second, time.Second))
				w.proxies[0].broker.StallAnswers(false)
			},
		},
		{
			fault: "connections to the broker cut again and again", injected: "RST every 300 ms for 6 s",
			expected: "a new connection and a reload each time",
			on:       allBrokers,
			run: func(w *cluster) {
				for range 20 {
					w.brokers((*testserver.Proxy).Cut)
					w.hold(300 * time.Millisecond)
				}
			},
		},
		{
			fault: "slow connection to the broker", injected: "a proxy delays all by 300 ms for 10 s",
			expected: "later, and in order",
			on:       allBrokers,
			run: func(w *cluster) {
				w.brokers(func(p *testserver.Proxy) { p.Delay(300 * time.Millisecond) })
				w.hold(10 * time.Second)
				w.brokers(func(p *testserver.Proxy) { p.Delay(0) })
			},
		},
		{
			fault: "broker drops, repeats and reorders", needs: "replicas in the test", injected: "pubsubtest.Faulty: 30 %, 20 %, 20 % of the messages, to the end",
			expected: "nobody notices but for some reads of the store",
			on:       both, quick: both, lossyBroker: true,
			kinds: (*target).pieceKinds,
			run: func(w *cluster) {
				w.hold(w.lasts(10*time.Second, 3*time.Second))
				for i, f := range w.faulty {
					s := f.Stats()
					if s.Dropped == 0 || s.Duplicated == 0 || s.Reordered == 0 {
						w.Errorf("replica %d: got %+v: the faults did not happen", i+1, s)
					}
					w.note("%d dropped", s.Dropped)
				}
			},
		},
		{
			fault: "poisoned messages on the channel", injected: "500: not JSON, wrong types, 1 MB, an older version, false states of now, a little ahead and far",
			expected: "ignored, logged within limits; tabs keep to the truth",
			on:       both, quick: both,
			run: poison,
		},
	}
}

// poisons are what a replica must not believe. False states are of the epoch
// that is, or of a later one, and a little ahead or far.
func poisons(now history.State) []string {
	epoch := now.Epoch
	return []string{
		stateText("666666", epoch, now.Version+200), stateText("666666", epoch, now.Version+1000),
		stateText("666666", epoch, now.Version+100_000),
		`{`, `"n"`, `null`, `[]`, `7`, "\xff\x00\xfe", ``, `{}`,
		`{"s":1,"v":1,"e":1}`, `{"s":"1 1","v":-1,"e":1}`, `{"s":"1 1","v":1e400,"e":1}`, `{"S":"1 1"}`, `{"s":"1 1","v":"2"}`,
		`{"s":"1 3","v":2}`,
		fmt.Sprintf(`{"absent":true,"v":%d,"e":%d}`, now.Version+300, epoch), fmt.Sprintf(`{"b":"MSA2NjY=","v":%d,"e":%d}`, now.Version+400, epoch),
		fmt.Sprintf(`{"s":"99 {}","v":%d,"e":%d}`, now.Version+500, epoch), // of a later version of the program
		fmt.Sprintf(`{"s":"x","v":%d,"e":%d}`, now.Version+600, epoch),
		stateText("1", epoch, 1), stateText("666", epoch, 18446744073709551615), stateText("666", epoch+1_000_000_000, 1),
	}
}

// poison publishes on the group's topic what no replica would.
func poison(w *cluster) {
	now, err := w.group.read()
	if err != nil {
		w.Fatal(err)
	}
	before := logged(w)
	conn, err := openDriver(w.T, w.server.URL, prefixOf(w.T)).Open(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	defer conn.Close()
	topic := prefixOf(w.T) + w.group.topic()
	all := poisons(now)
	for i := range 500 {
		if err := conn.Publish(w.Context(), topic, []byte(all[i%len(all)])); err != nil {
			w.Fatal(err)
		}
	}
	for topic, payload := range map[string]string{
		"presence":                     fmt.Sprintf(`{"r":"x","n":1,"c":{%q:666,"movable":0},"ask":true}`, w.group.topic()),
		"_digest:" + w.group.kind.name: fmt.Sprintf(`{"lobby":[%d,%d]}`, now.Epoch, now.Version+100_000),
	} {
		if err := conn.Publish(w.Context(), prefixOf(w.T)+topic, []byte(payload)); err != nil {
			w.Fatal(err)
		}
	}
	if w.backend == redis {
		poisonRedis(w, topic)
	} else {
		poisonPostgres(w)
	}
	w.hold(time.Second)
	if n := logged(w) - before; n > 300 {
		w.Errorf("got %d lines of log for 500 poisoned messages", n)
	} else {
		w.note("%d lines of log", n)
	}
}

// logged returns how many lines the replicas have logged.
func logged(w *cluster) (n int) {
	for _, p := range w.ps {
		n += strings.Count(p.out.String(), "\n")
	}
	return n
}

// poisonRedis publishes what the driver would not: 1 MB.
func poisonRedis(w *cluster, topic string) {
	opts, err := goredis.ParseURL(w.server.URL)
	if err != nil {
		w.Fatal(err)
	}
	c := goredis.NewClient(opts)
	defer c.Close()
	for range 5 {
		if err := c.Publish(w.Context(), topic, strings.Repeat("x", 1<<20)).Err(); err != nil {
			w.Fatal(err)
		}
	}
}

// poisonPostgres notifies what is not of the driver's format, as long as
// PostgreSQL allows.
func poisonPostgres(w *cluster) {
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	c, err := pgx.Connect(ctx, w.server.URL)
	if err != nil {
		w.Fatal(err)
	}
	defer c.Close(ctx)
	sum := sha256.Sum256([]byte(prefixOf(w.T)))
	for _, text := range []string{"", "x", "1 t", "1 t99999999 x", "1 b3 !!!", strings.Repeat("x", 7999)} {
		if _, err := c.Exec(ctx, "SELECT pg_notify($1, $2)", "lockstep_"+hex.EncodeToString(sum[:8]), text); err != nil {
			w.Fatal(err)
		}
	}
}
