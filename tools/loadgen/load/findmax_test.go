package load_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"lockstep/tools/loadgen/load"
)

func goal(t *testing.T) load.Thresholds {
	t.Helper()
	ts, err := load.ParseThresholds("p99<200ms")
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

// kneeAt is a target that is well up to a rate and much slower above it.
func kneeAt(knee float64) func(context.Context, float64) (*load.Report, error) {
	return func(_ context.Context, rate float64) (*load.Report, error) {
		p99 := 20.0
		if rate > knee {
			p99 = 900
		}
		return &load.Report{Latencies: map[string]load.Latency{load.LatencyAll: {Count: 1, P99: p99}}}, nil
	}
}

func TestTheKneeIsFoundToFivePercent(t *testing.T) {
	for _, knee := range []float64{3, 100, 137, 1000, 54_321} {
		t.Run(fmt.Sprint(knee), func(t *testing.T) {
			var lines []string
			got, err := load.FindMax(t.Context(), goal(t), "clicks/s", 100, kneeAt(knee), func(l string) { lines = append(lines, l) })
			if err != nil {
				t.Fatal(err)
			}
			if got.Best > knee || got.Failing <= knee || got.Failing > got.Best*1.05 {
				t.Errorf("got %g to %g, want the two sides of %g", got.Best, got.Failing, knee)
			}
			if got.Report == nil || len(got.Why) != 1 || got.Why[0] != "p99: wanted < 200ms, got 900ms" {
				t.Errorf("got %q and report %v", got.Why, got.Report)
			}
			if len(lines) != len(got.Tries) || len(lines) > 40 {
				t.Errorf("got %d lines for %d tries", len(lines), len(got.Tries))
			}
		})
	}
}

func TestAVerdictThatFailsDoesNotHold(t *testing.T) {
	run := func(_ context.Context, rate float64) (*load.Report, error) {
		r, err := kneeAt(1e9)(t.Context(), rate)
		r.Verdicts = []load.Verdict{{Name: load.VerdictCounted, OK: rate < 300, Detail: "2 clicks are not counted"}}
		return r, err
	}
	got, err := load.FindMax(t.Context(), goal(t), "clicks/s", 100, run, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Best >= 300 || got.Best < 280 || len(got.Why) != 1 || got.Why[0] != "counted: 2 clicks are not counted" {
		t.Errorf("got %g because of %q", got.Best, got.Why)
	}
}

func TestASearchEndsWhenNothingHolds(t *testing.T) {
	got, err := load.FindMax(t.Context(), goal(t), "clicks/s", 100, kneeAt(0), nil)
	if err != nil || got.Best != 0 || got.Failing > 1 || !strings.HasPrefix(got.String(), "not even") {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestASearchEndsWhenEverythingHolds(t *testing.T) {
	got, err := load.FindMax(t.Context(), goal(t), "clicks/s", 100, kneeAt(1e18), nil)
	if err != nil || got.Failing != 0 || len(got.Tries) > 30 {
		t.Errorf("got %v after %d tries, %v", got, len(got.Tries), err)
	}
}

func TestASearchThatIsCutOffKeepsWhatItKnows(t *testing.T) {
	down := errors.New("connection refused")
	for _, c := range []struct {
		name string
		end  func(*load.Report) (*load.Report, error)
		want error
	}{
		{"by an error", func(*load.Report) (*load.Report, error) { return nil, down }, down},
		{"by Ctrl-C", func(r *load.Report) (*load.Report, error) { r.Interrupted = true; return r, nil }, context.Canceled},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := func(ctx context.Context, rate float64) (*load.Report, error) {
				r, err := kneeAt(1e9)(ctx, rate)
				if rate > 400 {
					return c.end(r)
				}
				return r, err
			}
			got, err := load.FindMax(t.Context(), goal(t), "clicks/s", 100, run, nil)
			if !errors.Is(err, c.want) || got.Best != 400 {
				t.Errorf("got %v, %v, want 400 and %v", got, err, c.want)
			}
		})
	}
}

func TestASearchNeedsARateToBeginWith(t *testing.T) {
	if _, err := load.FindMax(t.Context(), goal(t), "clicks/s", 0, kneeAt(1), nil); err == nil {
		t.Error("got no error")
	}
}

func TestASearchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := load.FindMax(ctx, goal(t), "clicks/s", 1, kneeAt(1), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
}

// noisy is a target of which a share of the runs comes to the contrary.
func noisy(knee, share float64, seed uint64) func(context.Context, float64) (*load.Report, error) {
	chance := rand.New(rand.NewPCG(seed, 0))
	return func(ctx context.Context, rate float64) (*load.Report, error) {
		switch {
		case chance.Float64() >= share:
			return kneeAt(knee)(ctx, rate)
		case rate > knee:
			return kneeAt(1e18)(ctx, rate)
		}
		return kneeAt(0)(ctx, rate)
	}
}

// TestOneRunIsNoProof: with one run in twenty that comes to the contrary, one for each rate would
// find six knees in ten.
func TestOneRunIsNoProof(t *testing.T) {
	const knee, seeds = 1000, 100
	right := 0
	for seed := range uint64(seeds) {
		got, err := load.FindMax(t.Context(), goal(t), "clicks/s", 100, noisy(knee, .05, seed), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got.Best <= knee && got.Failing > knee && got.Failing <= got.Best*1.05 {
			right++
		}
		if len(got.Tries) > 60 {
			t.Errorf("got %d runs", len(got.Tries))
		}
	}
	if right < 90 {
		t.Errorf("got the knee with %d of %d seeds, want 90 at least", right, seeds)
	}
}

func TestTheBestIsTriedTwice(t *testing.T) {
	got, err := load.FindMax(t.Context(), goal(t), "clicks/s", 100, kneeAt(137), nil)
	if err != nil {
		t.Fatal(err)
	}
	times := make(map[float64]int)
	for _, try := range got.Tries {
		times[try.Rate]++
	}
	if times[got.Best] != 2 || times[got.Failing] != 2 {
		t.Errorf("got %d runs of the best and %d of the lowest that fails, want 2 and 2", times[got.Best], times[got.Failing])
	}
}

func TestWhatCannotBeJudgedDoesNotHold(t *testing.T) {
	run := func(ctx context.Context, rate float64) (*load.Report, error) {
		r, err := kneeAt(1e18)(ctx, rate)
		r.Totals.Due = 1
		r.Verdicts = []load.Verdict{{Name: load.VerdictCounted, NotJudged: rate > 300, OK: rate <= 300, Detail: "not judged: no click was acknowledged"}}
		return r, err
	}
	got, err := load.FindMax(t.Context(), goal(t), "clicks/s", 100, run, nil)
	if err != nil || got.Best > 300 || got.Best < 280 || !strings.Contains(strings.Join(got.Why, ""), "not judged") {
		t.Errorf("got %v, %v", got, err)
	}
}
