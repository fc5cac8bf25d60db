package lanetest

import (
	"testing"

	"lockstep/internal/short"
)

// tabMutants are what a page could do otherwise, or a store could be.
var tabMutants = []struct {
	name string
	design
}{
	{"from passes answers that are not durable", design{fromMemory: true}},
	{"an op is sent again with its first from", design{staleFrom: true}},
	{"who adopts an op gives it an identity of its own", design{renumber: true}},
	{"the client lives in sessionStorage", design{perTab: true}},
	{"only ops of the topic shown are adopted", design{adoptShown: true}},
	{"orphans are adopted at the start only", design{adoptOnce: true}},
	{"the outbox is not durable in order", design{noOrder: true}},
	{"the outbox has relaxed durability", design{relaxed: true}},
	{"the browser's clock was set back", design{noAge: true}},
	{"a call is later than a lane that is done lives", design{longCall: true, noLocks: true}},
	{"what is sent again is not looked up in the outbox", design{finMemory: true, noLocks: true}},
	{"the stamp is of the sending", design{lateStamp: true, noLocks: true}},
	{"fin goes out before the removal is durable", design{finEarly: true, noLocks: true}},
	{"lanes that are done go before stamps are too old", design{finShort: true, noLocks: true}},
}

// TestEachLineOfTheTabIsNeeded takes what a page does for exactly once away, one
// at a time.
func TestEachLineOfTheTabIsNeeded(t *testing.T) {
	for _, m := range tabMutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			first, last := seeds(t, short.Of[uint64](5000, 50))
			for seed := first; seed <= last; seed++ {
				if s := inBubble(t, m.design, seed); s.breach != "" {
					t.Logf("seed %d: %s", seed, s.breach)
					return
				}
			}
			t.Errorf("nothing broke in %d seeds: the simulation can't see", last-first+1)
		})
	}
}
