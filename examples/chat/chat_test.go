package main

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"lockstep"
	"lockstep/livetest"
)

var message = livetest.Label("Message")

func TestWhatIsSaidIsReadOnAllReplicas(t *testing.T) {
	c := livetest.Start(t, 2, site)
	ann, bob := c.Replica(0).Open("/tea"), c.Replica(1).Open("/tea")
	ann.Find(message).Type("hello").Submit()
	bob.Sees(lockstep.Pseudonym(ann.User()) + " hello")
	ann.Find(message).Says("") // it is empty again
	bob.Find(message).Type("hi").Submit()
	ann.Count(livetest.Role("listitem", ""), 2)
	c.Open("/tea").Sees("hello", "hi")
	c.Open("/coffee").SeesNot("hello")
}

func TestNothingIsSaidByABlank(t *testing.T) {
	ann := livetest.Start(t, 1, site).Open("/tea")
	ann.Find(message).Type(" ").Submit()
	ann.Sees("say something")
}

func TestOneSpeaksWithoutJavaScript(t *testing.T) {
	c := livetest.Start(t, 2, site)
	bob, ann := c.Open("/tea"), c.NoScript().Open("/tea")
	ann.Find(message).Type("hello").Submit()
	ann.Sees("hello")
	bob.Sees("hello")
	ann.Find(message).Type(" ").Submit()
	ann.Sees("say something")
}

func TestNothingIsLostOrSaidTwiceWhileReplicasDie(t *testing.T) {
	c := livetest.Start(t, 2, site)
	ann, bob := c.Replica(0).Open("/tea"), c.Replica(1).Open("/tea")
	ann.Live()
	ann.Offline()
	ann.Find(message).Type("one").Submit()
	ann.Find(message).Type("two").Submit()
	c.Replica(0).Crash()
	ann.Online()
	bob.Sees("one", "two")
	c.Restart(0)
	c.Replica(1).CrashAfterCommit()
	bob.Find(message).Type("three").Submit()
	for _, tab := range []*livetest.Tab{ann, bob} {
		tab.Answered()
		tab.Count(livetest.Role("listitem", ""), 3)
	}
}

func TestWhoTypesIsSeenForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := livetest.Start(t, 2, site)
		ann, bob := c.Replica(0).Open("/tea"), c.Replica(1).Open("/tea")
		ann.Live()
		bob.Live()
		ann.Find(message).Type("hel")
		bob.Sees(lockstep.Pseudonym(ann.User()) + " typing…")
		time.Sleep(5 * time.Second)
		bob.SeesNot("typing…")
	})
}

func TestARoomThatCannotBeIsNotFound(t *testing.T) {
	c := livetest.Start(t, 1, site)
	if got := c.Open("/a.b").Code(); got != http.StatusNotFound {
		t.Errorf("got %d", got)
	}
}
