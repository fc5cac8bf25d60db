package statetest

import (
	"bytes"
	"errors"
	"math"
	"slices"

	"lockstep/state"
)

// limitCases say what is refused, and that it leaves no trace.
func limitCases() []testCase {
	return []testCase{
		{name: "a step of the most of everything is done", run: mostOfEverything},
		{name: "a call of the most steps is done, and one more is not valid", run: mostSteps},
		{name: "the most steps of the most moves are done in one call", run: mostStepsOfMostMoves},
		{name: "one move more than the most is not valid", run: tooManyMoves},
		{name: "one byte of data and log more than the most is not valid", run: tooMuchData},
		{name: "one log entry more than the most is not valid", run: tooManyEntries},
		{name: "one byte of refusals more than the most is not valid", run: tooMuchRefused},
		{name: "a step that is not valid is refused", run: badSteps},
	}
}

// wantBad commits a step that is not valid, and checks that nothing was done.
func (e *env) wantBad(name string, step state.Step) {
	e.Helper()
	before := e.read()
	if o := e.commit(step)[0]; !errors.Is(o.Err, state.ErrBadStep) {
		e.Fatalf("%s: got %v, want ErrBadStep", name, o.Err)
	}
	e.wantRecord(e.read(), before)
	if _, entries := e.entries(0, 1); len(entries) != 0 {
		e.Fatalf("%s: left a log", name)
	}
	for _, m := range step.Moves[:min(1, len(step.Moves))] {
		e.wantLanes(e.peek(m.Client), state.Lane{})
	}
}

// big returns n bytes that are of all kinds and hardly get smaller.
func big(n int) []byte {
	b := make([]byte, n)
	for i, x := 0, uint32(1); i < n; i++ {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

func mostOfEverything(e *env) {
	clients := freshClients(state.MaxMoves)
	was := [][]byte{nil, big(state.MaxRefused), bytes.Repeat([]byte{'x'}, state.MaxRefused)}
	newest := e.read()
	for round := range uint64(2) {
		step := e.step(newest, "")
		step.Data = big(state.MaxData - state.MaxLog*100)
		step.Data[0] = byte(round)
		for range state.MaxLog {
			step.Log = append(step.Log, big(100))
		}
		want := make([]state.Lane, len(clients))
		for i, c := range clients {
			want[i] = state.Lane{Last: round + 1, From: 1, Refused: was[round+1]}
			step.Moves = append(step.Moves, state.Move{Client: c, Min: round, Max: round, Was: was[round], To: want[i]})
		}
		newest = e.do(step)
		e.wantRecord(e.read(), newest)
		e.wantLanes(e.peek(clients...), want...)
		e.conflict(step, newest, want...)
		if first, entries := e.entries(round*state.MaxLog, state.MaxLog); first != round*state.MaxLog+1 || len(entries) != state.MaxLog {
			e.Fatalf("got %d entries from %d, want %d", len(entries), first, state.MaxLog)
		}
	}
	step := e.step(newest, "", jump(freshClient(), 1))
	step.Data, step.Keep = big(state.MaxData), math.MaxInt32
	e.wantRecord(e.do(step), e.read())
}

func mostSteps(e *env) {
	topics := topicsOf(state.MaxSteps + 1)
	steps := make([]state.Step, len(topics))
	for i, record := range e.readAt(e.store, topics...) {
		steps[i] = state.Step{Topic: topics[i], Base: record, Data: big(100), Moves: []state.Move{click(freshClient(), 1)}}
	}
	for _, o := range e.commit(steps...) {
		if !errors.Is(o.Err, state.ErrBadStep) {
			e.Fatalf("%d steps: got %v, want ErrBadStep", len(steps), o.Err)
		}
	}
	for _, record := range e.readAt(e.store, topics...) {
		if record.Version != 0 {
			e.Fatalf("a call that is not valid left %s", show(record))
		}
	}
	for i, o := range e.commit(steps[1:]...) {
		if o.Err != nil {
			e.Fatalf("step %d of %d: %v", i+1, state.MaxSteps, o.Err)
		}
	}
}

func mostStepsOfMostMoves(e *env) {
	topics := topicsOf(state.MaxSteps)
	clients := freshClients(state.MaxMoves)
	steps := make([]state.Step, len(topics))
	for i, record := range e.readAt(e.store, topics...) {
		steps[i] = state.Step{Topic: topics[i], Base: record, Data: []byte(topics[i]), Moves: make([]state.Move, len(clients))}
	}
	for seq := range uint64(2) {
		for i := range steps {
			for j, c := range clients {
				steps[i].Moves[j] = click(c, seq+1)
			}
		}
		for i, o := range e.commit(steps...) {
			if o.Err != nil || slices.Contains(o.Made, seq > 0) {
				e.Fatalf("step %d, seq %d: %v, made %v", i, seq+1, o.Err, o.Made)
			}
			steps[i].Base = o.Record
		}
	}
	want := slices.Repeat([]state.Lane{lane(2)}, len(clients))
	for i, o := range e.commit(steps...) { // again: all lanes come back
		newest := steps[i].Base
		e.wantConflict(&steps[i], o, newest, want...)
	}
}

func tooManyMoves(e *env) {
	step := e.step(e.read(), "x")
	for _, c := range freshClients(state.MaxMoves + 1) {
		step.Moves = append(step.Moves, click(c, 1))
	}
	e.wantBad("moves", step)
	step.Moves = step.Moves[1:]
	e.do(step)
}

func tooMuchData(e *env) {
	step := e.step(e.read(), "", click(freshClient(), 1))
	step.Data = big(state.MaxData + 1)
	e.wantBad("data", step)
	step.Data, step.Log = big(state.MaxData/2), [][]byte{big(state.MaxData / 2), {1}}
	e.wantBad("data and log", step)
	step.Data = nil
	step.Log = [][]byte{big(state.MaxData), {1}}
	e.wantBad("log", step)
	step.Log = step.Log[:1]
	e.do(step)
	if _, entries := e.entries(0, 1); len(entries) != 1 || entries[0] != string(step.Log[0]) {
		e.Fatalf("got %d entries, want the long one", len(entries))
	}
}

func tooManyEntries(e *env) {
	step := e.step(e.read(), "x", click(freshClient(), 1))
	step.Log = make([][]byte, state.MaxLog+1)
	e.wantBad("log", step)
}

func tooMuchRefused(e *env) {
	move := click(freshClient(), 1)
	move.To.Refused = big(state.MaxRefused + 1)
	e.wantBad("refused", e.step(e.read(), "x", move))
	move = click(freshClient(), 1)
	move.Was = big(state.MaxRefused + 1)
	e.wantBad("was", e.step(e.read(), "x", move))
}

func badSteps(e *env) {
	newest, c := e.read(), freshClient()
	for name, move := range map[string]state.Move{
		"goes nowhere":           {Client: c, Max: 1, To: lane(1)},
		"goes back":              {Client: c, Max: 5, To: lane(4)},
		"has no seq":             {Client: c},
		"has no from":            {Client: c, To: state.Lane{Last: 1}},
		"from is behind it":      {Client: c, To: state.Lane{Last: 1, From: 2}},
		"passes the last of all": {Client: c, To: lane(state.MaxSeq + 1)},
		"passes all numbers":     {Client: c, To: lane(math.MaxUint64)},
		"has the greatest Max":   {Client: c, Max: math.MaxUint64, To: lane(state.MaxSeq)},
	} {
		e.wantBad("a move that "+name, e.step(newest, "x", move))
		e.wantBad("a second move that "+name, e.step(newest, "x", click(freshClient(), 1), move))
	}
	e.wantBad("no moves", e.step(newest, "x"))
	e.wantBad("one client twice", e.step(newest, "x", click(c, 1), jump(c, 2)))
	step := e.step(newest, "", click(c, 1))
	step.Data = []byte{}
	e.wantBad("empty data", step)
	step.Data, step.Keep = nil, -1
	e.wantBad("negative Keep", step)
}
