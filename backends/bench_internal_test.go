package backends

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/internal/testserver"
	"lockstep/pubsub/driver"
	"lockstep/state"
)

// BenchmarkPostgresUnderConcurrentCommits measures clicks of three replicas on one PostgreSQL, each
// person clicking again when the last click is acknowledged: all on one topic, or each on their
// own; alone, and while the same database carries what is told of each commit, since a NOTIFY takes
// a lock over all commits of a database. docs/backends.md has what came out.
func BenchmarkPostgresUnderConcurrentCommits(b *testing.B) {
	server := testserver.Postgres(b)
	for _, people := range []int{1, 8, 64, 256} {
		for _, own := range []bool{false, true} {
			for _, told := range []bool{false, true} {
				b.Run(fmt.Sprintf("people=3x%d/own_topics=%t/broadcasts=%t", people, own, told), func(b *testing.B) {
					clickTogether(b, server.URL, people, own, told)
				})
			}
		}
	}
}

// A clicker is one person, who is at one replica.
type clicker struct {
	batcher *state.Batcher
	topic   string
	client  state.Client
	took    []time.Duration
}

// clickTogether has people click b.N times in all.
func clickTogether(b *testing.B, url string, people int, own, told bool) {
	const replicas = 3
	var sent atomic.Int64
	var clickers []*clicker
	for i := range replicas {
		batcher := newReplica(b, url, told, &sent)
		for j := range people {
			c := &clicker{batcher: batcher, topic: "bench:" + rand.Text()}
			if !own {
				c.topic = "bench:" + b.Name()
			}
			if _, err := rand.Read(c.client[:]); err != nil {
				b.Fatal(i, j, err)
			}
			clickers = append(clickers, c)
		}
	}
	var next atomic.Int64
	var all sync.WaitGroup
	sent.Store(0)
	b.ResetTimer()
	for _, c := range clickers {
		all.Go(func() {
			if err := c.click(b.Context(), func() bool { return next.Add(1) <= int64(b.N) }); err != nil {
				b.Error(err)
			}
		})
	}
	all.Wait()
	b.StopTimer()
	report(b, clickers, sent.Load())
}

func report(b *testing.B, clickers []*clicker, sent int64) {
	b.Helper()
	var took []time.Duration
	for _, c := range clickers {
		took = append(took, c.took...)
	}
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "clicks/s")
	b.ReportMetric(ms(took[len(took)/2]), "p50-ms")
	b.ReportMetric(ms(took[len(took)*99/100]), "p99-ms")
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "broadcasts/s")
}

// click clicks as long as more says so.
func (c *clicker) click(ctx context.Context, more func() bool) error {
	for seq := uint64(1); more(); seq++ {
		began := time.Now()
		a, err := c.batcher.Apply(ctx, nil, c.topic, state.Op{Client: c.client, Seq: seq, From: seq, Do: "add"})
		if err != nil {
			return err
		}
		if a.Verdict != state.Ack {
			return fmt.Errorf("got %v, want an acknowledgement", a)
		}
		c.took = append(c.took, time.Since(began))
	}
	return nil
}

// newReplica returns a replica's way to the store. If told is set it tells the broker at the same
// URL of what is committed.
func newReplica(b *testing.B, url string, told bool, sent *atomic.Int64) *state.Batcher {
	b.Helper()
	store, err := Store(b.Context(), url, nil)
	if err != nil {
		b.Fatal(err)
	}
	n := newNews()
	var teller sync.WaitGroup
	opts := &state.BatcherOptions{}
	if told {
		opts.Committed = n.put
		conn := broker(b, url)
		teller.Go(func() { n.tell(b.Context(), conn, sent) }) // ends with b's context or conn
	}
	batcher := state.NewBatcher(store, opts, state.Kind[int]{Name: "bench", Actions: map[string]state.Action[int]{
		"add": func(i int, _ state.Fields, _ state.Call) (int, error) { return i + 1, nil },
	}})
	b.Cleanup(func() {
		if err := errors.Join(batcher.Close(context.Background()), store.Close()); err != nil {
			b.Error(err)
		}
		teller.Wait()
	})
	return batcher
}

func broker(b *testing.B, url string) driver.Conn {
	b.Helper()
	d, err := Driver(url, nil)
	if err != nil {
		b.Fatal(err)
	}
	c, err := d.Open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	return c
}

// news is what a replica has yet to tell: of each topic the newest, as it is in package live.
type news struct {
	wake chan struct{} // of size 1

	mu     sync.Mutex
	newest map[string]uint64 // versions by topics; guarded by mu
}

func newNews() *news { return &news{wake: make(chan struct{}, 1), newest: make(map[string]uint64)} }

func (n *news) put(c state.Commit) {
	n.mu.Lock()
	n.newest[c.Topic] = c.Record.Version
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// tell publishes what there is, all of it at once, again and again.
func (n *news) tell(ctx context.Context, conn driver.Conn, sent *atomic.Int64) {
	for {
		select {
		case <-n.wake:
		case <-ctx.Done():
			return
		}
		n.mu.Lock()
		newest := n.newest
		n.newest = make(map[string]uint64)
		n.mu.Unlock()
		var all sync.WaitGroup
		for topic, version := range newest {
			all.Go(func() {
				if conn.Publish(ctx, topic, []byte(strconv.FormatUint(version, 10))) == nil {
					sent.Add(1)
				}
			})
		}
		all.Wait()
	}
}
