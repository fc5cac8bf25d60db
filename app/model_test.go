package app_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strconv"
	"testing"

	"lockstep/app"
	"lockstep/internal/history"
	"lockstep/state"
	"lockstep/state/memstate"
)

// A modelKind is a kind of state as the model knows it: by what its pages show, and
// by its own rule of what may come of ops.
type modelKind struct {
	topic string
	rule  history.Kind
	// value is what data of the store say, as the rule has it.
	value func(data []byte) string
	// shown is the same of what a page shows; false: it shows no state.
	shown func(html string) (value string, ok bool)
	// act is something that a person does who is shown a value; some of it is refused.
	act func(rnd *rand.Rand, shown string) (do string, in map[string]string)
	// tab returns what a new tab keeps of its page, and tells wrong of messages that
	// can't be; nil: it is sent all there is each time.
	tab func(wrong func(detail string)) modelTab
	// full is what the store has, if its record does not say all of that; nil: it does.
	full func(inner *memstate.Store, r state.Record) string
	// lean: no tab of it renders itself.
	lean bool
}

func modelKinds(t *testing.T) map[string]modelKind {
	return map[string]modelKind{
		"counter": modelCounter(t), "poll": modelPoll(t), "bank": modelBank(t), "list": modelList(t), "log": modelLog(t),
	}
}

var rootAttribute = regexp.MustCompile(`data-(version|epoch)="(\d+)"`)

// state is a record as the history has it.
func (k modelKind) state(r state.Record) history.State {
	return history.State{Epoch: r.Epoch, Version: r.Version, Value: k.value(r.Data)}
}

// read returns the state in a message, if it has one.
func (k modelKind) read(m answer) (s history.State, ok bool) {
	if m.State != nil {
		var r struct {
			E, V uint64
			S    string
		}
		if json.Unmarshal([]byte(*m.State), &r) != nil {
			return s, false
		}
		return history.State{Epoch: r.E, Version: r.V, Value: k.value([]byte(r.S))}, true
	}
	found := 0
	for _, a := range rootAttribute.FindAllStringSubmatch(m.Content, -1) {
		n, err := strconv.ParseUint(a[2], 10, 64)
		if err != nil {
			return s, false
		}
		if found++; a[1] == "epoch" {
			s.Epoch = n
		} else {
			s.Version = n
		}
	}
	s.Value, ok = k.shown(m.Content)
	return s, ok && found == 2
}

// valueOf reads data by a kind.
func valueOf[S any](t *testing.T, kind state.Kind[S], show func(S) string) func(data []byte) string {
	return func(data []byte) string {
		s, err := kind.Read(data)
		if err != nil {
			t.Errorf("%q: %v", data, err)
		}
		return show(s)
	}
}

var countAttribute = regexp.MustCompile(`data-count="(-?\d+)"`)

// modelCounter only counts up: then each op that is lost, or counted twice, shows.
func modelCounter(t *testing.T) modelKind {
	return modelKind{
		topic: "counter:x", rule: history.Counters(),
		value: valueOf(t, app.Counters(), func(n app.Count) string { return history.CounterValue(int64(n)) }),
		shown: func(html string) (string, bool) {
			m := countAttribute.FindStringSubmatch(html)
			if m == nil {
				return "", false
			}
			return m[1], true
		},
		act: func(rnd *rand.Rand, _ string) (string, map[string]string) {
			if rnd.IntN(20) == 0 {
				return "explode", nil
			}
			return "increment", nil
		},
	}
}

var votesAttribute = regexp.MustCompile(`id="option-(\w+)"[^>]* data-votes="(\d+)"`)

func modelPoll(t *testing.T) modelKind {
	return modelKind{
		topic: "poll:x", rule: history.Polls(),
		value: valueOf(t, app.Polls(), func(p app.Poll) string {
			votes := make(map[string]int)
			for _, option := range p.Votes {
				votes[option]++
			}
			return history.PollValue(votes)
		}),
		shown: func(html string) (string, bool) {
			votes := make(map[string]int)
			all := votesAttribute.FindAllStringSubmatch(html, -1)
			for _, m := range all {
				votes[m[1]], _ = strconv.Atoi(m[2]) // it is a number
			}
			return history.PollValue(votes), len(all) == len(app.PollOptions())
		},
		act: func(rnd *rand.Rand, _ string) (string, map[string]string) {
			options := append(app.PollOptions(), "monsoon")
			return "vote", map[string]string{"option": options[rnd.IntN(len(options))]}
		},
	}
}

var balanceAttribute = regexp.MustCompile(`data-balance="(-?\d+)"`)

func modelBank(t *testing.T) modelKind {
	return modelKind{
		topic: "bank:x", rule: history.Banks(),
		value: valueOf(t, app.Banks(), func(b app.Bank) string { return history.BankValue(b.Balances[:]) }),
		shown: func(html string) (string, bool) {
			var balances []int64
			for _, m := range balanceAttribute.FindAllStringSubmatch(html, -1) {
				n, _ := strconv.ParseInt(m[1], 10, 64) // it is a number
				balances = append(balances, n)
			}
			return history.BankValue(balances), len(balances) == app.Accounts
		},
		act: func(rnd *rand.Rand, _ string) (string, map[string]string) {
			account := func() string { return strconv.Itoa(1 + rnd.IntN(app.Accounts)) }
			return "transfer", map[string]string{"from": account(), "to": account(), "amount": fmt.Sprint(1 + rnd.IntN(80))}
		},
	}
}
