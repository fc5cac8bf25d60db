package main

import (
	"testing"

	"lockstep/livetest"
)

func votes(season string) livetest.Query {
	return livetest.CSS("output[for=" + season + "]")
}

func choose(tab *livetest.Tab, season string) {
	tab.Find(livetest.Role("button", season)).Click()
}

func TestEachPersonHasOneVote(t *testing.T) {
	c := livetest.Start(t, 2, site)
	ann, bob := c.Replica(0).Open("/"), c.Replica(1).Open("/")
	choose(ann, "Summer")
	choose(ann.Browser().Open("/"), "Summer")
	choose(bob, "Winter")
	bob.Find(votes("Summer")).Says("1")
	ann.Find(votes("Winter")).Says("1")
	choose(ann, "Winter")
	bob.Find(votes("Winter")).Says("2")
	bob.Find(votes("Summer")).Says("0")
}

func TestAVoteWithoutJavaScriptIsThatOfTheSamePerson(t *testing.T) {
	c := livetest.Start(t, 2, site)
	bob, ann := c.Open("/"), c.NoScript()
	choose(ann.Open("/"), "Summer")
	choose(ann.Open("/"), "Spring")
	bob.Find(votes("Spring")).Says("1")
	bob.Find(votes("Summer")).Says("0")
}

func TestAVoteOutlivesALostConnectionAndAReplica(t *testing.T) {
	c := livetest.Start(t, 2, site)
	ann, bob := c.Replica(0).Open("/"), c.Replica(1).Open("/")
	ann.Live()
	ann.Offline()
	choose(ann, "Autumn")
	c.Replica(0).Crash()
	ann.Online()
	bob.Find(votes("Autumn")).Says("1")
	ann.Find(votes("Autumn")).Says("1")
}
