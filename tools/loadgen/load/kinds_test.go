package load_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lockstep/internal/short"
	"lockstep/tools/loadgen/internal/planted"
	"lockstep/tools/loadgen/load"
	"lockstep/tools/loadgen/load/protocol"
)

// ofKind are the options of a short load on pages of a kind.
func ofKind(url string, k protocol.Kind, browsers int, rate float64) load.Options {
	o := options(url, browsers, rate)
	o.Protocol = protocol.Lockstep{Kind: k}
	return o
}

func kinds() []protocol.Kind {
	return []protocol.Kind{protocol.Counter, protocol.Poll, protocol.Bank, protocol.List, protocol.Log}
}

func TestACorrectServerPassesWithEachKind(t *testing.T) {
	t.Parallel()
	for name, bugs := range map[string]planted.Bugs{
		"right":                             {},
		"a server that restarts":            {CutEvery: 50},
		"clicks taken at the second try":    {Retry: 30},
		"clicks that are refused":           {Refuse: 30},
		"clicks of which nobody knows":      {Forget: 40},
		"restarts, retries, and no answers": {CutEvery: 70, Retry: 30, Refuse: 20, Forget: 37},
	} {
		for _, kind := range kinds() {
			t.Run(kind.String()+" "+name, func(t *testing.T) {
				t.Parallel()
				if bugs.CutEvery == 0 || bugs.Retry == 0 {
					short.Skip(t, "one that has everything is enough")
				}
				s := planted.Start(t, bugs)
				o := ofKind(s.URL, kind, 30, 200)
				o.Counters, o.Plan.Stages[0].Churn = 2, 5
				r := runLoad(t, o)
				if b := violated(r); len(b) > 0 || !load.Passed(r) {
					t.Errorf("got %+v", r.Verdicts)
				}
				if sum := r.Totals.Acked + r.Totals.Refused + r.Totals.Forgotten; sum != 200 || r.Totals.Unanswered != 0 {
					t.Errorf("got %+v, want 200 answers", r.Totals)
				}
				if kind == protocol.Bank && r.Totals.Refused < 10 {
					t.Errorf("only %d transfers were refused", r.Totals.Refused)
				}
				if (bugs.Forget > 0) != (r.Totals.Forgotten > 0) {
					t.Errorf("%d clicks are old", r.Totals.Forgotten)
				}
				if strange := s.Strange(); len(strange) > 0 {
					t.Errorf("tabs said %q", strange)
				}
				awaitFins(t, s, int(r.Totals.Joins)-30)
			})
		}
	}
}

// awaitFins waits until the clients that have clicked have said that they need no more answers,
// which is the last that they say. It may be lost with each tab that left: it may have had no
// connection then, or something was on its way to it.
func awaitFins(t *testing.T, s *planted.Server, left int) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		finished, clients := s.Finished()
		if clients >= 10 && finished+left >= clients {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d clients have said that they need no more answers, and %d have left", finished, clients, left)
		}
	}
}

// TestFramesOfItemsThatAreRight: however a server comes from what a tab shows to what there is, all
// tabs end with the same.
func TestFramesOfItemsThatAreRight(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		bugs   planted.Bugs
		afresh bool // tabs have to ask for all there is
	}{
		{"tabs that skip versions", planted.Bugs{Conflate: 3, CutEvery: 60}, false},
		{"a server that forgets what was", planted.Bugs{Forgetful: 5, CutEvery: 60}, false},
		{"frames that are lost", planted.Bugs{LoseFrame: 7}, true},
	} {
		for _, kind := range []protocol.Kind{protocol.List, protocol.Log} {
			t.Run(kind.String()+" "+c.name, func(t *testing.T) {
				t.Parallel()
				if !c.afresh {
					short.Skip(t, "one that has everything is enough")
				}
				s := planted.Start(t, c.bugs)
				r := runLoad(t, ofKind(s.URL, kind, 30, 203)) // the last version is not skipped
				if b := violated(r); len(b) > 0 || !load.Passed(r) {
					t.Errorf("got %+v", r.Verdicts)
				}
				if (r.Totals.Afresh > 0) != c.afresh {
					t.Errorf("%d changes were of what a tab did not show", r.Totals.Afresh)
				}
			})
		}
	}
}

func TestPlantedBugsAreFoundWithEachKind(t *testing.T) {
	t.Parallel()
	counter, poll, bank, list, log := protocol.Counter, protocol.Poll, protocol.Bank, protocol.List, protocol.Log
	for _, c := range []struct {
		name   string
		kind   protocol.Kind
		bugs   planted.Bugs
		broken string // verdicts, comma-separated
		named  string // in what is named for the first
	}{
		{"a vote counts twice", poll, planted.Bugs{Twice: 150}, "counted", "what was acknowledged and sent allows"},
		{"a vote counts twice, as tabs see it", poll, planted.Bugs{Twice: 20}, "once,counted", "votes more than people had voted by then"},
		{"a transfer counts twice", bank, planted.Bugs{Twice: 7}, "counted", "account "},
		{"a vote that is sent again counts again", poll, planted.Bugs{TwiceOnResend: true}, "counted,once", "votes for"},
		{"a transfer that is sent again counts again", bank, planted.Bugs{TwiceOnResend: true}, "counted", "account "},
		{"votes that are acknowledged and not counted", poll, planted.Bugs{LoseClick: 2}, "counted", "votes for"},
		{"transfers that are acknowledged and not done", bank, planted.Bugs{LoseClick: 3}, "counted", "account "},
		{"a click that is refused and counted", counter, planted.Bugs{ApplyRefused: 90}, "counted,once", "/c/load-1: 200, want 198"},
		{"a vote that is refused and counted", poll, planted.Bugs{ApplyRefused: 2}, "counted", "votes for"},
		{"transfers that are refused and done", bank, planted.Bugs{ApplyRefused: 7}, "counted", "account "},
		{"votes of a person in the wrong order", poll, planted.Bugs{Disorder: 1}, "counted", "votes for"},
		{"an overdraft", bank, planted.Bugs{Overdraft: true}, "sound,counted", "is overdrawn: -"},
		{"refusals without a reason", bank, planted.Bugs{NoReason: true}, "answered", "was not told why op"},
		{"clicks that are called settled", counter, planted.Bugs{Settle: 50}, "answered", "is settled, and never its answer"},
		{"votes that are called settled", poll, planted.Bugs{Settle: 50}, "answered", "is settled, and never its answer"},
		{"another answer to the same click", counter, planted.Bugs{OtherAnswer: true}, "answered", "is acknowledged, and then that it is refused"},
		{"another answer to the same transfer", bank, planted.Bugs{OtherAnswer: true}, "answered", "is acknowledged, and then that it is refused"},
		{"a poll that goes backwards", poll, planted.Bugs{Backwards: 60}, "forward", "after 60"},
		{"a frozen tab of a bank", bank, planted.Bugs{Freeze: 7}, "in step", ", its page "},
		{"acknowledgements before the votes", poll, planted.Bugs{EarlyAck: 2}, "own write", "votes when op"},
		{"acknowledgements before the transfers", bank, planted.Bugs{EarlyAck: 2}, "own write", "when op "},

		{"a change of a list with a wrong base", list, planted.Bugs{WrongBase: 60}, "forward", ", another tab "},
		{"a change of a log with a wrong base", log, planted.Bugs{WrongBase: 60}, "forward", ", another tab "},
		{"items that are gone and still there", list, planted.Bugs{LostTombstone: 1}, "in step", ", its page "},
		{"a gap that is taken for all there is", log, planted.Bugs{GapForWhole: 9}, "sound", "does not say that some are missing"},
		{"a change that leaves an item out", list, planted.Bugs{LoseEntry: 60}, "forward", ", another tab "},
		{"a change that leaves an entry out", log, planted.Bugs{LoseEntry: 60}, "sound", "right behind entry"},
		{"two items in another order", list, planted.Bugs{SwapItems: 60}, "forward", ", another tab "},
		{"two entries in another order", log, planted.Bugs{SwapItems: 60}, "sound", ", which was "},
		{"entries that are there twice", log, planted.Bugs{Twice: 50}, "once,counted,sound", "more than was clicked"},
		{"an entry that is sent again is there again", log, planted.Bugs{TwiceOnResend: true}, "once,counted", "more than was clicked"},
		{"a change of a list that is sent again is done again", list, planted.Bugs{TwiceOnResend: true}, "counted", "has "},
		{"entries that are acknowledged and lost", log, planted.Bugs{LoseClick: 50}, "counted", "entries; what was acknowledged and sent allows"},
		{"changes of a list that are acknowledged and lost", list, planted.Bugs{LoseClick: 10}, "counted", "has "},
		{"entries of a person in another order", log, planted.Bugs{Disorder: 2}, "counted", "entr"},
		{"a list that goes backwards", list, planted.Bugs{Backwards: 60}, "forward", "was sent version 59 after 60"},
		{"a frozen tab of a list", list, planted.Bugs{Freeze: 7}, "in step", ", its page "},
		{"a frozen tab of a log", log, planted.Bugs{Freeze: 7}, "in step", ", its page "},
		{"acknowledgements before the entries", log, planted.Bugs{EarlyAck: 2}, "own write", "when op "},
		{"acknowledgements before the items", list, planted.Bugs{EarlyAck: 2}, "own write", "when op "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := planted.Start(t, c.bugs)
			o := ofKind(s.URL, c.kind, 50, 200)
			switch {
			case c.bugs.EarlyAck > 0:
				o = ofKind(s.URL, c.kind, 20, 10)
				o.Plan.Stages[0].Duration = 4 * time.Second // it shows only if no other click is on its way
				o.EndWhenQuiet(neverQuiet)                  // the last may be one
			case c.bugs.Disorder > 0:
				o = ofKind(s.URL, c.kind, 20, 200)
			}
			if c.bugs.Freeze > 0 || c.kind == list || c.kind == log {
				o.EndWhenQuiet(neverQuiet)
			}
			r := runLoad(t, o)
			got := violated(r)
			for name := range strings.SplitSeq(c.broken, ",") {
				if _, ok := got[name]; !ok {
					t.Errorf("%q held", name)
				}
			}
			first, _, _ := strings.Cut(c.broken, ",")
			if named := fmt.Sprint(got[first].Named); !strings.Contains(named, c.named) {
				t.Errorf("got %s, want it to have %q", named, c.named)
			}
		})
	}
}

// TestClicksAreLookedForAgainAfterARetry: all go again, in their order, with the clock heard last.
// The clicks are made before the first of them goes again, so that all have their answers by then.
func TestClicksAreLookedForAgainAfterARetry(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{Retry: 10})
	o := options(s.URL, 3, 250)
	o.Repeat, o.Plan.Stages[0].Duration = 0, 200*time.Millisecond
	r := runLoad(t, o)
	if b := violated(r); len(b) > 0 || r.Totals.Acked != 50 || r.Totals.Resent < 5 {
		t.Errorf("got %+v and %+v, want 50 clicks", r.Verdicts, r.Totals)
	}
	if stale, strange := s.Stale(), s.Strange(); len(stale)+len(strange) > 0 {
		t.Errorf("tabs said %q and %q", stale, strange)
	}
}

// TestAnAnswerThatIsLostIsAskedForAgain: a tab watches its oldest click, whatever else it hears.
func TestAnAnswerThatIsLostIsAskedForAgain(t *testing.T) {
	t.Parallel()
	short.Skip(t, "an answer may take 8 s")
	s := planted.Start(t, planted.Bugs{LoseAnswer: 50})
	o := options(s.URL, 10, 20)
	o.Plan.Stages[0].Duration = 12 * time.Second
	r := runLoad(t, o)
	if b := violated(r); len(b) > 0 || r.Totals.Acked != 240 || s.Count("load-1") != 240 {
		t.Errorf("got %+v and a count of %d, want 240 clicks", r.Verdicts, s.Count("load-1"))
	}
	if strange := s.Strange(); len(strange) > 0 {
		t.Errorf("tabs said %q", strange)
	}
	if late := r.Latencies[load.LatencyAck]; late.Max < 8000 || late.Max > 15_000 {
		t.Errorf("the last answer took %g ms, want 8 s or a little more", late.Max)
	}
}

func TestAServerWithoutAClockIsSentNoClicks(t *testing.T) {
	t.Parallel()
	s := planted.Start(t, planted.Bugs{Mute: true})
	o := options(s.URL, 10, 20)
	o.Settle = neverEqual
	r := runLoad(t, o)
	if strange := s.Strange(); len(strange) > 0 {
		t.Errorf("tabs said %q", strange)
	}
	if _, ok := violated(r)[load.VerdictAnswered]; !ok || r.Totals.Unanswered != 20 {
		t.Errorf("got %+v and %+v, want 20 clicks without an answer", r.Totals, r.Verdicts)
	}
}
