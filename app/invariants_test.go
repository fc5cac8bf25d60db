package app_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/internal/history"
	"lockstep/internal/short"
	"lockstep/pubsub/pubsubtest"
)

// A design says which of the mechanisms that keep the invariants are there.
// Tests take one away and want the checker to find it.
type design struct {
	dedup       bool // the store knows ops that it has applied
	epochs      bool // the store begins a new epoch when it has lost data
	outbox      bool // a tab sends what is unacknowledged again
	guard       bool // a tab drops what is older than what it shows
	antiEntropy bool // rooms read the store now and then, and compare digests
	readOnJoin  bool // a room reads the store when a tab joins
	from        bool // a tab says with each op which of them are open
}

func full() design { return design{true, true, true, true, true, true, true} }

// TestTheInvariantsHold runs the real application, replicas in one bubble of
// virtual time, under faults that a seed decides, for each kind of state by its own
// rule.
func TestTheInvariantsHold(t *testing.T) {
	for name, kind := range modelKinds(t) {
		t.Run(name, func(t *testing.T) { invariantsHold(t, kind) })
	}
}

func invariantsHold(t *testing.T, kind modelKind) {
	for name, c := range map[string]weather{
		"with a broker that keeps its promises": {},
		"with broadcasts that are late":         lateBroadcasts(),
		"with a broker that drops 30 %, repeats and reorders": {
			broker: pubsubtest.Faults{Drop: 0.3, Duplicate: 0.2, Reorder: 0.3, Jitter: 20 * time.Millisecond},
		},
		"with all that can fail failing now and then":        {chaos: true, broker: pubsubtest.Faults{Drop: 0.05, Duplicate: 0.05, Reorder: 0.1}},
		"with a store that also loses its data now and then": {chaos: true, lossy: true},
	} {
		t.Run(name, func(t *testing.T) {
			if short.Race && !c.chaos {
				t.Skip("it runs without the race detector: see short.Race")
			}
			var sum tally
			seeds := short.Of[uint64](12, 3)
			switch {
			case short.Race:
				seeds = 1
			case kind.tab != nil:
				seeds = short.Of[uint64](4, 1) // each takes longer
			}
			first, last := short.Seeds(t, seeds)
			for seed := first; seed <= last; seed++ {
				run := simulate(t, seed, kind, full(), c)
				if len(run.found) > 0 {
					t.Fatalf("LOCKSTEP_SEED=%d breaks:\n%s\nafter:\n%s", seed, list(run.found), strings.Join(run.events, "\n"))
				}
				sum.add(run.tally)
			}
			t.Logf("%d seeds: %+v", last-first+1, sum)
			if last-first >= 20 && (sum.acked == 0 || c.chaos && (sum.resent == 0 || sum.repeated == 0)) {
				t.Errorf("got %+v: the faults did not happen", sum)
			}
		})
	}
}

// lateBroadcasts is a weather in which a joiner knows less from the broker than
// the store has.
func lateBroadcasts() weather {
	return weather{cuts: true, broker: pubsubtest.Faults{Delay: 200 * time.Millisecond}}
}

// TestEachMechanismIsNeeded takes the mechanisms away, one at a time. A kind does
// not show the lack of each: a vote that counts twice is one vote, and a tab of items
// is sent nothing that is older than what it said that it shows.
func TestEachMechanismIsNeeded(t *testing.T) {
	if short.Race {
		t.Skip("it runs without the race detector: see short.Race")
	}
	for _, c := range []struct {
		without string
		kinds   string
		breaks  history.Rule
		remove  func(*design)
		weather weather
	}{
		{"deduplication", "counter bank list log", history.ExactlyOnce, func(d *design) { d.dedup = false }, weather{chaos: true}},
		{"the outbox", "counter poll bank list log", history.Answered, func(d *design) { d.outbox = false }, weather{chaos: true}},
		{"the tab's guard", "counter poll bank", history.Monotonic, func(d *design) { d.guard = false }, weather{chaos: true}},
		{"anti-entropy", "counter poll bank list log", history.Convergence, func(d *design) { d.antiEntropy = false }, weather{broker: pubsubtest.Faults{Drop: 0.3}}},
		{"epochs", "counter poll bank list log", history.Phantom, func(d *design) { d.epochs = false }, weather{chaos: true, lossy: true}},
		// What reads the store is the same for both: so there is no anti-entropy
		// either, which this weather does not need.
		{"reading on join", "counter poll bank list log", history.LateJoin, func(d *design) { d.readOnJoin, d.antiEntropy = false, false }, lateBroadcasts()},
		{"what is open", "counter poll bank list log", settledUnheard, func(d *design) { d.from = false }, weather{chaos: true}},
	} {
		for name, kind := range modelKinds(t) {
			if !slices.Contains(strings.Fields(c.kinds), name) {
				continue
			}
			t.Run(name+" without "+c.without, func(t *testing.T) {
				d := full()
				c.remove(&d)
				first, last := short.Seeds(t, 200) // also with -short: the first seed that breaks it ends the search
				for seed := first; seed <= last; seed++ {
					for _, v := range simulate(t, seed, kind, d, c.weather).found {
						if v.Rule == c.breaks {
							t.Logf("seed %d: %s", seed, v)
							return
						}
					}
				}
				t.Errorf("nothing broke %q in %d seeds: the tests can't see", c.breaks, last-first+1)
			})
		}
	}
}

func list(found []history.Violation) string {
	var b strings.Builder
	for i, v := range found {
		if i == 10 {
			fmt.Fprintf(&b, "and %d more", len(found)-i)
			break
		}
		fmt.Fprintln(&b, v)
	}
	return b.String()
}

// simulate runs one seed in a bubble.
func simulate(t *testing.T, seed uint64, k modelKind, d design, w weather) (run outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { run = newCluster(t, seed, k, d, w).run() })
	return run
}
