package statetest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"lockstep/state"
)

// lifeCases say what survives, and how calls and stores end.
func lifeCases() []testCase {
	return []testCase{
		{name: "a call whose context has ended fails and does nothing", run: cancelled},
		{name: "a call that is cancelled on its way is done or not, and its retry counts once", run: cancelledOnTheWay},
		{name: "closing twice is harmless, and calls after it fail", run: closed},
		{name: "what a store has returned stays as it is, whatever is committed later", run: returnedStays},
		{name: "all is kept over a restart", run: reopened, lacks: lacksReopen},
		{name: "another replica sees what was committed, at once", run: seenElsewhere, lacks: lacksSecond},
	}
}

func cancelled(e *env) {
	c := freshClient()
	newest := e.do(e.step(e.read(), "x", click(c, 1)))
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	step := e.step(newest, "y", click(c, 2))
	step.Log = [][]byte{[]byte("entry")}
	if o := e.store.Commit(ctx, step); len(o) != 1 || !errors.Is(o[0].Err, context.Canceled) {
		e.Fatalf("Commit with a cancelled context: got %+v, want the context's error", o)
	}
	if _, err := e.store.Read(ctx, e.topic); !errors.Is(err, context.Canceled) {
		e.Fatalf("Read with a cancelled context: got %v, want the context's error", err)
	}
	if _, _, err := e.store.Entries(ctx, e.topic, 0, 1); !errors.Is(err, context.Canceled) {
		e.Fatalf("Entries with a cancelled context: got %v, want the context's error", err)
	}
	if err := e.store.Finish(ctx, state.Mark{Topic: e.topic, Client: c, UpTo: 1}); !errors.Is(err, context.Canceled) {
		e.Fatalf("Finish with a cancelled context: got %v, want the context's error", err)
	}
	e.wantRecord(e.read(), newest)
	e.wantLanes(e.peek(c), lane(1))
	e.do(step)
}

// cancelledOnTheWay ends calls at random moments. It is the answer that is
// lost, or the question: nobody knows.
func cancelledOnTheWay(e *env) {
	handles := e.handles()
	usual := 2*e.usual(handles) + 2*time.Microsecond
	seen := newHistory()
	c := newClicker(seen)
	lost := 0
	for i := range 150 {
		ctx, cancel := context.WithTimeout(e.ctx, rand.N(usual))
		err := c.click(ctx, handles[i%len(handles)], e.topic, func(error) (context.Context, error) {
			cancel()
			lost++
			ctx, cancel = e.ctx, func() {}
			if lost%3 == 0 { // the retry, too
				ctx, cancel = context.WithTimeout(e.ctx, rand.N(usual))
			}
			return ctx, e.ctx.Err()
		})
		cancel()
		if err != nil {
			e.Fatal(err)
		}
	}
	e.Logf("%d calls were cancelled, and %d of them were done", lost, c.found)
	seen.check(e)
	e.wantSum([]*clicker{c})
}

// usual is about how long a commit takes.
func (e *env) usual(handles []state.Store) time.Duration {
	e.Helper()
	best := time.Hour
	for i := range 10 {
		c := newClicker(newHistory())
		began := time.Now()
		if err := c.click(e.ctx, handles[i%len(handles)], freshTopic(), noErrors); err != nil {
			e.Fatal(err)
		}
		best = min(best, time.Since(began))
	}
	return best
}

func closed(e *env) {
	c := freshClient()
	step := e.step(e.do(e.step(e.read(), "x", click(c, 1))), "y", click(c, 2))
	for i := range 2 {
		if err := closeInTime(e.store); err != nil {
			e.Errorf("Close number %d: %v", i+1, err)
		}
	}
	if o := e.store.Commit(e.ctx, step); len(o) != 1 || o[0].Err == nil || conflicts(o[0]) || errors.Is(o[0].Err, state.ErrBadStep) {
		e.Errorf("Commit after Close: got %+v, want an error that is not of the step", o)
	}
	if _, err := e.store.Read(e.ctx, e.topic); err == nil {
		e.Error("Read after Close succeeds")
	}
	if _, _, err := e.store.Entries(e.ctx, e.topic, 0, 1); err == nil {
		e.Error("Entries after Close succeeds")
	}
	if err := e.store.Finish(e.ctx, state.Mark{Topic: e.topic, Client: c, UpTo: 1}); err == nil {
		e.Error("Finish after Close succeeds")
	}
}

// returnedStays holds what calls returned while the store grows and changes.
func returnedStays(e *env) {
	c := freshClient()
	refused := big(1000)
	step := e.step(e.read(), "", state.Move{Client: c, To: state.Lane{Last: 1, From: 1, Refused: refused}})
	step.Data, step.Log = big(5000), [][]byte{big(100), big(3000), big(200)}
	newest := e.do(step)
	record, lanes := e.read(), e.peek(c)
	conflict := e.commit(e.step(state.Record{}, "x", click(c, 1)))[0]
	_, entries, err := e.store.Entries(e.ctx, e.topic, 0, 9)
	if err != nil {
		e.Fatal(err)
	}
	for seq := range uint64(20) {
		step := e.step(newest, "", state.Move{Client: c, Min: seq + 1, Max: seq + 1, Was: refused, To: state.Lane{Last: seq + 2, From: 1, Refused: []byte("no")}})
		refused = step.Moves[0].To.Refused
		step.Data, step.Log, step.Keep = bytes.Repeat([]byte{byte(seq)}, 5000+int(seq)*10_000), [][]byte{big(3000)}, 2
		newest = e.do(step)
	}
	if !bytes.Equal(record.Data, big(5000)) || !bytes.Equal(conflict.Record.Data, big(5000)) {
		e.Error("the data of a record have changed")
	}
	if len(entries) != 3 || !bytes.Equal(entries[0], big(100)) || !bytes.Equal(entries[1], big(3000)) {
		e.Error("log entries have changed")
	}
	want := state.Lane{Last: 1, From: 1, Refused: big(1000)}
	if !sameLane(lanes[0], want) || !sameLane(conflict.Lanes[0], want) {
		e.Error("a lane has changed")
	}
}

func reopened(e *env) {
	moved, refused, finished := freshClient(), freshClient(), freshClient()
	step := e.step(e.read(), "data", jump(moved, 4),
		state.Move{Client: refused, To: state.Lane{Last: 3, From: 2, Refused: []byte("2=no")}}, click(finished, 1))
	step.Log, step.Keep = [][]byte{[]byte("1"), []byte("2"), []byte("3")}, 2
	before := e.do(step)
	e.finish(finished, 1)
	want := []state.Lane{lane(4), {Last: 3, From: 2, Refused: []byte("2=no")}, lane(1)}
	for range 3 {
		e.reopen()
		// A store that can't tell a restart from a restored copy begins a new
		// epoch each time; never an older one. The version goes on.
		after := e.read()
		if after.Epoch < before.Epoch || after.Version != before.Version || string(after.Data) != string(before.Data) {
			e.Fatalf("got %s after a restart, before it was %s", show(after), show(before))
		}
		e.wantLanes(e.peek(moved, refused, finished), want...)
		e.wantLog(0, 9, 2, "2", "3")
		e.conflict(step, after, want...)
		if after.Epoch != before.Epoch {
			e.conflict(e.step(before, "late", click(moved, 5)), after, lane(4))
		}
		if unused := e.readAt(e.store, freshTopic())[0]; unused.Version != 0 || unused.Epoch == 0 || len(unused.Data) != 0 {
			e.Fatalf("got %s of a topic that was never written", show(unused))
		}
		before = after
	}
	newest := e.appendLog(before, 0, "4")
	e.wantLog(0, 9, 2, "2", "3", "4")
	if !newest.Newer(before) || newest.Version <= before.Version {
		e.Fatalf("got %s after %s", show(newest), show(before))
	}
}

func seenElsewhere(e *env) {
	c := freshClient()
	second := e.second()
	newest := e.readAt(second, e.topic)[0]
	for seq := uint64(1); seq <= 10; seq++ {
		step := e.step(newest, "x", click(c, seq))
		step.Data, step.Log = big(int(seq)*100), [][]byte{big(int(seq))}
		newest = e.do(step)
		e.wantRecord(e.readAt(second, e.topic)[0], newest)
		e.wantLanes(e.peekAt(second, e.topic, c), lane(seq))
		if first, entries := e.entriesAt(second, e.topic, seq-1, 9); first != seq || len(entries) != 1 {
			e.Fatalf("got log %d %q elsewhere", first, entries)
		}
		again := step
		again.Base = newest
		e.wantConflict(&again, e.commitTo(second, again)[0], newest, lane(seq))
	}
	if err := second.Close(); err != nil {
		e.Errorf("Close: %v", err)
	}
}
