package app_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lockstep/app"
	"lockstep/state"
)

// acted is what an action makes of a state.
type acted[S any] struct {
	name string
	from S
	do   string
	in   state.Fields
	user string
	want S
	says string // part of the answer to the person; "": it is done
}

// tryAll runs actions, and wants each to be pure: it changes nothing that it was given, and makes
// the same of the same.
func tryAll[S any](t *testing.T, kind state.Kind[S], all []acted[S]) {
	t.Helper()
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			action := kind.Actions[c.do]
			if action == nil {
				t.Fatalf("there is no action %q", c.do)
			}
			before := text(t, c.from, c.in)
			for range 2 {
				got, err := action(c.from, c.in, state.Call{User: c.user})
				switch {
				case c.says == "" && err != nil:
					t.Errorf("got the error %v", err)
				case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
					t.Errorf("got the error %v, want %q", err, c.says)
				case c.says == "" && text(t, got) != text(t, c.want):
					t.Errorf("got %s, want %s", text(t, got), text(t, c.want))
				}
			}
			if after := text(t, c.from, c.in); after != before {
				t.Errorf("it was given %s and left %s", before, after)
			}
		})
	}
}

func text(t *testing.T, v ...any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestACounterCounts(t *testing.T) {
	tryAll(t, app.Counters(), []acted[app.Count]{
		{"one more", 1, "increment", nil, "", 2, ""},
		{"one less", 0, "decrement", nil, "", -1, ""},
		{"from the beginning", 7, "reset", nil, "", 0, ""},
		{"up to the limit", math.MaxInt64 - 1, "increment", nil, "", math.MaxInt64, ""},
		{"and not beyond it", math.MaxInt64, "increment", nil, "", 0, "at its limit"},
		{"down to the limit", math.MinInt64 + 1, "decrement", nil, "", math.MinInt64, ""},
		{"and not below it", math.MinInt64, "decrement", nil, "", 0, "at its limit"},
		{"down from the highest", math.MaxInt64, "decrement", nil, "", math.MaxInt64 - 1, ""},
		{"fields that nobody asked for", 1, "increment", state.Fields{"by": {"1000"}}, "", 2, ""},
	})
}

func votes(pairs ...string) app.Poll {
	p := app.Poll{Votes: make(map[string]string)}
	for i := 0; i < len(pairs); i += 2 {
		p.Votes[pairs[i]] = pairs[i+1]
	}
	return p
}

func manyVotes(n int) app.Poll {
	p := votes()
	for i := range n {
		p.Votes[fmt.Sprintf("user-%017d", i)] = "spring" // as long as an id is
	}
	return p
}

func TestAPollHasOneVoteOfAPerson(t *testing.T) {
	full := manyVotes(1000)
	changed := app.Poll{Votes: maps.Clone(full.Votes)}
	changed.Votes["user-00000000000000000"] = "winter"
	option := func(values ...string) state.Fields { return state.Fields{"option": values} }
	tryAll(t, app.Polls(), []acted[app.Poll]{
		{"the first", app.Poll{}, "vote", option("spring"), "a", votes("a", "spring"), ""},
		{"another person's", votes("a", "spring"), "vote", option("spring"), "b", votes("a", "spring", "b", "spring"), ""},
		{"one that is changed", votes("a", "spring", "b", "autumn"), "vote", option("winter"), "a", votes("a", "winter", "b", "autumn"), ""},
		{"the same again", votes("a", "spring"), "vote", option("spring"), "a", votes("a", "spring"), ""},
		{"for what there is not", votes("a", "spring"), "vote", option("monsoon"), "a", app.Poll{}, "not among the options"},
		{"for nothing", votes(), "vote", nil, "a", app.Poll{}, "not among the options"},
		{"for an empty name", votes(), "vote", option(""), "a", app.Poll{}, "not among the options"},
		{"for two at once: the first counts", votes(), "vote", option("spring", "winter"), "a", votes("a", "spring"), ""},
		{"with a capital", votes(), "vote", option("Spring"), "a", app.Poll{}, "not among the options"},
		{"when there are as many as can be", full, "vote", option("winter"), "late", app.Poll{}, "as many voters"},
		{"that changes then", full, "vote", option("winter"), "user-00000000000000000", changed, ""},
	})
}

// TestAFullPollHasRoom: a poll refuses voters by itself, and never because of its bytes.
func TestAFullPollHasRoom(t *testing.T) {
	data, err := app.Polls().Write(manyVotes(1000))
	if err != nil || len(data) > state.DefaultMaxData {
		t.Errorf("got %d bytes, %v, want at most %d", len(data), err, state.DefaultMaxData)
	}
}

// bankOf is a bank whose accounts have these balances, and the others what they begin with.
func bankOf(t *testing.T, balances ...int64) app.Bank {
	t.Helper()
	b, err := app.Banks().Read(nil)
	if err != nil {
		t.Fatal(err)
	}
	copy(b.Balances[:], balances)
	return b
}

func TestABankMovesWhatThereIs(t *testing.T) {
	move := func(from, to, amount string) state.Fields {
		return state.Fields{"from": {from}, "to": {to}, "amount": {amount}}
	}
	begin := bankOf(t)
	last := bankOf(t, 0)
	last.Balances[app.Accounts-1] = 2 * app.OpeningBalance
	refused := func(name, says string, in state.Fields) acted[app.Bank] {
		return acted[app.Bank]{name, begin, "transfer", in, "", app.Bank{}, says}
	}
	tryAll(t, app.Banks(), []acted[app.Bank]{
		{"some", begin, "transfer", move("1", "2", "30"), "", bankOf(t, 70, 130), ""},
		{"all", begin, "transfer", move("1", "12", "100"), "", last, ""},
		refused("more than there is", "account 1 has only 100", move("1", "2", "101")),
		refused("as much as a number can be", "account 1 has only 100", move("1", "2", "9223372036854775807")),
		refused("more than that", "not what amount can be", move("1", "2", "9223372036854775808")),
		refused("nothing", "must be 1 or more", move("1", "2", "0")),
		refused("less than nothing", "must be 1 or more", move("1", "2", "-50")),
		refused("half of one", "not what amount can be", move("1", "2", "0.5")),
		refused("no number", "not what amount can be", move("1", "2", "all")),
		refused("from an account to itself", "one and the same", move("3", "3", "1")),
		refused("from an account that there is not", "from 1 to 12", move("0", "1", "1")),
		refused("to an account that there is not", "from 1 to 12", move("1", "13", "1")),
		refused("to a negative account", "from 1 to 12", move("1", "-1", "1")),
		refused("without fields", "from 1 to 12", nil),
	})
	empty := begin
	empty.Balances[0] = 0
	tryAll(t, app.Banks(), []acted[app.Bank]{
		{"out of an empty account", empty, "transfer", move("1", "2", "1"), "", app.Bank{}, "account 1 has only 0"},
	})
}

// TestTheSumOfABankNeverChanges tries many transfers, of which some can't be.
func TestTheSumOfABankNeverChanges(t *testing.T) {
	b := bankOf(t)
	transfer := app.Banks().Actions["transfer"]
	rnd, done := rand.New(rand.NewPCG(1, 2)), 0
	for i := range 5000 {
		next, err := transfer(b, state.Fields{
			"from": {strconv.Itoa(rnd.IntN(14))}, "to": {strconv.Itoa(rnd.IntN(14))}, "amount": {strconv.Itoa(rnd.IntN(200) - 20)},
		}, state.Call{})
		if err != nil {
			continue
		}
		b, done = next, done+1
		var sum int64
		for _, n := range b.Balances {
			if sum += n; n < 0 {
				t.Fatalf("an account has %d after transfer %d", n, i)
			}
		}
		if sum != app.Accounts*app.OpeningBalance {
			t.Fatalf("got the sum %d after transfer %d", sum, i)
		}
	}
	if done < 500 || done > 4500 {
		t.Errorf("%d of 5000 transfers were done: it tries nothing", done)
	}
}

func TestTheKindsHaveNames(t *testing.T) {
	for _, name := range []string{"bank", "counter", "list", "log", "poll"} {
		if got := app.KindNames(); !slices.Contains(got, name) {
			t.Errorf("got %q, want %s among them", got, name)
		}
	}
}
