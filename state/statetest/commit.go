package statetest

import (
	"errors"
	"math"

	"lockstep/state"
)

// commitCases say what a step does, and when it conflicts.
func commitCases() []testCase {
	return []testCase{
		{name: "the first commit of a topic is on the record that Read returns", run: firstCommit},
		{name: "a commit on anything but the newest record conflicts, and is answered with it", run: compareAndSet},
		{name: "the zero record is not the newest, even of a topic that was never written", run: zeroBase},
		{name: "a step without data leaves the data, and makes a version", run: dataStays},
		{name: "a conflict by a move alone has no data in its answer", run: conflictOfMove},
		{name: "a conflict has the lanes of all its moves in their order", run: conflictLanes},
		{name: "a step that conflicts does nothing: no data, no log, no lane, no topic", run: conflictDoesNothing},
		{name: "the version counts commits and not ops, and grows with each", run: versionsGrow},
		{name: "what a caller does with its bytes after a call is its own affair", run: bytesAreCopied},
		{name: "a commit of nothing has no outcomes", run: noSteps},
	}
}

func firstCommit(e *env) {
	base := e.read()
	if base.Version != 0 || base.Epoch == 0 || len(base.Data) != 0 {
		e.Fatalf("got %s of a topic that was never written, want nothing but an epoch", show(base))
	}
	c := freshClient()
	got, made := e.doMade(e.step(base, "first", click(c, 1)))
	if got.Epoch != base.Epoch || got.Version == 0 || !made[0] {
		e.Fatalf("got %s, made %v, want the epoch %d and a lane", show(got), made, base.Epoch)
	}
	e.wantRecord(e.read(), got)
	e.wantLanes(e.peek(c), lane(1))
}

func compareAndSet(e *env) {
	c := freshClient()
	none := e.read()
	one := e.do(e.step(none, "one", click(c, 1)))
	two := e.do(e.step(one, "two", click(c, 2)))
	for _, base := range []state.Record{
		none, one, {Epoch: two.Epoch, Version: two.Version + 1}, {Epoch: two.Epoch + 1, Version: two.Version},
		{Epoch: two.Epoch - 1, Version: two.Version}, {Version: two.Version}, {Epoch: two.Epoch}, {Epoch: two.Epoch + 1},
		// A base may come from a broadcast, and a broadcast from anybody.
		{Epoch: two.Epoch, Version: math.MaxUint64}, {Epoch: math.MaxUint64, Version: two.Version}, {Epoch: 1 << 63, Version: 1 << 63},
		{Epoch: two.Epoch, Version: two.Version + 1<<53}, {Epoch: two.Epoch, Version: two.Version + 1<<32}, {Epoch: two.Epoch + 1<<32, Version: two.Version},
	} {
		e.conflict(e.step(base, "three", click(c, 3)), two, lane(2))
	}
	two.Data = []byte("is not looked at")
	e.do(e.step(two, "three", click(c, 3)))
}

func zeroBase(e *env) {
	c := freshClient()
	e.conflict(e.step(state.Record{}, "x", click(c, 1)), e.read(), state.Lane{})
}

func dataStays(e *env) {
	c := freshClient()
	none := e.read()
	unwritten := e.do(e.step(none, "", click(c, 1)))
	e.wantRecord(e.read(), unwritten)
	written := e.do(e.step(unwritten, "kept", click(c, 2)))
	stays := e.do(e.step(written, "", click(c, 3)))
	e.wantRecord(e.read(), stays)
	if string(stays.Data) != "kept" || !stays.Newer(written) {
		e.Fatalf("got %s, want newer than %s with its data", show(stays), show(written))
	}
	e.conflict(e.step(written, "late", click(c, 4)), stays, lane(3))
}

func conflictOfMove(e *env) {
	c := freshClient()
	newest := e.do(e.step(e.read(), "data", click(c, 1)))
	e.conflict(e.step(newest, "again", click(c, 1)), newest, lane(1))
}

func conflictLanes(e *env) {
	clients := freshClients(4)
	base := e.read()
	newest := e.do(e.step(base, "x", click(clients[2], 1), jump(clients[0], 7)))
	moves := []state.Move{click(clients[3], 1), click(clients[0], 8), click(clients[1], 1), click(clients[2], 2)}
	want := []state.Lane{{}, lane(7), {}, lane(1)}
	e.conflict(e.step(base, "y", moves...), newest, want...)
	moves[1] = click(clients[0], 7) // does not hold
	e.conflict(e.step(newest, "y", moves...), newest, want...)
}

func conflictDoesNothing(e *env) {
	known, other := freshClient(), freshClient()
	step := e.step(state.Record{}, "x", click(known, 1))
	step.Log = [][]byte{[]byte("entry")}
	none := e.read()
	e.conflict(step, none, state.Lane{})
	newest := e.do(e.step(none, "data", click(known, 1)))
	// The move that does not hold is the last: those before it are not made.
	step = e.step(newest, "x", click(other, 1), click(known, 1))
	step.Log = [][]byte{[]byte("entry")}
	e.conflict(step, newest, state.Lane{}, lane(1))
	e.wantLanes(e.peek(other, known), state.Lane{}, lane(1))
	if first, entries := e.entries(0, 9); first != 1 || len(entries) != 0 {
		e.Fatalf("got log %d %q, want an empty one", first, entries)
	}
}

func versionsGrow(e *env) {
	clients := freshClients(5)
	last := e.read()
	for seq := range uint64(20) {
		moves := make([]state.Move, len(clients))
		for i, c := range clients {
			moves[i] = click(c, seq+1)
		}
		next := e.do(e.step(last, "x", moves...))
		if !next.Newer(last) {
			e.Fatalf("got %s after %s", show(next), show(last))
		}
		e.wantRecord(e.read(), next)
		last = next
	}
}

func bytesAreCopied(e *env) {
	c := freshClient()
	step := e.step(e.read(), "data", click(c, 1))
	step.Moves[0].To.Refused = []byte("refused")
	step.Log = [][]byte{[]byte("entry")}
	newest := e.do(step)
	newest.Data = []byte("data")
	for _, b := range [][]byte{step.Data, step.Log[0], step.Moves[0].To.Refused} {
		clear(b)
	}
	step.Log[0] = nil
	e.wantRecord(e.read(), newest)
	e.wantLanes(e.peek(c), state.Lane{Last: 1, From: 1, Refused: []byte("refused")})
	if _, entries := e.entries(0, 9); len(entries) != 1 || entries[0] != "entry" {
		e.Fatalf("got log %q, want one entry", entries)
	}
}

func noSteps(e *env) {
	if got := e.store.Commit(e.ctx); len(got) != 0 {
		e.Fatalf("got %v for no steps", got)
	}
	if err := e.store.Finish(e.ctx); err != nil && !errors.Is(err, state.ErrBadStep) {
		e.Fatalf("Finish of nothing: %v", err)
	}
}
