package e2e_test

import (
	"testing"
	"time"

	"lockstep/tools/loadgen/load"
	"lockstep/tools/loadgen/load/workload"
)

// The load generator knows the wire from docs/protocol.md only: so this tests the page, the program
// and the generator against each other, and that a group gets through the loss of a replica.
func TestALoadHoldsWhileAReplicaIsKilled(t *testing.T) {
	t.Parallel()
	brokers(t, func(t *testing.T, broker string) {
		ps := startCluster(t, 3, broker)
		killed := false
		r, err := load.Run(t.Context(), load.Options{
			Targets: []string{ps[0].url, ps[1].url, ps[2].url}, Counters: 2, Repeat: .1, Settle: patience, Patience: patience,
			Plan: workload.Plan{Seed: 5, Slow: .05, Hidden: .1, Stages: []workload.Stage{
				{Browsers: 150, Ramp: 500 * time.Millisecond, Duration: 4 * time.Second, Rate: workload.Rate{{From: 50, To: 50}}, Churn: 5},
			}},
			Progress: func(p load.Progress) {
				if p.Phase == "load" && !killed {
					killed = true
					ps[1].kill()
					ps[1].restart()
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Verdicts) != 6 {
			t.Errorf("got %d verdicts, want six", len(r.Verdicts))
		}
		for _, v := range r.Verdicts {
			if !v.OK {
				t.Errorf("%s: %s: %q", v.Name, v.Detail, v.Named)
			}
		}
		if r.Totals.Acked != 200 || r.Totals.Reconnects < 40 {
			t.Errorf("got %d clicks acknowledged and %d reconnections, want 200 and those of a third of the tabs; errors %v",
				r.Totals.Acked, r.Totals.Reconnects, r.Errors)
		}
	})
}
