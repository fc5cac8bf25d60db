package former_test

import (
	"fmt"
	"strings"
	"testing"

	"lockstep/bench/page"
)

// report returns the results as Markdown. others is what else the machine had to
// do when they began.
func report(rows []row, others string) string {
	var b strings.Builder
	fmt.Fprint(&b, "## Stores\n\n")
	fmt.Fprintf(&b, "What a click costs until it is stored: package `state` beside the counters' own stores that were there before it, measured in turns in one process, %d rounds of %g s each after one to warm up. A clicker clicks again when it has its answer, and is a new page load after each %d clicks. × is the median of the rounds' ratios, now to before, with the least and the most; the other figures are medians, of before → now. With several replicas each hears at once what another has committed. CPU is that of the process which has the batchers and, of memory and file, the store: the figure to trust on a busy machine. Calls are round trips to the store; what the server does is time in scripts (Redis) and write-ahead log (Postgres). Redis has `appendfsync always`; all files are on one disk.",
		len(rows[0].pairs), slice.Seconds(), clicksOfPage)
	fmt.Fprint(&b, "\n\n| store | topics | replicas × clickers | clicks/s | × | p50 ms | p99 ms | CPU µs/click | calls/click | server/click |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, r := range rows {
		fmt.Fprintln(&b, r.line())
	}
	fmt.Fprintf(&b, "\n%s- Load average when it began: %s. Above 0 the machine had other work too, and rates and percentiles vary with it.\n\nAgain, on Linux with the programs that `make deps` installs: `make bench-stores`.\n", page.Machine(), others)
	return page.Wrap(b.String())
}

func (r row) line() string {
	both := func(write func(float64) string, f func(measure) float64) string {
		return write(median(r.pairs, func(p pair) float64 { return f(p.before) })) + " → " + write(median(r.pairs, func(p pair) float64 { return f(p.now) }))
	}
	of := func(format string, f func(measure) float64) string {
		return both(func(v float64) string { return fmt.Sprintf(format, v) }, f)
	}
	server := "–"
	if r.product.unit != "" {
		server = of("%.0f", func(m measure) float64 { return m.server }) + " " + r.product.unit
	}
	ratios := ordered(r.pairs, ratio)
	return fmt.Sprintf("| %s | %d | %d × %d | %s | **%.2f** (%.2f–%.2f) | %s | %s | %s | %s | %s |",
		r.product.name, r.load.topics, r.load.replicas, r.load.clickers,
		of("%.0f", func(m measure) float64 { return m.rate }), ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1],
		both(threeDigits, func(m measure) float64 { return m.p50 }), both(threeDigits, func(m measure) float64 { return m.p99 }),
		of("%.1f", func(m measure) float64 { return m.cpu }), of("%.3f", func(m measure) float64 { return m.calls }), server)
}

// threeDigits writes a number with three digits, or all of its whole ones.
func threeDigits(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func TestALineHasTheMediansOfItsRounds(t *testing.T) {
	r := row{product: product{name: "Redis", unit: "µs of scripts"}, load: load{topics: 1, replicas: 3, clickers: 8}}
	for _, rate := range []float64{300, 100, 200} {
		r.pairs = append(r.pairs, pair{
			before: measure{rate: 100, p50: 0.01234, p99: 2126.4, cpu: 8, calls: 1, server: 40},
			now:    measure{rate: rate, p50: rate / 100, p99: 5, cpu: 9, calls: 0.5, server: 20},
		})
	}
	want := "| Redis | 1 | 3 × 8 | 100 → 200 | **2.00** (1.00–3.00) | 0.0123 → 2 | 2126 → 5 | 8.0 → 9.0 | 1.000 → 0.500 | 40 → 20 µs of scripts |"
	if got := r.line(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
