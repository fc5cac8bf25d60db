package boltstate_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"lockstep/state"
)

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
