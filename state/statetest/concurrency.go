package statetest

import (
	"sync"
	"sync/atomic"

	"lockstep/state"
)

const (
	writers      = 16
	opsPerWriter = 20
)

// concurrencyCases say what holds while many use a topic at once.
func concurrencyCases() []testCase {
	return []testCase{
		{name: "a step sent by many at once is done once", run: onceAtOnce},
		{name: "writers at once lose no update, and a version has one state", run: noLostUpdate},
		{name: "writers of two replicas lose no update, and a version has one state", run: noLostUpdateOfTwo, lacks: lacksSecond},
		{name: "writers of overlapping topics in any order all get through", run: overlapping},
		{name: "lanes of many clients move at once, each in its order", run: manyMoves},
	}
}

// handles are the case's store and, where it can be, another on the same data.
func (e *env) handles() []state.Store {
	if e.opts.Second == nil {
		return []state.Store{e.store}
	}
	return []state.Store{e.store, e.second()}
}

func onceAtOnce(e *env) {
	handles := e.handles()
	c := freshClient()
	base := e.do(e.step(e.read(), "0", click(freshClient(), 1)))
	step := e.step(base, "7", jump(c, 1))
	var times atomic.Int64
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			o := handles[i%len(handles)].Commit(e.ctx, step)[0]
			switch {
			case o.Err == nil:
				times.Add(1)
			case !conflicts(o):
				e.Error(o.Err)
			case !o.Record.Newer(base) || string(o.Record.Data) != "7" || !sameLane(o.Lanes[0], lane(1)):
				e.Errorf("a conflict was answered with %s and %+v", show(o.Record), o.Lanes)
			}
		})
	}
	wg.Wait()
	if got := times.Load(); got != 1 {
		e.Errorf("a step was done %d times, want once", got)
	}
}

func noLostUpdate(e *env) { e.writeAtOnce(e.store) }

func noLostUpdateOfTwo(e *env) { e.writeAtOnce(e.store, e.second()) }

// writeAtOnce makes many clients change the topic through the handles, while
// others read it.
func (e *env) writeAtOnce(handles ...state.Store) {
	seen := newHistory()
	clickers := make([]*clicker, writers)
	var writing, reading sync.WaitGroup
	var over atomic.Bool
	for _, s := range handles {
		reading.Go(func() { e.readWhile(s, seen, &over) })
	}
	for i := range clickers {
		clickers[i] = newClicker(seen)
		writing.Go(func() {
			for range opsPerWriter {
				if err := clickers[i].click(e.ctx, handles[i%len(handles)], e.topic, noErrors); err != nil {
					e.Error(err)
					return
				}
			}
		})
	}
	writing.Wait()
	over.Store(true)
	reading.Wait()
	seen.check(e)
	e.wantSum(clickers)
}

// readWhile reads the topic until others are done with it. What it sees never
// goes backwards.
func (e *env) readWhile(s state.Store, seen *history, over *atomic.Bool) {
	var last state.Record
	for !over.Load() {
		records, err := s.Read(e.ctx, e.topic)
		switch {
		case err != nil:
			e.Error(err)
			return
		case last.Newer(records[0]):
			e.Errorf("Read returned %s after %s", show(records[0]), show(last))
			return
		}
		last = records[0]
		seen.note(last)
	}
}

// overlapping commits to the same topics in different orders: a store that
// locks them one after the other would stand still.
func overlapping(e *env) {
	handles := e.handles()
	topics := topicsOf(8)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			steps := make([]state.Step, len(topics))
			for n := range steps {
				steps[n] = state.Step{Topic: topics[(n*(1+2*(i%4))+i)%len(topics)], Moves: []state.Move{{Client: freshClient()}}}
			}
			for seq := range uint64(opsPerWriter) {
				if err := e.commitAll(handles[i%len(handles)], steps, seq+1); err != nil {
					e.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for i, record := range e.readAt(e.store, topics...) {
		if record.Version < writers*opsPerWriter {
			e.Errorf("topic %d: got %s, want %d commits", i, show(record), writers*opsPerWriter)
		}
	}
}

// commitAll commits steps until each was done once.
func (e *env) commitAll(s state.Store, steps []state.Step, seq uint64) error {
	for i := range steps {
		steps[i].Moves[0] = click(steps[i].Moves[0].Client, seq)
	}
	open := steps
	for len(open) > 0 {
		var again []state.Step
		for i, o := range s.Commit(e.ctx, open...) {
			switch {
			case o.Err == nil:
			case conflicts(o):
				open[i].Base = o.Record
				again = append(again, open[i])
			default:
				return o.Err
			}
		}
		open = again
	}
	return nil
}

func manyMoves(e *env) {
	handles := e.handles()
	const groups, clients, rounds = 4, 50, 10
	all := make([][]state.Client, groups)
	var wg sync.WaitGroup
	for g := range groups {
		all[g] = freshClients(clients)
		wg.Go(func() {
			var base state.Record
			for seq := uint64(1); seq <= rounds; {
				step := e.step(base, "x")
				for _, c := range all[g] {
					step.Moves = append(step.Moves, click(c, seq))
				}
				o := handles[g%len(handles)].Commit(e.ctx, step)[0]
				if base = o.Record; o.Err == nil {
					seq++
				} else if !conflicts(o) {
					e.Error(o.Err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, group := range all {
		for _, l := range e.peek(group...) {
			e.wantLanes([]state.Lane{l}, lane(rounds))
		}
	}
}
