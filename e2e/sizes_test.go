package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"

	"lockstep/app/web"
	"lockstep/counter"
	"lockstep/counter/boltcounter"
	"lockstep/counter/pgcounter"
	"lockstep/counter/rediscounter"
	"lockstep/internal/testserver"
)

// What a store takes at most, in bytes, as docs/operations.md has it: for a
// click that it remembers, and for a counter, for ever.
const (
	redisClick, redisCounter = 320, 200
	pgClick, pgCounter       = 700, 600
	fileClick, fileCounter   = 1000, 300
)

// fillers is how many addresses may do nothing else but fill a store, for a
// year, and it must not be full.
const fillers = 10

// TestTheLimitsOfAnAddressFitTheStores multiplies what an address may send with
// what it takes in each store, measured with the longest names and ids.
func TestTheLimitsOfAnAddressFitTheStores(t *testing.T) {
	t.Parallel()
	l := web.DefaultLimits()
	clicks, counters := fillers*l.ClicksPerAddr, fillers*365*l.NamesPerAddr
	memory := redisMemory(t)
	if need := clicks*redisClick + counters*redisCounter; need > memory {
		t.Errorf("%d clicks and %d counters need %d bytes of Redis, and deploy/redis.conf has %d", clicks, counters, need, memory)
	}
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{
		fmt.Sprintf("| a click, for 15 minutes | %d | %d | %d |", redisClick, pgClick, fileClick),
		fmt.Sprintf("| a counter, for ever | %d | %d | %d |", redisCounter, pgCounter, fileCounter),
	} {
		if !strings.Contains(string(text), row) {
			t.Errorf("docs/operations.md has no row %s", row)
		}
	}
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		server := testserver.Redis(t, "--appendfsync", "no")
		server.Own() // nobody else uses its memory
		store, err := rediscounter.Open(t.Context(), server.URL, nil)
		measureStore(t, store, err, redisClick, redisCounter, func() int { return redisUsed(t, server.URL) })
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		server := testserver.Postgres(t)
		store, err := pgcounter.Open(t.Context(), server.URL, nil)
		measureStore(t, store, err, pgClick, pgCounter, func() int { return pgUsed(t, server.URL) })
	})
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "counters.db")
		store, err := boltcounter.Open(path, nil)
		measureStore(t, store, err, fileClick, fileCounter, func() int {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			return int(info.Size())
		})
	})
}

// measureStore checks what clicks and counters take.
func measureStore(t *testing.T, s counter.Store, err error, click, perCounter int, used func() int) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const calls, counters = 80, 1000
	name := func(i int) string { return fmt.Sprintf("%064d", i) }
	before := used()
	for i := range calls {
		ops := make([]counter.Op, counter.MaxOps)
		for j := range ops {
			ops[j] = longOp()
		}
		applyOrFail(t, s, name(i%10), ops...)
	}
	after := used()
	each := (after - before) / (calls * counter.MaxOps)
	if each > click || each < click/4 {
		t.Errorf("a click takes %d bytes, want %d at most, and not much less", each, click)
	}
	for i := range counters {
		applyOrFail(t, s, name(1000+i), longOp())
	}
	// A file grows in steps: there it may be nothing.
	got := (used()-after)/counters - each
	if got > perCounter {
		t.Errorf("a counter takes %d bytes, want %d at most", got, perCounter)
	}
	t.Logf("a click takes %d bytes, a counter %d", each, max(0, got))
}

// longOp returns an op whose id is as long as it may be.
func longOp() counter.Op {
	return counter.Op{ID: (newOp() + strings.Repeat("x", 64))[:64], Kind: counter.Increment}
}

func applyOrFail(t *testing.T, s counter.Store, name string, ops ...counter.Op) {
	t.Helper()
	if _, _, err := s.Apply(t.Context(), name, ops...); err != nil {
		t.Fatal(err)
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
	err = c.QueryRow(t.Context(), "SELECT pg_total_relation_size('lockstep_op') + pg_total_relation_size('lockstep_counter')").Scan(&used)
	if err != nil {
		t.Fatal(err)
	}
	return used
}
