package e2e_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"

	"lockstep/app"
	"lockstep/internal/history"
	states "lockstep/state"
	"lockstep/tools/loadgen/load/protocol"
)

// A kind is a kind of state as those see it who use it from outside: its pages, what people
// do there, and what the store has.
type kind struct {
	name  string // topics begin with it, and it is the id of the root element
	judge history.Kind
	fresh string // what a topic shows that nobody has written
	// value reads what a page, or a frame, shows; false: it is not known.
	value func(root, text string) (string, bool)
	// decode reads the data of a record.
	decode func(data []byte) (string, error)
	// act is what a person does next who is shown a value.
	act func(shown string) (do string, in map[string]string)
	// mayRefuse reports whether an act may be refused for a reason; nil: none is.
	mayRefuse func(reason string) bool
	// wire reads pages and frames of items, in place of value; nil: each frame has all there is.
	wire *protocol.Lockstep
	// plain makes a page, or the content of a message, what the demo's would be, as wire reads it;
	// nil: it is.
	plain func(html string) string
	// at is where the page of a name is; nil: where the demo has it.
	at func(name string) string
	// beside reads what the store has of a topic beside its record, in place of decode; nil: nothing.
	beside func(ctx context.Context, s states.Store, topic string, r states.Record) (string, error)
}

// topic returns the topic of a name.
func (k kind) topic(name string) string { return k.name + ":" + name }

// path is where the page of a topic is.
func (k kind) path(name string) string {
	switch {
	case k.at != nil:
		return k.at(name)
	case k.name != "counter":
		return "/" + k.name + "/" + name
	case name == "lobby":
		return "/"
	}
	return "/c/" + name
}

var statePattern = regexp.MustCompile(`\bdata-(version|epoch)="(\d+)"`)

// parse reads the root element of a topic and what is in it.
func (k kind) parse(text string) (s history.State, ok bool) {
	if k.wire != nil {
		s, _, ok = k.parseItems(text)
		return s, ok
	}
	root := regexp.MustCompile(`<section[^>]*\bid="` + k.name + `"[^>]*>`).FindString(text)
	for _, m := range statePattern.FindAllStringSubmatch(root, -1) {
		n, err := strconv.ParseUint(m[2], 10, 64)
		if err != nil {
			return s, false
		}
		if m[1] == "version" {
			s.Version = n
		} else {
			s.Epoch = n
		}
	}
	if root == "" {
		return s, false
	}
	s.Value, ok = k.value(root, text)
	return s, ok
}

// asDemo is a page as the demo's would be.
func (k kind) asDemo(html string) string {
	if k.plain == nil {
		return html
	}
	return k.plain(html)
}

// asDemoMessage is a message as the demo's would be.
func (k kind) asDemoMessage(text []byte) []byte {
	var m map[string]json.RawMessage
	var content string
	if k.plain == nil || json.Unmarshal(text, &m) != nil || json.Unmarshal(m["content"], &content) != nil {
		return text
	}
	m["content"] = json.RawMessage(asJSON(k.plain(content)))
	return []byte(asJSON(m))
}

// agree reports whether two states can both be: tabs of a log show as much of it as they like.
func (k kind) agree(a, b history.State) bool {
	joiner, ok := k.judge.(history.Joiner)
	if !ok || a.Newer(b) || b.Newer(a) {
		return a == b
	}
	_, err := joiner.Join(a.Value, b.Value)
	return err == nil
}

// record is what the judge calls a record of the store.
func (k kind) record(r states.Record) (s history.State, err error) {
	s.Epoch, s.Version = r.Epoch, r.Version
	s.Value, err = k.decode(r.Data)
	return s, err
}

var countPattern = regexp.MustCompile(`\bdata-count="(-?\d+)"`)

// counters are what everybody increments.
func counters() kind {
	return kind{
		name: "counter", judge: history.Counters(), fresh: history.CounterValue(0),
		value: func(root, _ string) (string, bool) {
			m := countPattern.FindStringSubmatch(root)
			if m == nil {
				return "", false
			}
			return m[1], true
		},
		decode: func(data []byte) (string, error) {
			n, err := app.Counters().Read(data)
			return history.CounterValue(int64(n)), err
		},
		act: func(string) (string, map[string]string) { return "increment", nil },
	}
}

var votesPattern = regexp.MustCompile(`\bid="option-([a-z]+)"[^>]*\bdata-votes="(\d+)"`)

// polls are where everybody votes, and changes their mind.
func polls() kind {
	return kind{
		name: "poll", judge: history.Polls(),
		value: func(_, text string) (string, bool) {
			votes := make(map[string]int)
			for _, m := range votesPattern.FindAllStringSubmatch(text, -1) {
				votes[m[1]], _ = strconv.Atoi(m[2]) // they are digits
			}
			return history.PollValue(votes), len(votes) == len(app.PollOptions())
		},
		decode: func(data []byte) (string, error) {
			p, err := app.Polls().Read(data)
			votes := make(map[string]int)
			for _, option := range p.Votes {
				votes[option]++
			}
			return history.PollValue(votes), err
		},
		act: func(string) (string, map[string]string) {
			all := app.PollOptions()
			return "vote", map[string]string{"option": all[rand.IntN(len(all))]}
		},
	}
}

var balancePattern = regexp.MustCompile(`\bid="account-\d+"[^>]*\bdata-balance="(-?\d+)"`)

// banks are where everybody moves money, and more than there is now and then.
func banks() kind {
	opening, _ := app.Banks().Read(nil) // what New returns
	return kind{
		name: "bank", judge: history.Banks(), fresh: history.BankValue(opening.Balances[:]),
		value: func(_, text string) (string, bool) {
			var balances []int64
			for _, m := range balancePattern.FindAllStringSubmatch(text, -1) {
				n, _ := strconv.ParseInt(m[1], 10, 64) // it is a number
				balances = append(balances, n)
			}
			return history.BankValue(balances), len(balances) == app.Accounts
		},
		decode: func(data []byte) (string, error) {
			b, err := app.Banks().Read(data)
			return history.BankValue(b.Balances[:]), err
		},
		act: func(string) (string, map[string]string) {
			from := rand.IntN(app.Accounts)
			to := (from + 1 + rand.IntN(app.Accounts-1)) % app.Accounts
			return "transfer", map[string]string{
				"from": strconv.Itoa(from + 1), "to": strconv.Itoa(to + 1), "amount": strconv.Itoa(1 + rand.IntN(90)),
			}
		},
		mayRefuse: func(reason string) bool { return strings.Contains(reason, "has only") },
	}
}
