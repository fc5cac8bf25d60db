package schedule_test

import (
	"math"
	"reflect"
	"testing"
	"time"

	"lockstep/tools/loadgen/load/internal/schedule"
	"lockstep/tools/loadgen/load/workload"
)

func plan(t testing.TB, rate string, stages ...workload.Stage) *workload.Plan {
	t.Helper()
	if len(stages) == 0 {
		r, err := workload.ParseRate(rate)
		if err != nil {
			t.Fatal(err)
		}
		stages = []workload.Stage{{Browsers: 100, Ramp: 10 * time.Second, Duration: 10 * time.Second, Rate: r}}
	}
	p := &workload.Plan{Seed: 7, Stages: stages}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	return p
}

func clicks(p *workload.Plan) (all []schedule.Click) {
	for c := schedule.NewClicks(p); ; {
		click, ok := c.Next()
		if !ok {
			return all
		}
		all = append(all, click)
	}
}

func TestClicksAreDueAtTheirRate(t *testing.T) {
	for _, c := range []struct {
		rate string
		n    int
		due  map[int]time.Duration // of some
	}{
		{"20", 200, map[int]time.Duration{0: 0, 1: 50 * time.Millisecond, 199: 9950 * time.Millisecond}},
		{"0..100", 500, map[int]time.Duration{0: 0, 125: 5 * time.Second}},
		{"100..0", 500, map[int]time.Duration{375: 5 * time.Second}},
		{"10,30", 200, map[int]time.Duration{49: 4900 * time.Millisecond, 50: 5 * time.Second, 80: 6 * time.Second}},
		{"0", 0, nil},
		{"", 0, nil},
	} {
		t.Run(c.rate, func(t *testing.T) {
			got := clicks(plan(t, c.rate))
			if len(got) != c.n {
				t.Fatalf("got %d clicks, want %d", len(got), c.n)
			}
			for i, due := range c.due {
				if d := got[i].Due - due; d.Abs() > time.Millisecond {
					t.Errorf("click %d: got due at %v, want %v", i, got[i].Due, due)
				}
			}
		})
	}
}

func TestChanceGivesTheSameRateInTheEnd(t *testing.T) {
	p := plan(t, "500")
	p.Poisson = true
	got := clicks(p)
	if n := len(got); n < 4500 || n > 5500 {
		t.Errorf("got %d clicks, want about 5000", n)
	}
	gaps := 0.0
	for i := 1; i < len(got); i++ {
		d := (got[i].Due - got[i-1].Due).Seconds() * 500
		gaps += d * d
	}
	// The mean square of an exponential distribution with mean 1 is 2; of even gaps it is 1.
	if got := gaps / float64(len(got)); math.Abs(got-2) > .5 {
		t.Errorf("got a mean square gap of %g, want about 2", got)
	}
}

func TestASeedRepeatsTheClicks(t *testing.T) {
	p, q := plan(t, "100"), plan(t, "100")
	if !reflect.DeepEqual(clicks(p), clicks(q)) {
		t.Error("the same seed gave other clicks")
	}
	q.Seed++
	if reflect.DeepEqual(clicks(p), clicks(q)) {
		t.Error("another seed gave the same clicks")
	}
}

func TestClicksAreSpreadOverThoseWhoClick(t *testing.T) {
	p := plan(t, "1000")
	p.Watchers, p.Slow, p.Hidden = .8, .2, .2
	by := map[int]int{}
	for _, c := range clicks(p) {
		if schedule.IsSlow(p, c.Slot) || schedule.IsHidden(p, c.Slot) {
			t.Fatalf("tab %d is slow or hidden, and clicks", c.Slot)
		}
		by[c.Slot]++
	}
	if len(by) > 20 || len(by) < 10 {
		t.Errorf("got clicks from %d tabs, want those of 20 that are neither slow nor hidden", len(by))
	}
}

func TestSharesHoldForAnyRunOfTabs(t *testing.T) {
	p := &workload.Plan{Slow: .1, Hidden: .3}
	slow, hidden := 0, 0
	for slot := 5000; slot < 6000; slot++ {
		if schedule.IsSlow(p, slot) {
			slow++
		}
		if schedule.IsHidden(p, slot) {
			hidden++
		}
	}
	if slow < 95 || slow > 105 || hidden < 290 || hidden > 310 {
		t.Errorf("got %d slow and %d hidden of 1000, want 100 and 300", slow, hidden)
	}
}

func TestStagesFollowEachOther(t *testing.T) {
	p := plan(t, "",
		workload.Stage{Browsers: 10, Ramp: time.Hour, Duration: 10 * time.Second, Rate: workload.Rate{{From: 10, To: 10}}},
		workload.Stage{Browsers: 30, Ramp: 4 * time.Second, Duration: 10 * time.Second, Rate: workload.Rate{{From: 20, To: 20}}, Churn: 1},
		workload.Stage{Browsers: 5, Duration: 10 * time.Second})
	if p.Slots() != 30 || p.Length() != 34*time.Second {
		t.Errorf("got %d slots and %v, want 30 and 34s", p.Slots(), p.Length())
	}
	// 10 s of 10, 4 s of the same, 10 s of 20, then none.
	if n := len(clicks(p)); n != 340 {
		t.Errorf("got %d clicks, want 340", n)
	}
	for at, want := range map[time.Duration]int{0: 10, 9 * time.Second: 10, 12 * time.Second: 20, 14 * time.Second: 30, 23 * time.Second: 30, 25 * time.Second: 5} {
		if got := schedule.Present(p, at); got != want {
			t.Errorf("at %v: got %d tabs, want %d", at, got, want)
		}
	}
	open := 10
	var last time.Duration
	for _, m := range schedule.Moves(p) {
		if m.At < last {
			t.Fatalf("a move at %v comes after one at %v", m.At, last)
		}
		last = m.At
		if m.Join && !m.Leave {
			open++
		} else if m.Leave && !m.Join {
			open--
		}
	}
	if open != 5 {
		t.Errorf("got %d tabs in the end, want 5", open)
	}
	if got := schedule.Arrival(p, 5); got != 30*time.Minute {
		t.Errorf("tab 5 of 10 arrives at %v, want half of the ramp", got)
	}
}

func FuzzClicksOfAScenario(f *testing.F) {
	f.Add("seed: 7\nstages: [{browsers: 10, ramp: 1s, duration: 2s, rate: '1..5,7', churn: 1}]")
	f.Add("stages: [{browsers: 1, duration: 1ns, rate: 1e6}]")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := workload.ParseScenario([]byte(text))
		if err != nil {
			return
		}
		c := schedule.NewClicks(&p)
		var last time.Duration
		for range 1000 {
			click, ok := c.Next()
			if !ok {
				break
			}
			if click.Due < last || click.Due > p.Length()+time.Second || click.Slot < 0 || click.Slot >= p.Slots() {
				t.Fatalf("got %+v after one at %v, in a plan of %d tabs and %v", click, last, p.Slots(), p.Length())
			}
			last = click.Due
		}
	})
}
