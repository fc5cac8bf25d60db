package main

import (
	"testing"

	"lockstep/livetest"
)

var newItem, items = livetest.Label("New item"), livetest.Role("listitem", "")

// named finds the item of a name.
func named(name string) livetest.Query { return items.Having(livetest.Role("checkbox", name)) }

func add(tab *livetest.Tab, names ...string) {
	for _, name := range names {
		tab.Find(newItem).Type(name).Submit()
		tab.Find(named(name))
	}
}

func TestTwoPeopleEditAList(t *testing.T) {
	c := livetest.Start(t, 2, site)
	ann, bob := c.Replica(0).Open("/"), c.Replica(1).Open("/")
	add(ann, "milk", "tea")
	bob.Find(named("tea")).Find(livetest.Role("button", "Up")).Click()
	ann.WaitFor("tea at the top", func(ann *livetest.Tab) bool {
		all := ann.All(livetest.Role("checkbox", ""))
		return len(all) == 2 && all[0].Attr("aria-label") == "tea"
	})
	ann.Find(named("milk")).Find(livetest.Label("milk")).Click()
	bob.WaitFor("milk to be ticked", func(bob *livetest.Tab) bool { return bob.Find(livetest.Label("milk")).Checked() })
	bob.Find(named("milk")).Find(livetest.Label("Text")).Type("oat milk").Submit()
	ann.Find(named("oat milk")).Find(livetest.Role("button", "Remove")).Click()
	bob.Count(items, 1)
}

func TestWhatSomebodyTypesStays(t *testing.T) {
	c := livetest.Start(t, 2, site)
	ann, bob := c.Replica(0).Open("/"), c.Replica(1).Open("/")
	add(ann, "milk")
	ann.Find(named("milk")).Find(livetest.Label("Text")).Type("almond m")
	bob.Find(named("milk")).Find(livetest.Label("milk")).Click()
	ann.WaitFor("the tick", func(ann *livetest.Tab) bool { return ann.Find(livetest.Label("milk")).Checked() })
	ann.Find(named("milk")).Find(livetest.Label("Text")).Says("almond m")
}

func TestTheListWorksWithoutJavaScript(t *testing.T) {
	c := livetest.Start(t, 1, site)
	bob, ann := c.Open("/"), c.NoScript().Open("/")
	add(ann, "milk", "tea")
	ann.Find(named("milk")).Find(livetest.Role("button", "Remove")).Click()
	ann.Count(items, 1)
	bob.Count(items, 1)
}

func TestAnItemIsAddedOnceThoughReplicasDie(t *testing.T) {
	c := livetest.Start(t, 2, site)
	ann, bob := c.Replica(0).Open("/"), c.Replica(1).Open("/")
	ann.Live()
	c.Replica(0).CrashAfterCommit()
	add(ann, "milk")
	ann.Answered()
	ann.Offline()
	ann.Find(newItem).Type("tea").Submit()
	ann.Online()
	ann.Reload() // what waits is sent by the new page, if the old one could not
	bob.Count(items, 2)
	ann.Count(items, 2)
}
