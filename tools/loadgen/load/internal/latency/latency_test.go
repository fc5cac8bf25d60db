package latency_test

import (
	"math"
	"reflect"
	"testing"

	"lockstep/tools/loadgen/load/internal/latency"
)

// A summary is all that a distribution says.
type summary struct {
	count                               int64
	mean, min, p50, p90, p99, p999, max float64
	curve                               []latency.Point
}

func summarize(d *latency.Distribution) summary {
	return summary{d.Count(), d.Mean(), d.Min(), d.At(50), d.At(90), d.At(99), d.At(99.9), d.Max(), d.Curve()}
}

func TestADistributionKeepsThreeDigits(t *testing.T) {
	var d latency.Distribution
	for i := range 10_000 {
		d.Add(float64(i+1) / 10)
	}
	s := summarize(&d)
	if s.count != 10_000 {
		t.Errorf("got %d values, want 10000", s.count)
	}
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"min", s.min, .1}, {"p50", s.p50, 500}, {"p90", s.p90, 900}, {"p99", s.p99, 990},
		{"p999", s.p999, 999}, {"max", s.max, 1000}, {"mean", s.mean, 500},
	} {
		if math.Abs(c.got-c.want) > c.want/1000+.001 {
			t.Errorf("%s: got %g ms, want %g ms", c.name, c.got, c.want)
		}
	}
}

func TestAnEmptyDistributionHasAnEmptySummary(t *testing.T) {
	var d, other latency.Distribution
	d.Merge(&other)
	d.Merge(nil)
	if got := summarize(&d); !reflect.DeepEqual(got, summary{}) {
		t.Errorf("got %+v, want nothing", got)
	}
}

func TestAValueOutOfRangeCountsAsTheLimit(t *testing.T) {
	for _, c := range []struct{ add, want float64 }{
		{-5, .001}, {0, .001}, {math.NaN(), .001}, {math.Inf(-1), .001}, {math.Inf(1), 600_000}, {1e300, 600_000}, {600_001, 600_000},
	} {
		var d latency.Distribution
		d.Add(c.add)
		if got := d.Max(); math.Abs(got-c.want) > c.want/1000 {
			t.Errorf("%g ms: got %g ms, want %g ms", c.add, got, c.want)
		}
	}
}

func TestMergedDistributionsAreAsIfAddedToOne(t *testing.T) {
	var one, a, b latency.Distribution
	for i := range 5000 {
		v := math.Exp(float64(i%700) / 80)
		one.Add(v)
		if i%3 == 0 {
			a.Add(v)
		} else {
			b.Add(v)
		}
	}
	a.Merge(&b)
	if got, want := summarize(&a), summarize(&one); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestADistributionSurvivesTheWayToAnotherProcess(t *testing.T) {
	var full, empty, long latency.Distribution
	for i := range 1000 {
		full.Add(float64(i) * 1.7)
	}
	long.Add(599_999)
	for _, d := range []*latency.Distribution{&full, &empty, &long} {
		packed, err := d.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var got latency.Distribution
		got.Add(3) // is replaced
		if err := got.UnmarshalBinary(packed); err != nil {
			t.Fatal(err)
		}
		if got, want := summarize(&got), summarize(d); !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestWhatIsNoDistributionIsAnError(t *testing.T) {
	var d latency.Distribution
	if err := d.UnmarshalBinary([]byte("no distribution")); err == nil {
		t.Error("got no error")
	}
}

func TestACurveRisesToTheMaximum(t *testing.T) {
	var d latency.Distribution
	for i := range 10_000 {
		d.Add(float64(i % 977))
	}
	s := summarize(&d)
	last := latency.Point{}
	for _, p := range s.curve {
		if p.Quantile < last.Quantile || p.Value < last.Value {
			t.Fatalf("%+v follows %+v", p, last)
		}
		last = p
	}
	if last.Quantile != 1 || last.Value != s.max {
		t.Errorf("got %+v last, want 1 and %g", last, s.max)
	}
}

func BenchmarkDistributionAdd(b *testing.B) {
	var d latency.Distribution
	for i := 0; b.Loop(); i++ {
		d.Add(float64(i % 1000))
	}
}
