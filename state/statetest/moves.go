package statetest

import (
	"bytes"
	"fmt"
	"math"

	"lockstep/state"
)

// moveCases say when a move holds, and what it makes of a lane.
func moveCases() []testCase {
	return []testCase{
		{name: "a step that was done conflicts when it comes again, on whatever record", run: holdsOnce},
		{name: "a step that comes after its retry does nothing", run: lateStep},
		{name: "a move holds from Min to Max, for a client that is not known too", run: minToMax},
		{name: "a move holds only on the refusals that it was made on", run: wasGuards},
		{name: "refusals are kept byte for byte, replaced and taken back", run: refusedIsKept},
		{name: "From never falls", run: fromNeverFalls},
		{name: "Made says which lanes are new", run: madeLanes},
		{name: "a lane is one topic's and one client's", run: lanesAreApart},
		{name: "a refusal alone makes a version, so that what was computed before it conflicts", run: refusalMakesVersion},
		{name: "a move whose Min is greater than its Max reads lanes, and makes none", run: peeking},
	}
}

func holdsOnce(e *env) {
	c, other := freshClient(), freshClient()
	step := e.step(e.read(), "one", jump(c, 1), jump(other, 3))
	newest := e.do(step)
	for range 3 {
		e.conflict(step, newest, lane(1), lane(3)) // on the base that it had
		step.Base = newest
		e.conflict(step, newest, lane(1), lane(3)) // on the newest
	}
	newest = e.do(e.step(newest, "two", click(c, 2)))
	step.Base = newest
	e.conflict(step, newest, lane(2), lane(3))
}

func lateStep(e *env) {
	c := freshClient()
	base := e.do(e.step(e.read(), "zero", click(freshClient(), 1)))
	late := e.step(base, "one", click(c, 1))
	// Another came first, so the retry is on a newer record. Both are on their
	// way: whichever comes first is done, and the other is not.
	newer := e.do(e.step(base, "other", click(freshClient(), 1)))
	retry := e.step(newer, "other, one", click(c, 1))
	newest := e.do(retry)
	e.conflict(late, newest, lane(1))
	e.conflict(retry, newest, lane(1))
	newest = e.do(e.step(newest, "two", click(c, 2)))
	e.conflict(late, newest, lane(2))
	late.Base = newest
	e.conflict(late, newest, lane(2))
}

func minToMax(e *env) {
	newest := e.read()
	for _, c := range []struct {
		last, min, max uint64
		holds          bool
	}{
		{0, 0, 0, true}, {0, 0, 9, true}, {0, 1, 9, false}, {0, 1, 1, false},
		{5, 0, 4, false}, {5, 0, 5, true}, {5, 5, 5, true}, {5, 5, 9, true}, {5, 0, 9, true}, {5, 6, 9, false},
		{5, 4, 4, false}, {5, 4, 6, true}, {5, 6, 4, false}, {5, 5, 4, false}, {5, 6, 5, false},
	} {
		client, before := freshClient(), state.Lane{}
		if c.last > 0 {
			newest = e.do(e.step(newest, "", jump(client, c.last)))
			before = lane(c.last)
		}
		to := state.Lane{Last: 12, From: 11}
		step := e.step(newest, fmt.Sprintf("%+v", c), state.Move{Client: client, Min: c.min, Max: c.max, To: to})
		if !c.holds {
			e.conflict(step, newest, before)
			continue
		}
		newest = e.do(step)
		e.wantLanes(e.peek(client), to)
	}
}

func wasGuards(e *env) {
	c := freshClient()
	newest := e.do(e.step(e.read(), "x", state.Move{Client: c, To: state.Lane{Last: 2, From: 1, Refused: []byte("1=no")}}))
	at := state.Lane{Last: 2, From: 1, Refused: []byte("1=no")}
	move := state.Move{Client: c, Min: 2, Max: 2, To: state.Lane{Last: 3, From: 3}}
	for _, was := range []string{"", "1=n", "1=no ", "1=NO", "1=no\x00", "2=no"} {
		move.Was = []byte(was)
		e.conflict(e.step(newest, "y", move), newest, at)
	}
	move.Was = nil
	e.conflict(e.step(newest, "y", move), newest, at)
	move.Was = []byte("1=no")
	newest = e.do(e.step(newest, "y", move))
	e.wantLanes(e.peek(c), lane(3))
	e.conflict(e.step(newest, "z", state.Move{Client: c, Min: 3, Max: 3, Was: []byte("1=no"), To: lane(4)}), newest, lane(3))
	// A client that is not known was refused nothing.
	other := freshClient()
	e.conflict(e.step(newest, "z", state.Move{Client: other, Was: []byte("1"), To: lane(1)}), newest, state.Lane{})
	e.do(e.step(newest, "z", state.Move{Client: other, Was: []byte{}, To: lane(1)}))
}

func refusedIsKept(e *env) {
	c, newest, was := freshClient(), e.read(), []byte(nil)
	for i, refused := range [][]byte{
		[]byte("a"), allBytes(), []byte(" 7 "), {0}, {0, 0}, []byte("{}"), []byte(`"\`), {0xff, 0xfe}, nil, []byte("again"), {},
	} {
		seq := uint64(i) + 1
		to := state.Lane{Last: seq, From: 1, Refused: refused}
		newest = e.do(e.step(newest, "", state.Move{Client: c, Min: seq - 1, Max: seq - 1, Was: was, To: to}))
		e.wantLanes(e.peek(c), to)
		was = refused
	}
}

// allBytes is each value of a byte, once.
func allBytes() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func fromNeverFalls(e *env) {
	c, newest := freshClient(), e.read()
	for _, step := range []struct{ last, from, want uint64 }{
		{1, 1, 1}, {5, 4, 4}, {6, 1, 4}, {7, 3, 4}, {8, 4, 4}, {9, 9, 9}, {20, 5, 9}, {21, 21, 21},
	} {
		newest = e.do(e.step(newest, "", state.Move{Client: c, Max: step.last - 1, To: state.Lane{Last: step.last, From: step.from}}))
		e.wantLanes(e.peek(c), state.Lane{Last: step.last, From: step.want})
	}
}

func madeLanes(e *env) {
	a, b, c := freshClient(), freshClient(), freshClient()
	newest := e.do(e.step(e.read(), "", click(b, 1)))
	newest, made := e.doMade(e.step(newest, "", click(a, 1), click(b, 2), jump(c, 9)))
	if !made[0] || made[1] || !made[2] {
		e.Fatalf("made %v, want the first and the last", made)
	}
	if _, made = e.doMade(e.step(newest, "", click(c, 10), click(a, 2))); made[0] || made[1] {
		e.Fatalf("made %v of lanes that are known", made)
	}
}

func lanesAreApart(e *env) {
	a, b := freshClient(), freshClient()
	other := freshTopic()
	e.do(e.step(e.read(), "x", state.Move{Client: a, To: state.Lane{Last: 3, From: 2, Refused: []byte("2")}}))
	for _, topic := range []string{other, e.topic + "x", e.topic[:len(e.topic)-1]} {
		e.wantLanes(e.peekAt(e.store, topic, a, b), state.Lane{}, state.Lane{})
	}
	step := state.Step{Topic: other, Base: e.readAt(e.store, other)[0], Moves: []state.Move{click(b, 1), click(a, 1)}}
	if o := e.commit(step)[0]; o.Err != nil || !o.Made[0] || !o.Made[1] {
		e.Fatalf("got %+v, want two lanes on the other topic", o)
	}
	e.wantLanes(e.peek(a, b), state.Lane{Last: 3, From: 2, Refused: []byte("2")}, state.Lane{})
	e.wantLanes(e.peekAt(e.store, other, a, b), lane(1), lane(1))
}

func refusalMakesVersion(e *env) {
	a, b := freshClient(), freshClient()
	base := e.do(e.step(e.read(), "5", click(a, 1)))
	refusal := state.Move{Client: b, To: state.Lane{Last: 1, From: 1, Refused: []byte("1=too much")}}
	newest := e.do(e.step(base, "", refusal))
	if !newest.Newer(base) {
		e.Fatalf("got %s after a refusal, want newer than %s", show(newest), show(base))
	}
	// Another replica has seen the op, too, on the same record, and would do it.
	e.conflict(e.step(base, "6", click(b, 1)), newest, state.Lane{Last: 1, From: 1, Refused: []byte("1=too much")})
}

func peeking(e *env) {
	c, unknown := freshClient(), freshClient()
	newest := e.do(e.step(e.read(), "x", jump(c, 4)))
	for _, move := range []state.Move{
		{Min: 1, Max: 0, To: state.Lane{Last: 1, From: 1}}, {Min: 5, Max: 3, To: state.Lane{Last: 9, From: 9}},
		{Min: state.MaxSeq, Max: 4, To: lane(5)}, {Min: math.MaxUint64, Max: 4, To: lane(5)}, {Min: math.MaxInt64, To: lane(5)},
	} {
		for _, base := range []state.Record{newest, {}} {
			moves := []state.Move{move, move}
			moves[0].Client, moves[1].Client = c, unknown
			e.conflict(e.step(base, "y", moves...), newest, lane(4), state.Lane{})
		}
	}
	if o := e.commit(e.step(newest, "", click(unknown, 1)))[0]; o.Err != nil || !o.Made[0] || bytes.Equal(o.Record.Data, []byte("y")) {
		e.Fatalf("got %+v, want a lane that was not there", o)
	}
}
