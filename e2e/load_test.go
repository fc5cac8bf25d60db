package e2e_test

import (
	"testing"
	"time"

	"lockstep/internal/testserver"
	"lockstep/tools/loadgen/load"
	"lockstep/tools/loadgen/load/protocol"
	"lockstep/tools/loadgen/load/workload"
)

// The load generator knows the wire from docs/protocol.md only: so this tests the page, the program
// and the generator against each other, and that a group gets through the loss of a replica.
func TestALoadHoldsWhileAReplicaIsKilled(t *testing.T) {
	brokers(t, func(t *testing.T, broker string) {
		for _, kind := range []protocol.Kind{protocol.Counter, protocol.Poll, protocol.Bank} {
			t.Run(kind.String(), func(t *testing.T) { holdLoad(t, broker, kind, false) })
		}
	})
}

// The same without websockets, through nginx, which gives each request to another replica.
func TestALoadWithoutWebsocketsHoldsWhileAReplicaIsKilled(t *testing.T) {
	holdLoad(t, testserver.Redis(t).URL, protocol.Counter, true)
}

// holdLoad kills one of three replicas while it loads them.
func holdLoad(t *testing.T, broker string, kind protocol.Kind, overHTTP bool) {
	ps := startCluster(t, 3, broker)
	targets := []string{ps[0].url, ps[1].url, ps[2].url}
	moved := 40 // tabs, of the 50 of a replica
	if overHTTP {
		moved = 20 // hidden tabs have no stream, and nginx may have given the replica fewer
		targets = []string{testserver.Nginx(t, ps[0].addr(), ps[1].addr(), ps[2].addr()).URL}
	}
	killed := false
	r, err := load.Run(t.Context(), load.Options{
		Targets: targets, Protocol: protocol.Lockstep{Kind: kind}, OverHTTP: overHTTP, Counters: 2, Repeat: .1, Settle: patience, Patience: patience,
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
	if r.Totals.Acked+r.Totals.Refused != 200 || kind != protocol.Bank && r.Totals.Refused > 0 || r.Totals.Reconnects < int64(moved) {
		t.Errorf("got %d clicks acknowledged, %d refused and %d reconnections, want 200 and at least %d; errors %v",
			r.Totals.Acked, r.Totals.Refused, r.Totals.Reconnects, moved, r.Errors)
	}
}
