package lanetest

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"lockstep/internal/short"
)

// inBubble runs one seed.
func inBubble(t *testing.T, d design, seed uint64) (s *sim) {
	t.Helper()
	synctest.Test(t, func(*testing.T) { s = simulate(d, seed) })
	return s
}

// variants are designs that must not matter.
func variants() map[string]design {
	return map[string]design{
		plainly:    {},
		noLocks:    {noLocks: true}, // so every page sends every op
		"retryOne": {retryOne: true},
	}
}

// Names of variants.
const (
	plainly = "plainly"
	noLocks = "noLocks"
)

// TestTheRuleHolds runs real batchers and a real store under faults that a seed
// decides. LOCKSTEP_SEED=n replays one.
func TestTheRuleHolds(t *testing.T) {
	for name, d := range variants() {
		t.Run(name, func(t *testing.T) {
			var sum tally
			first, last := short.Seeds(t, short.Of[uint64](500, 100))
			for seed := first; seed <= last; seed++ {
				s := inBubble(t, d, seed)
				if s.breach != "" {
					t.Fatalf("LOCKSTEP_SEED=%d breaks: %s\nafter:\n%s", seed, s.breach, strings.Join(s.lines, "\n"))
				}
				sum.add(s.tally)
			}
			t.Logf("%d seeds: %+v", last-first+1, sum)
			if last-first >= 50 && !sum.seenAll(d) {
				t.Errorf("got %+v: the faults did not happen", sum)
			}
		})
	}
}

// seenAll reports whether all has happened that a run is about.
func (a *tally) seenAll(d design) bool {
	return a.applied > 0 && a.refused > 0 && a.old > 0 && a.lost > 0 && a.losses > 0 && a.fins > 0 && a.conflicts > 0 && (!d.noLocks || a.settled > 0)
}

// TestASeedIsARun holds as far as Go's scheduler lets it: what several goroutines
// do at one instant may fall otherwise.
func TestASeedIsARun(t *testing.T) {
	same := 0
	const n = 20
	for seed := range uint64(n) {
		if slices.Equal(inBubble(t, design{}, seed).lines, inBubble(t, design{}, seed).lines) {
			same++
		}
	}
	if same < n*3/4 {
		t.Errorf("only %d of %d seeds gave the same run twice", same, n)
	}
}
