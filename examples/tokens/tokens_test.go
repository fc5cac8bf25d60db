package main

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lockstep"
	"lockstep/livetest"
)

const question = "the sea"

// whole is all that a page has of the question and its answer.
func whole() string { return question + " " + strings.Join(modelled(question), " ") }

// reads is what a tab has of the log.
func reads(tab *livetest.Tab) string {
	var all []string
	for _, e := range tab.All(livetest.CSS(".entries > li")) {
		all = append(all, strings.TrimSpace(e.Text()))
	}
	return strings.Join(all, " ")
}

func asks(tab *livetest.Tab) {
	tab.Find(livetest.Label("Your question")).Type(question)
	tab.Find(livetest.Role("button", "Ask")).Click()
}

func readsAll(tab *livetest.Tab) {
	tab.WaitFor("the whole answer", func(tab *livetest.Tab) bool { return strings.HasSuffix(reads(tab), "has said that now.") })
}

// TestEachWordIsThereOnceThoughItsReplicaDies in the middle, whichever it is: one is killed after
// the other.
func TestEachWordIsThereOnceThoughItsReplicaDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := livetest.Start(t, 2, site)
		tab := c.Open("/")
		asks(tab)
		for i := range 2 {
			time.Sleep(700 * time.Millisecond)
			before := reads(c.Open("/"))
			if !strings.HasPrefix(whole(), before) || len(before) < 50*(i+1) || before == whole() {
				t.Errorf("got %q before replica %d is killed", before, i)
			}
			c.Replica(i).Crash()
			time.Sleep(lease)
			c.Restart(i)
		}
		readsAll(tab)
		late := c.Open("/")
		for name, tab := range map[string]*livetest.Tab{"who has seen it": tab, "who comes late": late} {
			if got := reads(tab); got != whole() {
				t.Errorf("%s reads %q", name, got)
			}
		}
		late.Sees("You ask about the sea.")
	})
}

func TestAnAnswerIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := livetest.Start(t, 2, site)
		ann, bob := c.Replica(0).Open("/"), c.Replica(1).Open("/")
		asks(ann)
		time.Sleep(time.Second)
		asks(bob)
		bob.Sees("the model is answering")
		bob.Find(livetest.Role("button", "Stop")).Click()
		ann.SeesNot("The model answers.")
		time.Sleep(time.Second)
		before := reads(ann)
		time.Sleep(time.Minute)
		if got := reads(ann); got != before || got == whole() || !strings.HasPrefix(whole(), got) {
			t.Errorf("got %q after %q", got, before)
		}
		asks(bob)
		readsAll(ann)
		if got := reads(ann); got != before+" "+whole() {
			t.Errorf("got %q, want both", got)
		}
	})
}

// TestAScreenReaderHearsAnAnswerAsAWhole, and not each word of it.
func TestAScreenReaderHearsAnAnswerAsAWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := livetest.Start(t, 1, site).Open("/")
		asks(tab)
		readsAll(tab)
		time.Sleep(time.Second)
		if got, want := tab.Find(livetest.Role("status", "").Having(livetest.Text("You ask"))).Text(), strings.Join(modelled(question), " "); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := tab.Find(livetest.CSS(".entries")).Attr("aria-live"); got != "off" {
			t.Errorf("the log is read as it comes: %q", got)
		}
	})
}

func TestItWorksWithoutJavaScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab := livetest.Start(t, 2, site).NoScript().Open("/")
		asks(tab)
		time.Sleep(time.Minute)
		tab.Find(livetest.Role("link", "Show what has come since")).Click()
		if got := reads(tab); got != whole() {
			t.Errorf("got %q", got)
		}
	})
}

// TestVisitorsAreNotTheModel: what replicas do among each other is refused to them.
func TestVisitorsAreNotTheModel(t *testing.T) {
	for user, want := range map[string]bool{model: true, "somebody": false, "": false} {
		if _, err := say(Token{Word: "I"}, lockstep.Call{User: user}); (err == nil) != want {
			t.Errorf("%q says something: got %v", user, err)
		}
		if _, err := take(Talk{ID: "1"}, claim{ID: "1", By: "a"}, lockstep.Call{User: user}); (err == nil) != want {
			t.Errorf("%q takes the answer: got %v", user, err)
		}
	}
}

func TestAnAnswerIsTakenWhenItsLeaseIsOver(t *testing.T) {
	now := time.Now()
	call := func(after time.Duration) lockstep.Call { return lockstep.Call{User: model, At: now.Add(after)} }
	began, err := take(Talk{ID: "1"}, claim{ID: "1", By: "a"}, call(0))
	if err != nil || began.First != "a" {
		t.Fatalf("got %+v, %v", began, err)
	}
	for name, c := range map[string]struct {
		in    claim
		after time.Duration
		want  bool
	}{
		"who has it goes on":      {claim{ID: "1", By: "a"}, time.Second, true},
		"another has to wait":     {claim{ID: "1", By: "b"}, lease - 1, false},
		"then it may":             {claim{ID: "1", By: "b"}, lease, true},
		"of another answer":       {claim{ID: "0", By: "a"}, time.Second, false},
		"who has it says all":     {claim{ID: "1", By: "a", Said: "all"}, time.Second, true},
		"another can't say it is": {claim{ID: "1", By: "b", Said: "all"}, time.Second, false},
	} {
		got, err := take(began, c.in, call(c.after))
		if (err == nil) != c.want || err == nil && (got.First != "a" || got.By != c.in.By || got.Said != c.in.Said) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}
