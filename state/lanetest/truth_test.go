package lanetest

import (
	"encoding/json"
	"fmt"
	"slices"

	"lockstep/state"
)

// What must hold. Breaches:
//
//	1 an op is applied twice
//	2 it is never answered, or "settled" though nobody has the answer
//	3 ack without application, or applied and undone within one history
//	4 refused and applied, or answered in two ways
//	5 ops of a client are applied in another order than theirs
//	6 answered from a history that was lost before the op came
//	7 a lane that grows
//	8 ack before a frame that contains the op
//	9 an entry of the log without its op, or twice, or not at all, or elsewhere

func (s *sim) fail(format string, args ...any) {
	if s.breach == "" {
		s.breach = fmt.Sprintf(format, args...)
		s.log("BREACH %s", s.breach)
	}
}

// committed looks at each step that was done: at the records of before and after.
func (s *sim) committed(step *state.Step, before, after []string) {
	t := numberOf(step.Topic)
	if len(after) < len(before) || !slices.Equal(before, after[:len(before)]) {
		s.fail("3 lost: a commit undid what was applied to t%d, in one history", t)
		return
	}
	for i, name := range after[len(before):] {
		o := s.byName[name]
		if o == nil {
			s.fail("3 lost: the state of t%d was scribbled on: %s", t, name)
			return
		}
		s.log("store: %v applied", o)
		s.applied(o, after[:len(before)+i])
	}
	for _, m := range step.Moves {
		s.remembered(t, m.To)
	}
}

// logged looks at the log after each step that was done.
func (s *sim) logged(topic string, ops []string) {
	if entries := s.store.entries(topic); !slices.Equal(entries, ops) {
		s.fail("9 log: %s has the entries %q, of the ops %q", topic, entries, ops)
	}
}

// applied looks at an op that is applied after others.
func (s *sim) applied(o *op, before []string) {
	if slices.Contains(before, o.name) {
		s.fail("1 twice: %v was applied in this history before", o)
	}
	o.ever = true
	if o.in[s.history] == state.Refused {
		s.fail("4 refused, and applied: %v", o)
	}
	for _, name := range before {
		if other := s.byName[name]; other.client == o.client && other.seq > o.seq {
			s.fail("5 order: %v applied after %v", o, other)
		}
	}
}

// remembered looks at what a lane says of refusals.
func (s *sim) remembered(t int, l state.Lane) {
	var by map[string][]uint64
	if len(l.Refused) > 0 && json.Unmarshal(l.Refused, &by) != nil {
		s.fail("7 memory: a lane of t%d can't be read: %s", t, l.Refused)
	}
	n := 0
	for _, seqs := range by {
		n += len(seqs)
	}
	if n > window {
		s.fail("7 memory: a lane of t%d lists %d refusals", t, n)
	}
}

// A sight is what a replica was told of a topic by the store.
type sight struct {
	history int
	epoch   uint64
	ops     []string
}

// decided looks at each answer of a replica, and at what it rests on.
func (s *sim) decided(r *replica, m message, a state.Answer) {
	s.log("replica %d: %v from=%d → %v %s", r.id, m.op, m.from, a.Verdict, a.Reason)
	if a.Verdict == state.Retry {
		return
	}
	o, saw := m.op, r.saw[m.op.topic]
	in := slices.Contains(saw.ops, o.name)
	switch {
	case a.Verdict == state.Ack && !in && !o.ever:
		s.fail("3 ack, and never applied: %v", o)
	case a.Verdict == state.Ack && !in && !o.answered:
		s.fail("6 ack, and only applied in a history that was lost before: %v", o)
	case a.Verdict == state.Refused && in:
		s.fail("4 refused, and is applied: %v", o)
	case saw.history < m.history:
		s.fail("6 answered from a history that was lost before it came: %v", o)
	case a.Verdict == state.Ack && in && r.shown[o.topic].Epoch <= saw.epoch && !slices.Contains(opsOf(r.shown[o.topic]), o.name):
		s.fail("8 ack before a frame that contains it: %v", o)
	case a.Verdict == state.Old && in && r.knew(o) >= o.seq:
		s.fail("4 called too old, and its lane is known: %v", o)
	case a.Verdict == state.Old && in:
		s.tally.oldApplied++
	}
	if a.Verdict == state.Ack || a.Verdict == state.Refused {
		if was := o.in[saw.history]; was != state.Retry && was != a.Verdict {
			s.fail("4 answered in two ways: %v", o)
		}
		o.in[saw.history] = a.Verdict
	}
}

// heard looks at each final answer that a page hears.
func (s *sim) heard(o *op, v state.Verdict, inOutbox bool) {
	switch v {
	case state.Ack:
		s.tally.applied++
	case state.Refused:
		s.tally.refused++
	case state.Old:
		s.tally.old++
	case state.Settled:
		s.tally.settled++
		if !o.answered && !o.gaveUp {
			s.fail("2 settled, and nobody was answered: %v", o)
		} else if inOutbox {
			s.fail("2 settled, and still in the outbox: %v", o)
		}
	}
	o.answered = true
	if o.origin != nil {
		o.origin.answered = true
	}
}
