package load

import (
	"strings"
	"testing"

	"lockstep/tools/loadgen/load/internal/browser"
	"lockstep/tools/loadgen/load/protocol"
)

// notes are what happens to the clicks of a person whose nth votes for an option.
func notes(who string, what browser.Happened, seq uint64, option string) []browser.Note {
	id := protocol.ID{Client: "c-" + who, Seq: seq}
	made := browser.Note{What: browser.Made, Person: who, Op: protocol.Op{ID: id, Do: "vote", In: map[string]string{"option": option}}}
	if what == browser.Made {
		return []browser.Note{made}
	}
	return []browser.Note{made, {What: what, Op: protocol.Op{ID: id}}}
}

func TestABookKnowsWhatMayCount(t *testing.T) {
	b, err := newBook(protocol.Poll, &protocol.View{State: protocol.State{Value: "winter=2"}})
	if err != nil {
		t.Fatal(err)
	}
	b.take(notes("a", browser.Acked, 1, "spring"))
	b.take(notes("b", browser.Refused, 1, "spring"))
	b.take(notes("c", browser.Forgotten, 1, "summer"))
	b.take(notes("d", browser.Made, 1, "autumn"))
	b.take([]browser.Note{{What: browser.Acked, Op: protocol.Op{ID: protocol.ID{Client: "nobody", Seq: 1}}}})
	for value, can := range map[string]bool{
		"winter=2 spring=1":                   true,
		"winter=2 spring=1 summer=1":          true,
		"winter=2 spring=1 summer=1 autumn=1": true,
		"winter=2 spring=2":                   false, // the refused one
		"winter=2":                            false,
	} {
		if err := b.check(&protocol.View{State: protocol.State{Value: value}}); (err == nil) != can {
			t.Errorf("%s: got %v", value, err)
		}
	}
	if sure, most := b.voters(); sure != 1 || most != 4 {
		t.Errorf("got %d people and %d at most, want 1 and 4", sure, most)
	}
	b.take([]browser.Note{{What: browser.Acked, Op: protocol.Op{ID: protocol.ID{Client: "c-d", Seq: 1}}}})
	if len(b.open) != 0 {
		t.Errorf("%d clicks are open that had their answers", len(b.open))
	}
}

func TestABookIsBounded(t *testing.T) {
	b, err := newBook(protocol.Poll, &protocol.View{State: protocol.State{}})
	if err != nil {
		t.Fatal(err)
	}
	for seq := range uint64(maxLost + 1) {
		b.take(notes("a", browser.Forgotten, seq+1, "spring"))
	}
	if len(b.lost) != maxLost || !b.dropped || len(b.open) != 0 {
		t.Errorf("got %d clicks and %t, want %d and that there were more", len(b.lost), b.dropped, maxLost)
	}
}

// TestAPollOfOnePersonIsNotJudged: what it had before may have been theirs.
func TestAPollOfOnePersonIsNotJudged(t *testing.T) {
	b, err := newBook(protocol.Poll, &protocol.View{State: protocol.State{}})
	if err != nil {
		t.Fatal(err)
	}
	b.take(notes("a", browser.Acked, 1, "spring"))
	r := run{settings: settings{Options: Options{Protocol: protocol.Lockstep{Kind: protocol.Poll}}}, c: newCollector(1), report: new(Report)}
	r.c.totals.Acked, r.final, r.finalViews = 1, make([]protocol.State, 1), []*protocol.View{{}}
	r.c.counters[0].book, r.c.counters[0].reader = b, "a"
	if v := r.counted(); !v.NotJudged || !strings.Contains(v.Detail, "leave out the cookie") {
		t.Errorf("got %+v", v)
	}
	r.c.counters[0].reader = "somebody else"
	if v := r.counted(); v.NotJudged || v.OK {
		t.Errorf("got %+v, want that the vote is missing", v)
	}
}

func TestAPageOfABankThatHasNoAccountsIsNone(t *testing.T) {
	if _, err := newBook(protocol.Bank, &protocol.View{State: protocol.State{}}); err == nil || !strings.Contains(err.Error(), "the page of a bank") {
		t.Errorf("got %v", err)
	}
}
