package lanetest

import (
	"os"
	"testing"

	"lockstep/internal/short"
)

// tabMutants are what a page could do otherwise, or a store could be. Rare ones
// need more than a hundred seeds or so: they are tried in the full form only.
var tabMutants = []struct {
	name string
	rare bool
	design
}{
	{"from passes answers that are not durable", false, design{fromMemory: true}},
	{"an op is sent again with its first from", false, design{staleFrom: true}},
	{"who adopts an op gives it an identity of its own", false, design{renumber: true}},
	{"the client lives in sessionStorage", false, design{perTab: true}},
	{"only ops of the topic shown are adopted", false, design{adoptShown: true}},
	{"orphans are adopted at the start only", false, design{adoptOnce: true}},
	{"the outbox is not durable in order", true, design{noOrder: true}},
	{"the outbox has relaxed durability", false, design{relaxed: true}},
	{"the browser's clock was set back", false, design{noAge: true}},
	{"a call is later than a lane that is done lives", false, design{longCall: true, noLocks: true}},
	{"what is sent again is not looked up in the outbox", false, design{finMemory: true, noLocks: true}},
	{"the stamp is of the sending", true, design{lateStamp: true, noLocks: true}},
	{"fin goes out before the removal is durable", true, design{finEarly: true, noLocks: true}},
	{"lanes that are done go before stamps are too old", true, design{finShort: true, noLocks: true}},
}

// TestEachLineOfTheTabIsNeeded takes what a page does for exactly once away, one
// at a time. Its full form is that with LOCKSTEP_SEEDS.
func TestEachLineOfTheTabIsNeeded(t *testing.T) {
	short.Skip(t, "takes some seconds")
	full := os.Getenv("LOCKSTEP_SEEDS") != ""
	for _, m := range tabMutants {
		if m.rare && !full {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			_, last := short.Seeds(t, 1000)
			if m.rare {
				last = max(last, rareSeeds)
			}
			for seed := uint64(1); seed <= last; seed++ {
				if s := inBubble(t, m.design, seed); s.breach != "" {
					t.Logf("seed %d: %s", seed, s.breach)
					return
				}
			}
			t.Errorf("nothing broke in %d seeds: the simulation can't see", last)
		})
	}
}
