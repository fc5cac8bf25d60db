package statetest

import (
	"errors"
	"fmt"

	"lockstep/state"
)

// stepsCases are about several topics in one call.
func stepsCases() []testCase {
	return []testCase{
		{name: "steps of one call succeed and conflict each by itself, in their order", run: eachByItself},
		{name: "a step that is not valid fails its whole call, and nothing of it is done", run: badWithGood},
		{name: "two steps of one topic in one call are not valid", run: topicTwice},
		{name: "one client has lanes on many topics in one call", run: oneClientManyTopics},
		{name: "a call whose steps all conflict does nothing, and the next one works", run: allConflict},
	}
}

// topicsOf returns n topics that nobody else uses, not in their order.
func topicsOf(n int) []string {
	topics := make([]string, n)
	for i := range topics {
		topics[i] = freshTopic()
	}
	return topics
}

func eachByItself(e *env) {
	topics := topicsOf(16)
	c := freshClient()
	none := e.readAt(e.store, topics...)
	steps := make([]state.Step, len(topics))
	for i := range steps {
		steps[i] = state.Step{Topic: topics[i], Base: none[i], Data: fmt.Appendf(nil, "data %d", i), Moves: []state.Move{click(c, 1)}}
		switch i % 4 {
		case 1:
			steps[i].Base.Version++ // never was
		case 3:
			steps[i].Moves[0].Min = 1 // does not hold
			steps[i].Moves[0].Max = 1
			steps[i].Moves[0].To = lane(2)
		}
	}
	outcomes := e.commit(steps...)
	for i, record := range e.readAt(e.store, topics...) {
		if i%2 == 0 {
			if outcomes[i].Err != nil || !outcomes[i].Made[0] || !record.Same(outcomes[i].Record) || string(record.Data) != string(steps[i].Data) {
				e.Fatalf("step %d: got %+v, then %s", i, outcomes[i], show(record))
			}
			continue
		}
		e.wantConflict(&steps[i], outcomes[i], none[i], state.Lane{})
		e.wantRecord(record, none[i])
		e.wantLanes(e.peekAt(e.store, topics[i], c), state.Lane{})
	}
}

func badWithGood(e *env) {
	c := freshClient()
	other := freshTopic()
	newest := e.do(e.step(e.read(), "x", click(c, 1)))
	good := e.step(newest, "y", click(c, 2))
	bad := state.Step{Topic: other, Base: e.readAt(e.store, other)[0]} // no moves
	for _, steps := range [][]state.Step{{good, bad}, {bad, good}} {
		for i, o := range e.commit(steps...) {
			if !errors.Is(o.Err, state.ErrBadStep) {
				e.Fatalf("step %d: got %v, want ErrBadStep", i, o.Err)
			}
		}
	}
	e.wantRecord(e.read(), newest)
	e.wantLanes(e.peek(c), lane(1))
}

func topicTwice(e *env) {
	newest := e.read()
	for _, o := range e.commit(e.step(newest, "a", click(freshClient(), 1)), e.step(newest, "b", click(freshClient(), 1))) {
		if !errors.Is(o.Err, state.ErrBadStep) {
			e.Fatalf("got %v, want ErrBadStep", o.Err)
		}
	}
	e.wantRecord(e.read(), newest)
}

func oneClientManyTopics(e *env) {
	topics := topicsOf(state.MaxSteps)
	c := freshClient()
	records := e.readAt(e.store, topics...)
	for seq := range uint64(3) {
		steps := make([]state.Step, len(topics))
		for i := range steps {
			steps[i] = state.Step{Topic: topics[i], Base: records[i], Data: fmt.Appendf(nil, "%d of %d", seq, i), Moves: []state.Move{click(c, seq+1)}}
			steps[i].Log = [][]byte{steps[i].Data}
		}
		for i, o := range e.commit(steps...) {
			if o.Err != nil || o.Made[0] != (seq == 0) {
				e.Fatalf("topic %d, seq %d: got %+v", i, seq+1, o)
			}
			records[i] = o.Record
		}
	}
	for i, record := range e.readAt(e.store, topics...) {
		records[i].Data = fmt.Appendf(nil, "2 of %d", i)
		e.wantRecord(record, records[i])
		if first, entries := e.entriesAt(e.store, topics[i], 0, 9); first != 1 || len(entries) != 3 || entries[2] != string(records[i].Data) {
			e.Fatalf("topic %d: got log %d %q", i, first, entries)
		}
	}
}

func allConflict(e *env) {
	topics := topicsOf(8)
	c := freshClient()
	records := e.readAt(e.store, topics...)
	steps := make([]state.Step, len(topics))
	for i := range steps {
		steps[i] = state.Step{Topic: topics[i], Data: []byte("x"), Moves: []state.Move{click(c, 1)}}
	}
	for i, o := range e.commit(steps...) {
		e.wantConflict(&steps[i], o, records[i], state.Lane{})
		steps[i].Base = o.Record
	}
	for i, o := range e.commit(steps...) {
		if o.Err != nil {
			e.Fatalf("step %d on the record of its conflict: %v", i, o.Err)
		}
	}
}
