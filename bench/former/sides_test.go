package former_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"lockstep/bench/former"
	"lockstep/internal/testserver"
	"lockstep/state"
	"lockstep/state/boltstate"
	"lockstep/state/memstate"
	"lockstep/state/pgstate"
	"lockstep/state/redisstate"
)

// A side is one of the two that are compared: batchers of one or several
// replicas over one store.
type side interface {
	// clicker returns what one click is of somebody at a replica, on a topic.
	clicker(replica, topic int) func(ctx context.Context) error
	// calls returns how many calls of the store there were.
	calls() uint64
	// count returns what a topic has counted.
	count(ctx context.Context, topic int) (int64, error)
	// close ends the replicas, and the store.
	close() error
}

// A product is a store that both sides have.
type product struct {
	name string
	unit string // of what meter returns; "" if there is nothing to say
	// shared is true when several replicas can use it.
	shared bool
	// begin starts the server, and returns how to open each side for so many
	// replicas, and what the server has done so far.
	begin func(b testing.TB) (before, now func(replicas int) side, meter func() float64)
}

func products() []product {
	return []product{
		{name: "memory", begin: inMemory},
		{name: "file", begin: inFile},
		{name: "Redis", unit: "µs of scripts", shared: true, begin: inRedis},
		{name: "Postgres", unit: "bytes of WAL", shared: true, begin: inPostgres},
	}
}

// nothing is the meter of a product that has none.
func nothing() float64 { return 0 }

func inMemory(testing.TB) (before, now func(int) side, meter func() float64) {
	before = func(int) side { return newBefore(former.NewMem()) }
	now = func(int) side { return newNow(memstate.New(nil)) }
	return before, now, nothing
}

func inFile(b testing.TB) (before, now func(int) side, meter func() float64) {
	before = func(int) side {
		s, err := former.OpenBolt(filepath.Join(b.TempDir(), "counters.db"))
		must(b, err)
		return newBefore(s)
	}
	now = func(int) side {
		s, err := boltstate.Open(filepath.Join(b.TempDir(), "states.db"), nil)
		must(b, err)
		return newNow(s)
	}
	return before, now, nothing
}

func inRedis(b testing.TB) (before, now func(int) side, meter func() float64) {
	url := testserver.Redis(b).URL
	before = func(replicas int) side {
		return newBefore(each(b, replicas, func() (former.Store, error) { return former.OpenRedis(url) })...)
	}
	now = func(replicas int) side {
		return newNow(each(b, replicas, func() (state.Store, error) { return redisstate.Open(b.Context(), url, nil) })...)
	}
	o, err := redis.ParseURL(url)
	must(b, err)
	c := redis.NewClient(o)
	b.Cleanup(func() { _ = c.Close() }) // nothing waits
	return before, now, func() float64 {
		text, err := c.Info(context.Background(), "commandstats").Result()
		must(b, err)
		return inScripts(text)
	}
}

// inScripts returns how long scripts have taken, in µs, by what Redis says of
// its commands.
func inScripts(stats string) (sum float64) {
	for line := range strings.Lines(stats) {
		name, values, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name != "cmdstat_evalsha" && name != "cmdstat_eval" {
			continue
		}
		for value := range strings.SplitSeq(values, ",") {
			if text, found := strings.CutPrefix(value, "usec="); found {
				µs, _ := strconv.ParseFloat(text, 64) // Redis writes numbers
				sum += µs
			}
		}
	}
	return sum
}

// inPostgres gives each side a database of its own: their tables are of the same
// names.
func inPostgres(b testing.TB) (before, now func(int) side, meter func() float64) {
	url := testserver.Postgres(b).URL
	c, err := pgx.Connect(b.Context(), url)
	must(b, err)
	b.Cleanup(func() { _ = c.Close(context.Background()) }) // nothing waits
	_, err = c.Exec(b.Context(), "CREATE DATABASE former")
	must(b, err)
	theirs, err := pgx.ParseConfig(url)
	must(b, err)
	formerURL := fmt.Sprintf("postgres://%s@%s:%d/former?sslmode=disable", theirs.User, theirs.Host, theirs.Port)
	before = func(replicas int) side {
		return newBefore(each(b, replicas, func() (former.Store, error) { return former.OpenPostgres(b.Context(), formerURL) })...)
	}
	now = func(replicas int) side {
		return newNow(each(b, replicas, func() (state.Store, error) { return pgstate.Open(b.Context(), url, nil) })...)
	}
	return before, now, func() (bytes float64) {
		must(b, c.QueryRow(context.Background(), "SELECT pg_current_wal_insert_lsn() - '0/0'").Scan(&bytes))
		return bytes
	}
}

// each opens so many.
func each[S any](b testing.TB, n int, open func() (S, error)) []S {
	all := make([]S, n)
	for i := range all {
		var err error
		all[i], err = open()
		must(b, err)
	}
	return all
}

func must(b testing.TB, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// before is what kept counters before package state.
type before struct {
	stores   []*countedFormer
	batchers []*former.Batcher
}

func newBefore(stores ...former.Store) *before {
	s := new(before)
	for _, store := range stores {
		counted := &countedFormer{Store: store}
		s.stores, s.batchers = append(s.stores, counted), append(s.batchers, former.NewBatcher(counted))
	}
	return s
}

func (s *before) clicker(replica, topic int) func(ctx context.Context) error {
	name, client, n := formerName(topic), rand.Text()[:16], 0
	return func(ctx context.Context) error {
		n++
		_, err := s.batchers[replica].Apply(ctx, name, former.Op{ID: fmt.Sprintf("%s%06d", client, n)})
		return err
	}
}

func formerName(topic int) string { return fmt.Sprint("bench", topic) }

func (s *before) calls() (n uint64) {
	for _, store := range s.stores {
		n += store.n.Load()
	}
	return n
}

// count counts one more, and takes it off.
func (s *before) count(ctx context.Context, topic int) (int64, error) {
	v, _, err := s.stores[0].Apply(ctx, formerName(topic), former.Op{ID: rand.Text()})
	return v.N - 1, err
}

func (s *before) close() error {
	for _, b := range s.batchers {
		b.Close()
	}
	return closeAll(s.stores)
}

// A countedFormer is a store whose calls are counted.
type countedFormer struct {
	former.Store
	n atomic.Uint64
}

func (s *countedFormer) Apply(ctx context.Context, name string, ops ...former.Op) (former.Value, []bool, error) {
	s.n.Add(1)
	return s.Store.Apply(ctx, name, ops...)
}

// now is package state.
type now struct {
	stores   []*countedState
	batchers []*state.Batcher
}

func newNow(stores ...state.Store) *now {
	s := new(now)
	for _, store := range stores {
		counted := &countedState{Store: store}
		s.stores = append(s.stores, counted)
		replica := len(s.batchers)
		s.batchers = append(s.batchers, state.NewBatcher(counted, &state.BatcherOptions{
			Committed: func(c state.Commit) { s.broadcast(replica, c.Topic, c.Record) },
		}, sums()))
	}
	return s
}

// broadcast says to the other replicas what one has committed.
func (s *now) broadcast(from int, topic string, r state.Record) {
	name := fmt.Sprint("replica", from)
	for i, b := range s.batchers {
		if i != from {
			b.Heard(topic, name, r)
		}
	}
}

// A sum is a counter as a kind of state.
type sum struct{ N int64 }

func sums() state.Kind[sum] {
	return state.Kind[sum]{Name: "sum", Actions: map[string]state.Action[sum]{
		"add": func(s sum, _ state.Fields, _ state.Call) (sum, error) { return sum{s.N + 1}, nil },
	}}
}

func nowTopic(topic int) string { return sums().Topic(fmt.Sprint(topic)) }

// clicksOfPage is how often somebody clicks until the page is loaded anew.
const clicksOfPage = 10

func (s *now) clicker(replica, topic int) func(ctx context.Context) error {
	op, name := state.Op{Do: "add"}, nowTopic(topic)
	return func(ctx context.Context) error {
		if op.Seq%clicksOfPage == 0 {
			_, _ = rand.Read(op.Client[:]) // it never fails
			op.Seq = 0
		}
		op.Seq++
		op.From = op.Seq
		a, err := s.batchers[replica].Apply(ctx, nil, name, op)
		if err == nil && a.Verdict != state.Ack {
			err = fmt.Errorf("got %v, %w", a.Verdict, a.Err)
		}
		return err
	}
}

func (s *now) calls() (n uint64) {
	for _, store := range s.stores {
		n += store.n.Load()
	}
	return n
}

func (s *now) count(ctx context.Context, topic int) (int64, error) {
	records, err := s.stores[0].Read(ctx, nowTopic(topic))
	if err != nil || len(records[0].Data) == 0 {
		return 0, err
	}
	read, err := sums().Read(records[0].Data)
	return read.N, err
}

func (s *now) close() error {
	for _, b := range s.batchers {
		_ = b.Close(context.Background()) // nothing waits
	}
	return closeAll(s.stores)
}

// A countedState is a store whose calls are counted.
type countedState struct {
	state.Store
	n atomic.Uint64
}

func (s *countedState) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	s.n.Add(1)
	return s.Store.Commit(ctx, steps...)
}

func (s *countedState) Read(ctx context.Context, topics ...string) ([]state.Record, error) {
	s.n.Add(1)
	return s.Store.Read(ctx, topics...)
}

func closeAll[S interface{ Close() error }](stores []S) (err error) {
	for _, s := range stores {
		if e := s.Close(); err == nil {
			err = e
		}
	}
	return err
}
