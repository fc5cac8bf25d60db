package history_test

import (
	"strconv"
	"strings"
	"testing"

	"lockstep/internal/history"
)

// click is an op of a person with one client.
func click(who string, seq uint64, do string, in ...string) *history.Op {
	op := &history.Op{ID: history.ID{Client: "c-" + who, Seq: seq}, User: who, Do: do, In: make(map[string]string)}
	for i := 0; i < len(in); i += 2 {
		op.In[in[i]] = in[i+1]
	}
	return op
}

func voteFor(who string, seq uint64, option string) *history.Op {
	return click(who, seq, "vote", "option", option)
}

func move(from, to int, amount int64) *history.Op {
	return click("a", 1, "transfer", "from", strconv.Itoa(from), "to", strconv.Itoa(to), "amount", strconv.FormatInt(amount, 10))
}

func all(ops ...*history.Op) []*history.Op { return ops }

func TestKindsKnowWhatTheirOpsComeTo(t *testing.T) {
	counters, polls, banks := history.Counters(), history.Polls(), history.Banks()
	for _, c := range []struct {
		name          string
		kind          history.Kind
		before, value string
		applied, may  []*history.Op
		want          string // in the error; "": there is none
	}{
		{"a counter counts", counters, "5", "6", all(click("a", 1, "increment"), click("b", 1, "increment"), click("c", 1, "decrement")), nil, ""},
		{"a counter has missed one", counters, "5", "5", all(click("a", 1, "increment")), nil, "has counted 0; what was acknowledged and sent allows 1"},
		{"a counter may have more", counters, "", "2", all(click("a", 1, "increment")), all(click("a", 2, "increment"), click("a", 3, "decrement")), ""},
		{"a counter has more than it may", counters, "", "3", all(click("a", 1, "increment")), all(click("a", 2, "increment"), click("a", 3, "decrement")), "allows 0 to 2"},
		{"a counter after a reset", counters, "5", "77", all(click("a", 1, "reset")), nil, ""},
		{"a counter after what none does", counters, "5", "5", all(click("a", 1, "double")), nil, `"double", which can't be done`},
		{"no count", counters, "5", "six", nil, nil, "no count"},

		{"a poll", polls, "summer=1", "spring=1 summer=2", all(voteFor("a", 1, "spring"), voteFor("b", 1, "summer")), nil, ""},
		{"a last vote counts", polls, "", "winter=1", all(voteFor("a", 1, "spring"), voteFor("a", 2, "winter")), nil, ""},
		{"whatever order answers come in", polls, "", "winter=1", all(voteFor("a", 2, "winter"), voteFor("a", 1, "spring")), nil, ""},
		{"and the first does not", polls, "", "spring=1", all(voteFor("a", 1, "spring"), voteFor("a", 2, "winter")), nil, "has 1 votes for spring; what was acknowledged and sent allows 0"},
		{"both count", polls, "", "spring=1 winter=1", all(voteFor("a", 1, "spring"), voteFor("a", 2, "winter")), nil, "spring"},
		{"one counts twice", polls, "", "spring=2", all(voteFor("a", 1, "spring")), nil, "has 2 votes for spring; what was acknowledged and sent allows 1"},
		{"one is lost", polls, "spring=1", "spring=1", all(voteFor("a", 1, "spring")), nil, "has 0 votes for spring"},
		{"one that may count", polls, "", "spring=1", nil, all(voteFor("a", 1, "spring")), ""},
		{"one that may have changed", polls, "", "winter=1", all(voteFor("a", 1, "spring")), all(voteFor("a", 2, "winter")), ""},
		{"it must be one of them", polls, "", "", all(voteFor("a", 1, "spring")), all(voteFor("a", 2, "winter")), "has 0 votes for spring, winter"},
		{"and not both", polls, "", "spring=1 winter=1", all(voteFor("a", 1, "spring")), all(voteFor("a", 2, "winter")), "of the people who voted 1 chose"},
		{"one that came before the last can't", polls, "", "winter=1", all(voteFor("a", 2, "spring")), all(voteFor("a", 1, "winter")), "allows 1"},
		{"two clients of a person in any order", polls, "", "winter=1", all(voteFor("a", 1, "spring"),
			&history.Op{ID: history.ID{Client: "other", Seq: 1}, User: "a", Do: "vote", In: map[string]string{"option": "winter"}}), nil, ""},
		{"people who can't all be where they seem", polls, "", "summer=1 winter=2",
			all(voteFor("a", 1, "spring"), voteFor("b", 1, "spring"), voteFor("c", 1, "winter")),
			all(voteFor("a", 2, "summer"), voteFor("b", 2, "summer"), voteFor("c", 2, "summer"), voteFor("d", 1, "winter")),
			"has 1 votes for spring, summer; of the people who voted 2 to 3 chose one of these"},
		{"no poll", polls, "", "spring=many", nil, nil, "no poll"},

		{"a bank", banks, "10 10 10", "5 15 10", all(move(1, 2, 5)), nil, ""},
		{"a transfer is lost", banks, "10 10 10", "10 10 10", all(move(1, 2, 5)), nil, "has 10 in account 1; what was acknowledged and sent allows 5"},
		{"a transfer counts twice", banks, "10 10 10", "0 20 10", all(move(1, 2, 5)), nil, "has 0 in account 1"},
		{"half of a transfer", banks, "10 10 10", "5 10 10", all(move(1, 2, 5)), nil, "has 25 in all, and had 30"},
		{"an overdraft", banks, "10 10 10", "-5 25 10", all(move(1, 2, 15)), nil, "overdrawn account 1"},
		{"more than there is", banks, "10 10 10", "10 10 10", all(move(1, 2, 31)), nil, "which can't be done"},
		{"to itself", banks, "10 10 10", "10 10 10", all(move(2, 2, 1)), nil, "which can't be done"},
		{"a transfer that may be", banks, "10 10 10", "5 15 10", nil, all(move(1, 2, 5), move(2, 3, 5)), ""},
		{"which must be whole", banks, "10 10 10", "7 13 10", nil, all(move(1, 2, 5), move(2, 3, 5)), "no choice of the 2 transfers"},
		{"an account less", banks, "10 10 10", "10 20", nil, nil, "has 2 accounts, and had 3"},
		{"no bank", banks, "10 10 10", "10 ten 10", nil, nil, "no bank"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ledger, err := c.kind.Begin(c.before)
			if err != nil {
				t.Fatal(err)
			}
			for _, op := range c.applied {
				ledger.Apply(op)
			}
			for range 2 { // asking changes nothing
				err = ledger.Check(c.value, c.may)
				if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %q", err, c.want)
				}
			}
		})
	}
}

// TestManyVotesThatMayCountAreChosenTogether: the choice is found, however many there are.
func TestManyVotesThatMayCountAreChosenTogether(t *testing.T) {
	ledger, err := history.Polls().Begin("")
	if err != nil {
		t.Fatal(err)
	}
	var may []*history.Op
	for i := range 300 {
		who := strconv.Itoa(i)
		ledger.Apply(voteFor(who, 1, "spring"))
		may = append(may, voteFor(who, 2, "summer"), voteFor(who, 3, "winter"))
	}
	for value, can := range map[string]bool{
		"spring=100 summer=100 winter=100": true,
		"winter=300":                       true,
		"spring=100 summer=100 winter=99":  false,
		"spring=301":                       false,
		"autumn=1 spring=299":              false,
	} {
		if err := ledger.Check(value, may); (err == nil) != can {
			t.Errorf("%s: got %v", value, err)
		}
	}
}

func TestAKindWithoutItsBaseIsAMistake(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a bank without accounts has a history")
		}
	}()
	history.New(history.Options{Kind: history.Banks()})
}

// TestAHistoryOfAPoll: it is judged by the rule of its kind.
func TestAHistoryOfAPoll(t *testing.T) {
	state := func(version uint64, value string) history.State {
		return history.State{Epoch: 1, Version: version, Value: value}
	}
	h := history.New(history.Options{Kind: history.Polls()})
	for i, option := range []string{"spring", "winter"} {
		op := voteFor("a", uint64(i+1), option)
		h.Sent("a", *op)
		h.Shown("a", state(uint64(i+1), history.PollValue(map[string]int{option: 1})))
		h.Acked("a", op.ID)
	}
	if found := h.Check(state(2, "winter=1"), "a"); len(found) > 0 {
		t.Errorf("got %v", found)
	}
	if found := h.Check(state(3, "spring=1")); len(found) != 1 || found[0].Rule != history.ExactlyOnce {
		t.Errorf("got %v, want that the ops were not applied in their order", found)
	}
}
