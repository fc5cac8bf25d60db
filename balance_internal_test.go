package lockstep

import (
	"math"
	"testing"
	"time"
)

func TestExcess(t *testing.T) {
	for _, c := range []struct {
		name  string
		here  int
		there []int
		want  int
	}{
		{"nobody else is known", 5000, nil, 0},
		{"all have the same number", 100, []int{100, 100}, 0},
		{"a new one has none", 5000, []int{5000, 0}, 1666},
		{"this one has none", 0, []int{5000, 5000}, 0},
		{"this one has fewer than the mean", 90, []int{200, 0, 300}, 0},
		{"few too many, though a large share", 25, []int{0}, 0},
		{"exactly the slack", 40, []int{0}, 0},
		{"one more than the slack", 42, []int{0}, 21},
		{"many too many, but a small share", 11_000, []int{9000}, 0},
		{"more than a tenth too many", 11_002, []int{8998}, 1002},
		{"others say nonsense", 100, []int{math.MaxInt / 2, math.MaxInt / 2, math.MaxInt / 2}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := excess(c.here, c.there); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

// A moment is what a replica sees, and the step that it should take.
type moment struct {
	here  int
	there int
	want  step
}

func TestAScaleTakesSteps(t *testing.T) {
	const settle = balanceSettle
	for name, c := range map[string]struct {
		rate    float64
		moments []moment
	}{
		"of at most its rate, until all have the same number": {20, []moment{
			{500, 0, step{100, 5 * time.Second, settle}},
			{400, 100, step{100, 5 * time.Second, settle}},
			{300, 200, step{50, 2500 * time.Millisecond, settle}},
			{250, 250, step{0, 0, settle}},
			{240, 260, step{0, 0, settle}},
		}},
		"of one tab, when the rate is low": {0.1, []moment{
			{100, 0, step{1, 10 * time.Second, settle}},
			{99, 1, step{1, 10 * time.Second, settle}},
		}},
		"that become rare, when the tabs come back": {20, []moment{
			{500, 0, step{100, 5 * time.Second, settle}},
			{500, 0, step{0, 0, 10 * time.Second}},
			{500, 0, step{100, 5 * time.Second, settle}},
			{495, 5, step{0, 0, 20 * time.Second}},
			{495, 5, step{100, 5 * time.Second, settle}},
			{505, 0, step{0, 0, 40 * time.Second}},
		}},
		"as before, once it helps again": {20, []moment{
			{500, 0, step{100, 5 * time.Second, settle}},
			{500, 0, step{0, 0, 10 * time.Second}},
			{500, 0, step{100, 5 * time.Second, settle}},
			{460, 40, step{100, 5 * time.Second, settle}}, // not all, but some
			{460, 40, step{0, 0, 10 * time.Second}},
		}},
		"without a grudge, when the tabs have spread by themselves": {20, []moment{
			{500, 0, step{100, 5 * time.Second, settle}},
			{500, 0, step{0, 0, 10 * time.Second}},
			{100, 100, step{0, 0, settle}},
			{500, 0, step{100, 5 * time.Second, settle}},
			{500, 0, step{0, 0, 10 * time.Second}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := scale{rate: c.rate}
			for i, st := range c.moments {
				if got := s.next(st.here, []int{st.there}); got != st.want {
					t.Errorf("step %d: got %+v, want %+v", i+1, got, st.want)
				}
			}
		})
	}
}

func TestAScaleWaitsTenMinutesAtMost(t *testing.T) {
	s := scale{rate: 20}
	var longest time.Duration
	for range 100 {
		longest = max(longest, s.next(500, []int{0}).wait)
	}
	if longest != 10*time.Minute {
		t.Errorf("got %v, want 10 minutes", longest)
	}
}

func TestAScaleThatForgetsDoesNotBlameTheLastStep(t *testing.T) {
	s := scale{rate: 20}
	want := s.next(500, []int{0})
	s.forget()
	if got := s.next(500, []int{0}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
