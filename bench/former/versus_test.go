package former_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"lockstep/bench/page"
)

// A load is so many replicas, and on each so many clickers, of whom each clicks
// again when it has the answer. They are spread over topics.
type load struct{ topics, replicas, clickers int }

// loads returns what is measured; more than one replica where a store can be
// shared.
func loads(shared bool) []load {
	all := []load{{1, 1, 1}, {1, 1, 8}, {1, 1, 64}, {1, 1, 512}, {64, 1, 64}, {1000, 1, 1000}}
	if shared {
		all = append(all, load{1, 3, 8}, load{1, 3, 64})
	}
	return all
}

// A pair is one round: both sides, one after the other.
type pair struct{ before, now measure }

// A measure is what one side has done in one round.
type measure struct {
	rate     float64 // clicks a second
	p50, p99 float64 // ms from the click to its answer
	cpu      float64 // µs of this process, for each click
	calls    float64 // of the store, for each click
	server   float64 // what the server has done for each click
}

// A row is all rounds of a load on a product.
type row struct {
	product product
	load    load
	pairs   []pair
}

// rounds and slice are how often each side is measured, and for how long.
const (
	rounds = 9
	slice  = 500 * time.Millisecond
)

// BenchmarkStores measures the stores of package state beside those that kept
// counters before, in turns. With LOCKSTEP_STORES_PAGE it writes the results
// into that page; LOCKSTEP_STORES_ROUNDS says how many rounds. It measures for
// some minutes, once: -benchtime 1x.
func BenchmarkStores(b *testing.B) {
	n := rounds
	if text := os.Getenv("LOCKSTEP_STORES_ROUNDS"); text != "" {
		var err error
		n, err = strconv.Atoi(text)
		must(b, err)
		n = max(n, 1)
	}
	var rows []row
	others := page.Load()
	for _, p := range products() {
		b.Run(p.name, func(b *testing.B) {
			for b.Loop() {
				rows = append(rows, compare(b, p, n)...)
			}
		})
	}
	if b.Failed() || len(rows) == 0 {
		return
	}
	text := report(rows, others)
	fmt.Print(text)
	if path := os.Getenv("LOCKSTEP_STORES_PAGE"); path != "" {
		must(b, page.WriteStores(path, text))
	}
}

// compare measures all loads on a product, in so many rounds.
func compare(b *testing.B, p product, n int) (rows []row) {
	before, now, meter := p.begin(b)
	for i, l := range loads(p.shared) {
		r := row{product: p, load: l}
		old, young := before(l.replicas), now(l.replicas)
		first := i * 10_000 // topics that no load before had
		for round := range n + 1 {
			var got pair
			measureBoth(round%2 == 1,
				func() { got.before = l.run(b, old, first, meter) },
				func() { got.now = l.run(b, young, first, meter) })
			if round > 0 { // the first warms up
				r.pairs = append(r.pairs, got)
			}
		}
		must(b, old.close())
		must(b, young.close())
		rows = append(rows, r)
	}
	return rows
}

// measureBoth alternates which is first: nothing that follows a side falls on
// the other each time.
func measureBoth(swap bool, a, b func()) {
	if swap {
		a, b = b, a
	}
	a()
	b()
}

// run has the clickers click on topics from first on.
func (l load) run(b testing.TB, s side, first int, meter func() float64) measure {
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	runtime.GC() // what the other side has left
	calls, done, busy := s.calls(), meter(), cpuTime()
	began := time.Now()
	took := l.click(ctx, b, s, first, func() bool { return time.Since(began) < slice })
	seconds, cpu := time.Since(began).Seconds(), cpuTime()-busy
	n := float64(len(took))
	slices.Sort(took)
	at := func(q float64) float64 { return took[int(q*(n-1))].Seconds() * 1e3 }
	return measure{
		rate: n / seconds, p50: at(0.5), p99: at(0.99),
		cpu: cpu.Seconds() * 1e6 / n, calls: float64(s.calls()-calls) / n, server: (meter() - done) / n,
	}
}

// cpuTime returns what this process has computed, in all its threads.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it never fails
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// click has each clicker click once, and as long as more says so. It returns how
// long each click took, when all have their answers.
func (l load) click(ctx context.Context, b testing.TB, s side, first int, more func() bool) (took []time.Duration) {
	var mu sync.Mutex // guards took
	var clickers sync.WaitGroup
	for i := range l.replicas * l.clickers {
		click := s.clicker(i%l.replicas, first+i/l.replicas%l.topics)
		clickers.Go(func() { // ends when more says so
			var mine []time.Duration
			for again := true; again; again = more() {
				began := time.Now()
				if err := click(ctx); err != nil {
					b.Error(err)
					break
				}
				mine = append(mine, time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
		})
	}
	clickers.Wait()
	if len(took) == 0 {
		b.Fatal("no click was answered")
	}
	return took
}

func ratio(p pair) float64 { return p.now.rate / p.before.rate }

// ordered returns one value of all rounds, in order.
func ordered(pairs []pair, f func(pair) float64) []float64 {
	all := make([]float64, len(pairs))
	for i, p := range pairs {
		all[i] = f(p)
	}
	slices.Sort(all)
	return all
}

// median returns the median of one value over all rounds.
func median(pairs []pair, f func(pair) float64) float64 {
	all := ordered(pairs, f)
	return all[len(all)/2]
}

func TestBothSidesCountEachClick(t *testing.T) {
	for _, p := range products() {
		t.Run(p.name, func(t *testing.T) {
			before, now, meter := p.begin(t)
			for name, open := range map[string]func(int) side{"before": before, "now": now} {
				l := load{topics: 3, replicas: 1, clickers: 9}
				if p.shared {
					l.replicas = 2
				}
				s := open(l.replicas)
				once := func() bool { return false }
				clicked := len(l.click(t.Context(), t, s, 0, once)) // and the server knows its scripts
				done := meter()
				clicked += len(l.click(t.Context(), t, s, 0, once))
				counted := int64(0)
				for topic := range l.topics {
					n, err := s.count(t.Context(), topic)
					must(t, err)
					counted += n
				}
				if counted != int64(clicked) || clicked != 2*l.replicas*l.clickers {
					t.Errorf("%s: %d clicks by %d clickers, %d were counted", name, clicked, l.replicas*l.clickers, counted)
				}
				if s.calls() == 0 || p.unit != "" && meter() <= done {
					t.Errorf("%s: %d calls, and the server has done %g", name, s.calls(), meter()-done)
				}
				must(t, s.close())
			}
		})
	}
}
