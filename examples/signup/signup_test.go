package main

import (
	"testing"

	"lockstep/livetest"
)

var (
	name  = livetest.Label("Name")
	email = livetest.Label("Email")
	join  = livetest.Role("button", "I do")
)

func fill(tab *livetest.Tab, who, at string) {
	tab.Find(name).Type(who)
	tab.Find(email).Type(at)
}

func TestWhatIsWrongIsSaidWhileOneTypes(t *testing.T) {
	c := livetest.Start(t, 2, site)
	ann, bob := c.Replica(0).Open("/"), c.Replica(1).Open("/")
	ann.Live()
	bob.Live()
	fill(ann, "Ann", "ann@example.org")
	ann.Find(join).Click()
	bob.Sees("Ann", "1 come")
	bob.SeesNot("ann@example.org")
	bob.Find(name).Type("ann")
	bob.Sees("somebody of this name comes already")
	bob.Find(email).Type("bob")
	bob.Sees("this is no address")
}

func TestAFormWithoutJavaScriptSaysWhatIsWrong(t *testing.T) {
	c := livetest.Start(t, 1, site)
	tab := c.NoScript().Open("/")
	fill(tab, "Ann", "nowhere")
	tab.Find(join).Click()
	tab.Sees("this is no address")
	tab = c.NoScript().Open("/")
	fill(tab, "Ann", "ann@example.org")
	tab.Find(join).Click()
	tab.Sees("1 come")
}

func TestAFormIsSentOnceThoughItsReplicaDies(t *testing.T) {
	c := livetest.Start(t, 2, site)
	ann := c.Replica(0).Open("/")
	ann.Live()
	fill(ann, "Ann", "ann@example.org")
	c.Replica(0).CrashAfterCommit()
	ann.Find(join).Click()
	ann.Answered()
	ann.Sees("1 come")
	c.Open("/").Sees("1 come")
}
