package e2e_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"

	"lockstep/internal/testserver"
	"lockstep/serve"
	states "lockstep/state"
	"lockstep/state/boltstate"
	"lockstep/state/pgstate"
	"lockstep/state/redisstate"
)

// What a store takes at most, in bytes, as docs/operations.md has it: for a
// lane, and for a counter beside its first lane, for ever.
const (
	redisLane, redisTopic = 90, 400
	pgLane, pgTopic       = 250, 600
	fileLane, fileTopic   = 150, 400
)

const (
	// fillers is how many addresses may do nothing else but fill a store, for a
	// year, and it must not be full.
	fillers = 10
	// keptFor is how many days lanes are kept at most: Redis keeps them longest,
	// for 16/7 of a lifetime.
	keptFor = int(states.Lifetime/(24*time.Hour))*16/7 + 1
)

// TestTheLimitsOfAnAddressFitTheStores multiplies what an address may send with
// what it takes in each store, measured with the longest names.
func TestTheLimitsOfAnAddressFitTheStores(t *testing.T) {
	t.Parallel()
	l := serve.DefaultLimits()
	lanes, topics := fillers*keptFor*l.LanesPerAddr, fillers*365*l.NamesPerAddr
	memory := redisMemory(t)
	if need := lanes*redisLane + topics*redisTopic; need > memory {
		t.Errorf("%d lanes and %d counters need %d bytes of Redis, and deploy/redis.conf has %d", lanes, topics, need, memory)
	}
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{
		fmt.Sprintf("| a page load that clicks, for 8 days and up to 19 | %d | %d | %d |", redisLane, pgLane, fileLane),
		fmt.Sprintf("| a counter, for ever | %d | %d | %d |", redisTopic, pgTopic, fileTopic),
	} {
		if !strings.Contains(string(text), row) {
			t.Errorf("docs/operations.md has no row %s", row)
		}
	}
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		server := testserver.Redis(t, "--appendfsync", "no")
		server.Own() // nobody else uses its memory
		store, err := redisstate.Open(t.Context(), server.URL, nil)
		measureStore(t, store, err, redisLane, redisTopic, func() int { return redisUsed(t, server.URL) })
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		server := testserver.Postgres(t)
		store, err := pgstate.Open(t.Context(), server.URL, nil)
		measureStore(t, store, err, pgLane, pgTopic, func() int { return pgUsed(t, server.URL) })
	})
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "states.db")
		store, err := boltstate.Open(path, nil)
		measureStore(t, store, err, fileLane, fileTopic, func() int {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			return int(info.Size())
		})
	})
}

// measureStore checks what lanes and topics take.
func measureStore(t *testing.T, s states.Store, err error, perLane, perTopic int, used func() int) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const commits, topics = 80, 1000
	name := func(i int) string { return fmt.Sprintf("counter:%064d", i) }
	before := used()
	for i := range commits {
		commitLanes(t, s, name(i%10), states.MaxMoves)
	}
	after := used()
	each := (after - before) / (commits * states.MaxMoves)
	if each > perLane || each < perLane/4 {
		t.Errorf("a lane takes %d bytes, want %d at most, and not much less", each, perLane)
	}
	for i := range topics {
		commitLanes(t, s, name(1000+i), 1)
	}
	// A file grows in steps: there it may be nothing.
	got := (used()-after)/topics - each
	if got > perTopic {
		t.Errorf("a counter takes %d bytes, want %d at most", got, perTopic)
	}
	t.Logf("a lane takes %d bytes, a counter %d", each, max(0, got))
}

// commitLanes has so many new clients click on a topic.
func commitLanes(t *testing.T, s states.Store, topic string, n int) {
	t.Helper()
	r, err := s.Read(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	moves := make([]states.Move, n)
	for i := range moves {
		_, _ = rand.Read(moves[i].Client[:]) // never fails
		moves[i].To = states.Lane{Last: 9999, From: 9998}
	}
	if o := s.Commit(t.Context(), states.Step{Topic: topic, Base: r[0], Data: []byte("1 1234567890"), Moves: moves})[0]; o.Err != nil {
		t.Fatal(o.Err)
	}
}

// redisMemory returns maxmemory of deploy/redis.conf in bytes.
func redisMemory(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("../deploy/redis.conf")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^maxmemory (\d+)mb$`).FindSubmatch(text)
	if m == nil {
		t.Fatal("deploy/redis.conf has no maxmemory in mb")
	}
	mb, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return mb << 20
}

func redisUsed(t *testing.T, url string) int {
	t.Helper()
	opts, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := goredis.NewClient(opts)
	defer c.Close()
	info, err := c.InfoMap(context.Background(), "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	used, err := strconv.Atoi(info["Memory"]["used_memory"])
	if err != nil {
		t.Fatal(err)
	}
	return used
}

func pgUsed(t *testing.T, url string) (used int) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	err = c.QueryRow(t.Context(), "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'lockstep%'").Scan(&used)
	if err != nil {
		t.Fatal(err)
	}
	return used
}
