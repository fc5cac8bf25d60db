package components

import (
	"math"
	"slices"
	"testing"
)

func TestTicksAreNumbersThatPeopleLike(t *testing.T) {
	for _, c := range []struct {
		name   string
		values []float64
		want   []float64
	}{
		{"from 0", []float64{3, 42}, []float64{0, 20, 40, 60}},
		{"below 0", []float64{-45, 120}, []float64{-50, 0, 50, 100, 150}},
		{"small", []float64{0.0012}, []float64{0, 0.0005, 0.001, 0.0015}},
		{"all the same", []float64{0, 0}, []float64{0, 0.25, 0.5, 0.75, 1}},
		{"none", nil, []float64{0, 0.25, 0.5, 0.75, 1}},
		{"no numbers are left out", []float64{math.NaN(), math.Inf(-1), 4}, []float64{0, 1, 2, 3, 4}},
	} {
		got := scaleOf(4, c.values...).ticks()
		if !slices.EqualFunc(got, c.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-12 }) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestAScaleHasAllValues(t *testing.T) {
	for _, v := range []float64{1, -1, 1e-299, 1e-301, math.SmallestNonzeroFloat64, 1e300, -1e300, 0.1 + 0.2} {
		s := scaleOf(4, v, -v/3)
		if y := s.y(v); math.IsNaN(y) || y < -1e-6 || y > 100+1e-6 {
			t.Errorf("%v is at %v of %+v", v, y, s)
		}
		if n := len(s.ticks()); n < 2 || n > 12 {
			t.Errorf("%v: got %d ticks", v, n)
		}
	}
}

func TestALineHasGaps(t *testing.T) {
	s := scale{0, 10, 5}
	for _, c := range []struct {
		name       string
		values     []float64
		line, area string
	}{
		{"whole", []float64{0, 10, 5}, "M0 100L50 0L100 50", "M0 100L50 0L100 50L100 100L0 100Z"},
		{"a gap", []float64{0, math.NaN(), 5}, "M0 100L0 100M100 50L100 50", ""},
		{"one value is a dot", []float64{5}, "M50 50L50 50", ""},
		{"none", nil, "", ""},
	} {
		if got := s.path(c.values); got != c.line {
			t.Errorf("%s: got %q, want %q", c.name, got, c.line)
		}
		if got := s.area(c.values); got != c.area {
			t.Errorf("%s: got the area %q, want %q", c.name, got, c.area)
		}
	}
}

func TestNumbersAreShort(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.25: "0.25", 12: "12", 999: "999", 1200: "1.2k", 999_600: "1M", 1_340_000: "1.34M", -45: "−45", -1500: "−1.5k", 2.5e9: "2.5G", 1e21: "1e+21",
	} {
		if got := formatOf(nil)(v); got != want {
			t.Errorf("%v: got %q, want %q", v, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", -1234567: "−1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}

func TestWordsBelowAreEvenlyApart(t *testing.T) {
	for n, want := range map[int][]int{0: nil, 1: {0}, 2: {0, 1}, 3: {0, 1, 2}, 9: {0, 2, 4, 6, 8}, 10: {0, 3, 6, 9}, 8: {0, 7}, 7: {0, 2, 4, 6}} {
		if got := evenly(n); !slices.Equal(got, want) {
			t.Errorf("of %d: got %v, want %v", n, got, want)
		}
	}
}

func TestAMarkIsInItsBin(t *testing.T) {
	p := HistogramProps{Edges: []float64{0, 1, 3}, Counts: []int{5, 6}}
	for v, want := range map[float64]float64{0: 0, 0.5: 25, 1: 50, 2: 75, 3: 100} {
		if got, ok := p.place(v); !ok || got != want {
			t.Errorf("%v: got %v, %v, want %v", v, got, ok, want)
		}
	}
	for _, v := range []float64{-1, 3.5, math.NaN()} {
		if _, ok := p.place(v); ok {
			t.Errorf("%v has a place", v)
		}
	}
}

func TestPagesNeverMove(t *testing.T) {
	for _, c := range []struct {
		page, pages int
		want        []int
	}{
		{1, 3, []int{1, 2, 3}},
		{1, 20, []int{1, 2, 3, 4, 5, 0, 20}},
		{4, 20, []int{1, 2, 3, 4, 5, 0, 20}},
		{5, 20, []int{1, 0, 4, 5, 6, 0, 20}},
		{16, 20, []int{1, 0, 15, 16, 17, 0, 20}},
		{17, 20, []int{1, 0, 16, 17, 18, 19, 20}},
		{20, 20, []int{1, 0, 16, 17, 18, 19, 20}},
		{99, 20, []int{1, 0, 16, 17, 18, 19, 20}},
	} {
		if got := (PaginationProps{Page: c.page, Pages: c.pages}).shown(); !slices.Equal(got, c.want) {
			t.Errorf("page %d of %d: got %v, want %v", c.page, c.pages, got, c.want)
		}
	}
}

func TestInitials(t *testing.T) {
	for name, want := range map[string]string{"Ada Lovelace": "AL", "ada": "A", "Jean-Luc van Damme": "JD", "": "?", "…": "?", "王小明": "王", "émile zola": "ÉZ"} {
		if got := initials(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}
