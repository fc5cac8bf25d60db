package main

import (
	"testing"
	"testing/synctest"
	"time"

	"lockstep"
	"lockstep/livetest"
)

func TestACursorIsSeenForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := livetest.Start(t, 2, site)
		ann, bob := c.Replica(0).Open("/"), c.Replica(1).Open("/")
		ann.Live()
		bob.Live()
		ann.Find(livetest.Label("Across")).Type("70")
		bob.Sees(lockstep.Pseudonym(ann.User()))
		bob.Find(livetest.CSS("g[transform^='translate(70 ']"))
		time.Sleep(15 * time.Second)
		bob.SeesNot(lockstep.Pseudonym(ann.User()))
	})
}
