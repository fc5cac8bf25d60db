package lanetest

import (
	"errors"
	"fmt"
	"slices"

	"lockstep/state"
)

// A ledger is the state of the topics: a number, and the names of the ops that
// were applied, in their order. So each state says what it is made of. Its log
// has an entry for each.
type ledger struct {
	N   int
	Ops []string
	Log state.Log[string]
}

var errNone = errors.New("there is none left")

// actions are what people do: dec is refused at 0, dud panics at odd numbers.
var actions = []string{"inc", "dec", "dud"}

// book is the kind of the topics.
func book() state.Kind[ledger] {
	return state.Kind[ledger]{Name: "book", Log: func(l *ledger) state.Appender { return &l.Log }, Actions: map[string]state.Action[ledger]{
		"inc": func(l ledger, in state.Fields, c state.Call) (ledger, error) { return l.after(1, in, c), nil },
		"dec": func(l ledger, in state.Fields, c state.Call) (ledger, error) {
			if l.N == 0 {
				l.scribble()
				return l, errNone
			}
			return l.after(-1, in, c), nil
		},
		"dud": func(l ledger, in state.Fields, c state.Call) (ledger, error) {
			if l.N%2 != 0 {
				l.scribble()
				panic("odd")
			}
			return l.after(1, in, c), nil
		},
	}}
}

func (l ledger) after(n int, in state.Fields, c state.Call) ledger {
	return ledger{l.N + n, append(slices.Clone(l.Ops), in.Get("op")), l.Log.Append(c.Op, in.Get("op"))}
}

// scribble changes a state that an action was given, which it must not.
func (l ledger) scribble() {
	for i := range l.Ops {
		l.Ops[i] = "scribbled"
	}
}

func topicOf(t int) string { return book().Topic(fmt.Sprint(t)) }

// numberOf is the inverse of topicOf.
func numberOf(topic string) (t int) {
	_, _ = fmt.Sscanf(topic, "book:%d", &t)
	return t
}

// opsOf returns the names of the ops that were applied to a record.
func opsOf(r state.Record) []string {
	l, err := book().Read(r.Data)
	if err != nil {
		return []string{err.Error()}
	}
	return l.Ops
}
