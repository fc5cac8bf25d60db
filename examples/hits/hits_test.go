package main

import (
	"testing"
	"testing/synctest"
	"time"

	"lockstep/livetest"
)

var plus, count = livetest.Role("button", "+1"), livetest.CSS("output")

func TestAClickIsSeenOnAllReplicas(t *testing.T) {
	c := livetest.Start(t, 2, site)
	ann, bob := c.Replica(0).Open("/"), c.Replica(1).Open("/")
	ann.Find(plus).Click()
	ann.Find(count).Says("1")
	bob.Find(count).Says("1")
	bob.Find(plus).Click()
	ann.Find(count).Says("2")
	c.Open("/").Find(count).Says("2")
}

func TestItCountsWithoutJavaScript(t *testing.T) {
	c := livetest.Start(t, 2, site)
	bob, ann := c.Open("/"), c.NoScript().Open("/")
	ann.Find(plus).Click()
	ann.Find(count).Says("1")
	ann.Sees("That was done.")
	bob.Find(count).Says("1")
}

func TestAClickWithoutAConnectionCountsLater(t *testing.T) {
	c := livetest.Start(t, 2, site)
	ann, bob := c.Open("/"), c.Open("/")
	ann.Live()
	ann.Offline()
	ann.Find(plus).Click()
	ann.Find(plus).Click()
	ann.Sees("2 waiting")
	ann.Online()
	bob.Find(count).Says("2")
	ann.SeesNot("waiting")
}

func TestAClickCountsOnceThoughItsReplicaDies(t *testing.T) {
	c := livetest.Start(t, 2, site)
	ann, bob := c.Replica(0).Open("/"), c.Replica(1).Open("/")
	ann.Live()
	c.Replica(0).CrashAfterCommit() // the click is in the store, and nobody says so
	ann.Find(plus).Click()
	ann.Answered()
	ann.Find(count).Says("1")
	c.Restart(0)
	bob.Find(plus).Click()
	ann.Find(count).Says("2")
	c.Replica(0).Open("/").Find(count).Says("2")
}

func TestAClickOutlivesItsTab(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := livetest.Start(t, 2, site)
		ann := c.Open("/")
		ann.Live()
		ann.Offline()
		ann.Find(plus).Click()
		ann.Close()
		time.Sleep(time.Hour)
		ann.Browser().Open("/").Find(count).Says("1")
	})
}
