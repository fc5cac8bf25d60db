package boltstate_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"lockstep/counter"
	"lockstep/counter/boltcounter"
	"lockstep/state"
)

// A side is one of the two stores that are compared: do does n ops, of new
// clients, on each of the topics.
type side struct {
	name string
	do   func(ctx context.Context, ops int, topics []string) error
}

func sides(b *testing.B, data []byte) []side {
	former, err := boltcounter.Open(filepath.Join(b.TempDir(), "counters.db"), nil)
	must(b, err)
	b.Cleanup(func() { _ = former.Close() }) // the file is thrown away
	s := open(b, filepath.Join(b.TempDir(), "states.db"))
	bases := make(map[string]state.Record)
	return []side{
		{"counter", func(ctx context.Context, n int, topics []string) error {
			for _, topic := range topics {
				ops := make([]counter.Op, n)
				for i := range ops {
					ops[i] = counter.Op{ID: rand.Text(), Kind: counter.Increment}
				}
				if _, _, err := former.Apply(ctx, topic, ops...); err != nil {
					return err
				}
			}
			return nil
		}},
		{"state", func(ctx context.Context, n int, topics []string) error {
			steps := make([]state.Step, len(topics))
			for i, topic := range topics {
				if bases[topic].Epoch == 0 {
					bases[topic] = read(b, s, topic)
				}
				steps[i] = state.Step{Topic: topic, Base: bases[topic], Data: data}
				for range n {
					steps[i].Moves = append(steps[i].Moves, move(newClient(), 1))
				}
			}
			for i, o := range s.Commit(ctx, steps...) {
				if o.Err != nil {
					return o.Err
				}
				bases[topics[i]] = o.Record
			}
			return nil
		}},
	}
}

// BenchmarkBeside compares commits with the same ops as calls of the store of
// counters, in turns: what the disk does at the time happens to both.
func BenchmarkBeside(b *testing.B) {
	for _, c := range []struct{ ops, topics, data int }{
		{1, 1, 5}, {8, 1, 5}, {64, 1, 5}, {256, 1, 5}, {1, 64, 5}, {1, 1, 10 << 10}, {1, 1, 100 << 10},
	} {
		b.Run(fmt.Sprintf("ops=%d/topics=%d/data=%d", c.ops, c.topics, c.data), func(b *testing.B) {
			both := sides(b, bytes.Repeat([]byte("1"), c.data))
			topics := make([]string, c.topics)
			for i := range topics {
				topics[i] = fmt.Sprintf("topic-%d", i)
			}
			took := make([][]time.Duration, len(both))
			for b.Loop() {
				for i, side := range both {
					start := time.Now()
					must(b, side.do(b.Context(), c.ops, topics))
					took[i] = append(took[i], time.Since(start))
				}
			}
			ratios := make([]float64, len(took[0]))
			for i := range ratios {
				ratios[i] = float64(took[0][i]) / float64(took[1][i])
			}
			slices.Sort(ratios)
			for i, side := range both {
				slices.Sort(took[i])
				b.ReportMetric(float64(took[i][len(took[i])/2])/1e6, "ms-"+side.name)
			}
			b.ReportMetric(ratios[len(ratios)/2], "times-as-fast")
		})
	}
}

// BenchmarkLanes says how many bytes of the file a lane takes.
func BenchmarkLanes(b *testing.B) {
	for _, topics := range []int{1, 1000} {
		b.Run(fmt.Sprintf("topics=%d", topics), func(b *testing.B) {
			const n = 100_000
			for b.Loop() {
				path := filepath.Join(b.TempDir(), "states.db")
				s := open(b, path)
				s.Hurry(true)
				for i := range topics {
					makeLanes(b, s, fmt.Sprintf("topic-%d", i), n/topics)
				}
				used := s.Used()
				b.ReportMetric(float64(used)/n, "B/lane")
			}
		})
	}
}

// BenchmarkManyTopics makes a click a second on each of 1,000 topics, through
// one goroutine that commits what waits, as a batcher does.
func BenchmarkManyTopics(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "states.db"))
	const topics, rounds = 1000, 4
	bases := make(map[string]state.Record)
	type click struct {
		topic string
		at    time.Time
	}
	clicks := make(chan click, topics*rounds)
	for b.Loop() {
		var done sync.WaitGroup
		var took []time.Duration
		done.Go(func() { // ends with the last click
			for len(took) < topics*rounds {
				wait := []click{<-clicks}
				seen := map[string]bool{wait[0].topic: true}
				for len(clicks) > 0 && len(wait) < state.MaxSteps {
					c := <-clicks
					if seen[c.topic] {
						clicks <- c
						break
					}
					seen[c.topic] = true
					wait = append(wait, c)
				}
				steps := make([]state.Step, len(wait))
				for i, c := range wait {
					if bases[c.topic].Epoch == 0 {
						bases[c.topic] = read(b, s, c.topic)
					}
					steps[i] = state.Step{Topic: c.topic, Base: bases[c.topic], Data: []byte("12345"), Moves: []state.Move{move(newClient(), 1)}}
				}
				for i, o := range s.Commit(b.Context(), steps...) {
					must(b, o.Err)
					bases[wait[i].topic] = o.Record
					took = append(took, time.Since(wait[i].at))
				}
			}
		})
		start := time.Now()
		for i := range topics * rounds {
			at := start.Add(time.Duration(i) * time.Second / topics)
			time.Sleep(time.Until(at))
			clicks <- click{fmt.Sprintf("topic-%d", i%topics), at}
		}
		done.Wait()
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2])/1e6, "p50-ms")
		b.ReportMetric(float64(took[len(took)*99/100])/1e6, "p99-ms")
		b.ReportMetric(float64(len(took)), "done")
	}
}

// BenchmarkCompact says how long clicks wait while a file with so many lanes is
// made smaller.
func BenchmarkCompact(b *testing.B) {
	for _, n := range []int{75_000, 300_000} {
		b.Run(fmt.Sprintf("lanes=%d", n), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "states.db")
			s := open(b, path)
			s.CompactOften()
			s.Hurry(true)
			makeLanes(b, s, "a", n)
			s.Hurry(false)
			b.ReportMetric(float64(s.Used())/(1<<20), "MB-used")
			for b.Loop() {
				b.StopTimer()
				flood(b, s, big)
				flood(b, s, small)
				b.StartTimer()
				must(b, s.Compact())
			}
			b.ReportMetric(float64(sizeOf(b, path))/(1<<20), "MB-after")
		})
	}
}
