package counter_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"

	"lockstep/counter"
	"lockstep/counter/memcounter"
	"lockstep/state"
	"lockstep/state/memstate"
)

// A load is so many clickers, each of whom clicks again when it has the answer,
// spread over topics.
type load struct{ topics, clickers int }

var loads = []load{{1, 1}, {1, 8}, {1, 64}, {1, 512}, {1000, 1000}}

// BenchmarkBatcher compares group commit of counters with that of states of any
// type, in memory. To compare, have rounds of both in one run: -count=9.
func BenchmarkBatcher(b *testing.B) {
	for _, l := range loads {
		b.Run(fmt.Sprintf("of=counter/topics=%d/clickers=%d", l.topics, l.clickers), func(b *testing.B) {
			batcher := counter.NewBatcher(memcounter.New(nil), nil)
			l.run(b, func(ctx context.Context, topic int) func() error {
				id, name, seq := rand.Text(), fmt.Sprint("bench", topic), 0
				return func() error {
					seq++
					_, err := batcher.Apply(ctx, nil, name, counter.Op{ID: fmt.Sprintf("%s%06d", id[:16], seq), Kind: counter.Increment})
					return err
				}
			})
			_ = batcher.Close(b.Context()) // nothing waits
		})
		b.Run(fmt.Sprintf("of=state/topics=%d/clickers=%d", l.topics, l.clickers), func(b *testing.B) {
			batcher := state.NewBatcher(memstate.New(nil), nil, sums())
			l.run(b, func(ctx context.Context, topic int) func() error {
				op, name := state.Op{Do: "add"}, sums().Topic(fmt.Sprint(topic))
				_, _ = rand.Read(op.Client[:]) // it never fails
				return func() error {
					op.Seq++
					op.From = op.Seq
					a, err := batcher.Apply(ctx, nil, name, op)
					if err == nil && a.Verdict != state.Ack {
						err = fmt.Errorf("got %v, %w", a.Verdict, a.Err)
					}
					return err
				}
			})
			s := batcher.Stats()
			b.ReportMetric(float64(s.Calls)/float64(b.N), "calls/op")
			_ = batcher.Close(b.Context()) // nothing waits
		})
	}
}

// A sum is a counter as a kind of state.
type sum struct{ N int64 }

func sums() state.Kind[sum] {
	return state.Kind[sum]{Name: "sum", Actions: map[string]state.Action[sum]{
		"add": func(s sum, _ state.Fields, _ state.Call) (sum, error) { return sum{s.N + 1}, nil },
	}}
}

// run has the clickers make b.N clicks together. clicker returns what one click
// of a clicker is.
func (l load) run(b *testing.B, clicker func(ctx context.Context, topic int) func() error) {
	clicks := make([]func() error, l.clickers)
	for i := range clicks {
		clicks[i] = clicker(b.Context(), i%l.topics)
	}
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for i, click := range clicks {
		n := b.N / l.clickers
		if i < b.N%l.clickers {
			n++
		}
		wg.Go(func() {
			for range n {
				if err := click(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
}
