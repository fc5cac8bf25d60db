package main

import (
	"strings"
	"testing"

	"lockstep"
	"lockstep/livetest"
)

// card finds a card in a column.
func card(text, column string) livetest.Query {
	return livetest.CSS("section[aria-label='" + column + "'] li").Having(livetest.Text(text))
}

func add(tab *livetest.Tab, texts ...string) {
	for _, text := range texts {
		tab.Find(livetest.Label("New card")).Type(text).Submit()
		tab.Find(card(text, "To do"))
	}
}

func press(tab *livetest.Tab, name string) { tab.Find(livetest.Role("button", name)).Click() }

func TestCardsAreMovedByTwoPeople(t *testing.T) {
	c := livetest.Start(t, 2, site)
	ann, bob := c.Replica(0).Open("/"), c.Replica(1).Open("/")
	add(ann, "write", "test")
	press(bob, "Right write")
	ann.Find(card("write", "Doing"))
	press(ann, "Right test")
	press(ann, "Up write")
	bob.Find(card("test", "Doing"))
	press(bob, "Right write")
	ann.Find(card("write", "Done"))
	press(ann, "Left test")
	press(ann, "Remove write")
	bob.Count(livetest.Role("listitem", ""), 1)
	bob.Find(card("test", "To do"))
}

func TestTheBoardWorksWithoutJavaScript(t *testing.T) {
	c := livetest.Start(t, 2, site)
	bob, ann := c.Open("/"), c.NoScript().Open("/")
	add(ann, "write")
	press(ann, "Right write")
	ann.Find(card("write", "Doing"))
	bob.Find(card("write", "Doing"))
}

func TestACardThatIsGoneIsNotMoved(t *testing.T) {
	c := livetest.Start(t, 2, site)
	ann, bob := c.Replica(0).Open("/"), c.Replica(1).Open("/")
	add(ann, "write")
	bob.Find(card("write", "To do"))
	bob.Offline()
	press(bob, "Right write")
	press(ann, "Remove write")
	ann.Answered()
	bob.Online()
	bob.Sees("somebody else has removed the card")
	bob.Count(livetest.Role("listitem", ""), 0)
}

func TestAMoveCountsOnceThoughItsReplicaDies(t *testing.T) {
	c := livetest.Start(t, 2, site)
	ann := c.Replica(0).Open("/")
	add(ann, "write")
	c.Replica(0).CrashAfterCommit()
	press(ann, "Right write")
	ann.Answered()
	ann.Find(card("write", "Doing")) // twice it would be done
}

// TestADropIsMeantAsItWasSeen: before a card, wherever that is now.
func TestADropIsMeantAsItWasSeen(t *testing.T) {
	board := Board{{{"a", "A"}, {"b", "B"}, {"c", "C"}}, {{"d", "D"}}}
	for _, c := range []struct {
		in   drop
		want string
	}{
		{drop{"a", 0, "c"}, "bac|d|"},
		{drop{"c", 0, "a"}, "cab|d|"},
		{drop{"a", 0, ""}, "bca|d|"},
		{drop{"a", 1, "d"}, "bc|ad|"},
		{drop{"d", 2, ""}, "abc||d"},
		{drop{"a", 1, "gone"}, "bc|da|"},
		{drop{"a", 1, "a"}, "bc|da|"},
		{drop{"a", 9, ""}, "bc|d|a"},
		{drop{"a", -9, ""}, "bca|d|"},
	} {
		b, err := board.drop(c.in, lockstep.Call{})
		var columns []string
		for _, cards := range b {
			column := ""
			for _, c := range cards {
				column += c.ID
			}
			columns = append(columns, column)
		}
		if got := strings.Join(columns, "|"); err != nil || got != c.want {
			t.Errorf("%+v: got %s, %v, want %s", c.in, got, err, c.want)
		}
	}
	if _, err := board.drop(drop{ID: "gone"}, lockstep.Call{}); err == nil {
		t.Error("a card that is gone is dropped")
	}
}
