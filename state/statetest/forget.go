package statetest

import (
	"math"
	"time"

	"lockstep/state"
)

// forgetCases say how long lanes are known.
func forgetCases() []testCase {
	return []testCase{
		{name: "a mark changes nothing but how long its lane is known", run: marksChangeNothing},
		{name: "a mark of a client that is not known makes no lane", run: markOfUnknown},
		{name: "a lane is known for a lifetime after its last move, and forgotten in time", run: lanesAreForgotten, lacks: lacksShift},
		{name: "a lane that is done is forgotten in time, and not before", run: doneLanesAreForgotten, lacks: lacksShift},
		{name: "a lane that is done long after its last move is forgotten in time", run: doneLate, lacks: lacksShift},
		{name: "a lane that is marked again is known for its time again", run: markedAgain, lacks: lacksShift},
		{name: "ages of a topic in constant use are not too short", run: busyTopics, lacks: lacksShift},
		{name: "a later move takes the mark back", run: moveTakesMarkBack, lacks: lacksShift},
		{name: "a mark below the last of a lane changes nothing", run: markBelowLast, lacks: lacksShift},
		{name: "a mark is of one client and one topic", run: marksAreApart, lacks: lacksShift},
		{name: "one call marks many lanes, each by itself", run: manyMarks, lacks: lacksShift},
		{name: "what was forgotten is made anew, and stays", run: forgottenIsMadeAnew, lacks: lacksShift},
		{name: "data, versions and logs stay when lanes are forgotten", run: dataOutliveLanes, lacks: lacksShift},
		{name: "lanes are forgotten over restarts, too", run: forgottenOverRestarts, lacks: lacksShiftOrReopen},
	}
}

func marksChangeNothing(e *env) {
	c := freshClient()
	want := state.Lane{Last: 5, From: 3, Refused: []byte("4=no")}
	step := e.step(e.read(), "data", state.Move{Client: c, To: want})
	newest := e.do(step)
	for _, upTo := range []uint64{0, 4, 5, 5, 6, state.MaxSeq, math.MaxInt64, math.MaxUint64} {
		e.finish(c, upTo)
		e.wantRecord(e.read(), newest)
		e.wantLanes(e.peek(c), want)
		e.conflict(step, newest, want)
		step.Base = newest
		e.conflict(step, newest, want)
		step.Base = state.Record{}
	}
	to := state.Lane{Last: 6, From: 3, Refused: []byte("4=no")}
	newest, made := e.doMade(e.step(newest, "more", state.Move{Client: c, Min: 5, Max: 5, Was: want.Refused, To: to}))
	if made[0] {
		e.Fatal("the lane was made anew after its mark")
	}
	e.finish(c, 6)
	e.do(e.step(newest, "more", state.Move{Client: c, Min: 6, Max: 6, Was: want.Refused, To: state.Lane{Last: 7, From: 1}}))
	e.wantLanes(e.peek(c), state.Lane{Last: 7, From: 3})
}

func markOfUnknown(e *env) {
	c := freshClient()
	newest := e.do(e.step(e.read(), "data", click(freshClient(), 1)))
	for _, upTo := range []uint64{0, 1, state.MaxSeq, math.MaxUint64} {
		e.finish(c, upTo)
		e.wantLanes(e.peek(c), state.Lane{})
	}
	e.wantRecord(e.read(), newest)
	if _, made := e.doMade(e.step(newest, "more", click(c, 1))); !made[0] {
		e.Fatal("a mark has made a lane")
	}
}

func lanesAreForgotten(e *env) {
	w := e.watch(e.opts.Lifetime)
	busy := w.add()
	n := 0
	w.pass(2*stepsOfLifetime, func() {
		w.add()
		if n++; n%12 == 0 { // a little before its lifetime ends
			w.move(busy)
		}
	})
	w.pass(3*stepsOfLifetime+1, nil)
	w.wantGone()
}

func doneLanesAreForgotten(e *env) {
	w := e.watch(e.opts.DoneLifetime)
	w.pass(2*stepsOfLifetime, func() {
		l := w.add()
		for range len(w.lanes)%3 + 1 { // repeated marks are as good as one
			e.finish(l.client, 7)
		}
	})
	w.pass(3*stepsOfLifetime+1, nil)
	w.wantGone()
}

// markedAgain marks lanes again a little before their time is over.
func markedAgain(e *env) {
	const again = stepsOfLifetime - 3
	w := e.watch(e.opts.DoneLifetime)
	n := 0
	w.pass(3*stepsOfLifetime, func() {
		for i, l := range w.lanes {
			if n%again == i%again {
				e.finish(l.client, 7)
				l.age = 0
			}
		}
		if n++; n <= again {
			e.finish(w.add().client, 7)
		}
	})
	w.pass(3*stepsOfLifetime+1, nil)
	w.wantGone()
}

// doneLate marks lanes of all ages that are known for certain.
func doneLate(e *env) {
	w := e.watch(e.opts.Lifetime)
	w.pass(stepsOfLifetime/2, nil) // so that generations change between
	w.pass(stepsOfLifetime, func() { w.add() })
	clients := make([]state.Client, len(w.lanes))
	for i, l := range w.lanes {
		clients[i] = l.client
	}
	e.finishAll(clients, 7)
	done := e.watch(e.opts.DoneLifetime)
	for _, l := range w.lanes {
		l.age = 0
	}
	done.lanes = w.lanes
	done.pass(3*stepsOfLifetime+1, nil)
	done.wantGone()
}

// busyTopics has steps that are much shorter than an age, so that each age
// begins when it is time.
func busyTopics(e *env) {
	for _, lifetime := range []time.Duration{e.opts.Lifetime, e.opts.DoneLifetime} {
		w := e.watch(lifetime)
		w.step = lifetime/70 + time.Millisecond
		for range 12 {
			if l := w.add(); lifetime == e.opts.DoneLifetime {
				e.finish(l.client, 7)
			}
			w.pass(1, nil)
		}
		w.pass(70, nil)
	}
}

// keep moves, or marks, a lane in a way that must keep it for its lifetime, and
// lets it pass through that of lanes that are done.
func (e *env) keep(how func(w *watch, l *watched)) {
	e.Helper()
	w := e.watch(e.opts.DoneLifetime)
	w.lifetime = e.opts.Lifetime
	w.pass(2*stepsOfLifetime, func() { how(w, w.add()) })
	w.pass(3*stepsOfLifetime+1, nil)
}

func moveTakesMarkBack(e *env) {
	e.keep(func(w *watch, l *watched) {
		e.finish(l.client, 7)
		w.move(l)
	})
}

func markBelowLast(e *env) {
	e.keep(func(_ *watch, l *watched) {
		e.finish(l.client, 6)
		e.finish(l.client, 0)
	})
}

func marksAreApart(e *env) {
	e.keep(func(_ *watch, l *watched) {
		e.finish(freshClient(), 7)
		if err := e.store.Finish(e.ctx, state.Mark{Topic: e.topic + "x", Client: l.client, UpTo: 7}); err != nil {
			e.Fatal(err)
		}
	})
}

func manyMarks(e *env) {
	w := e.watch(e.opts.DoneLifetime)
	w.lifetime = e.opts.Lifetime
	kept := w.add()
	marks := []state.Mark{{Topic: e.topic, Client: kept.client, UpTo: 6}, {Topic: freshTopic(), Client: kept.client, UpTo: 9}}
	var done []state.Client
	for range 40 {
		l := w.add()
		w.lanes = w.lanes[:1] // only kept is watched
		done = append(done, l.client)
		marks = append(marks, state.Mark{Topic: e.topic, Client: l.client, UpTo: 7}, state.Mark{Topic: e.topic, Client: freshClient(), UpTo: 7})
	}
	marks = append(marks, marks[2]) // twice
	if err := e.store.Finish(e.ctx, marks...); err != nil {
		e.Fatal(err)
	}
	for _, l := range e.peek(done...) {
		if l.Last != 7 {
			e.Fatalf("got lane %+v at once after its mark", l)
		}
	}
	w.pass(3*stepsOfLifetime+1, nil)
	e.wantLanes(e.peek(done...), make([]state.Lane, len(done))...)
}

// forgottenIsMadeAnew makes so many lanes that a store which deletes some at a
// time is not done when they are made anew.
func forgottenIsMadeAnew(e *env) {
	const rounds = 4
	w := e.watch(e.opts.DoneLifetime)
	clients := freshClients(rounds * state.MaxMoves)
	e.moveAll(clients, state.Lane{Last: 9, From: 5, Refused: []byte("6=no")}, true)
	e.finishAll(clients, 9)
	w.pass(3*stepsOfLifetime+1, nil)
	e.moveAll(clients, state.Lane{Last: 2, From: 1}, true)
	for range 4 * rounds { // what deletes lanes goes on
		w.walk()
	}
	w.pass(3*stepsOfLifetime, nil)
	e.moveAll(clients, state.Lane{Last: 3, From: 1}, false)
}

// moveAll moves the lanes of many clients, which are to be made.
func (e *env) moveAll(clients []state.Client, to state.Lane, made bool) {
	e.Helper()
	base := e.read()
	for len(clients) > 0 {
		moves := make([]state.Move, min(len(clients), state.MaxMoves))
		for i := range moves {
			moves[i] = state.Move{Client: clients[i], Max: to.Last - 1, To: to}
		}
		next, got := e.doMade(e.step(base, "", moves...))
		for i := range got {
			if got[i] != made {
				e.Fatalf("lane %d: made %v, want %v", i, got[i], made)
			}
		}
		for i, l := range e.peek(clients[:len(moves)]...) {
			if !sameLane(l, to) {
				e.Fatalf("lane %d: got %+v, want %+v", i, l, to)
			}
		}
		base, clients = next, clients[len(moves):]
	}
}

func dataOutliveLanes(e *env) {
	w := e.watch(e.opts.Lifetime)
	newest := e.appendLog(e.do(e.step(e.read(), "data", click(freshClient(), 1))), 0, "1", "2")
	w.add()
	w.pass(4*stepsOfLifetime, nil)
	w.wantGone()
	after := e.read()
	if !after.Newer(newest) || after.Epoch != newest.Epoch || string(after.Data) != "data" {
		e.Fatalf("got %s, after %s", show(after), show(newest))
	}
	e.wantLog(0, 9, 1, "1", "2")
}

func forgottenOverRestarts(e *env) {
	w := e.watch(e.opts.Lifetime)
	restart := func() {
		e.reopen()
		w.check()
	}
	w.pass(stepsOfLifetime, func() {
		w.add()
		restart()
	})
	w.pass(3*stepsOfLifetime+1, restart)
	w.wantGone()
}
