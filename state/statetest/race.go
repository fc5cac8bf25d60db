package statetest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"lockstep/state"
)

// raceCases are about calls of different kinds that meet.
func raceCases() []testCase {
	return []testCase{
		{name: "a topic that many make at once is made by one", run: madeAtOnce},
		{name: "the lanes of a conflict are not newer than its record", run: lanesOfRecord},
		{name: "a mark that meets moves sets no lane back, and marks none that went on", run: marksMeetMoves},
		{name: "Entries that meets commits returns entries with their numbers", run: entriesMeetCommits},
		{name: "lanes that are made anew by many while old ones are deleted stay", run: anewAtOnce, lacks: lacksShift},
		{name: "closing while others commit loses nothing that was acknowledged", run: closeMeetsCommits, lacks: lacksReopen},
	}
}

// madeAtOnce makes many topics, each by many.
func madeAtOnce(e *env) {
	handles := e.handles()
	topics := topicsOf(8)
	none := e.readAt(e.store, topics...)
	made := make([]atomic.Int64, len(topics))
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			steps := make([]state.Step, len(topics))
			for n := range steps {
				steps[n] = state.Step{Topic: topics[n], Base: none[n], Data: fmt.Appendf(nil, "of %d", i), Moves: []state.Move{click(freshClient(), 1)}}
			}
			for n, o := range handles[i%len(handles)].Commit(e.ctx, steps...) {
				switch {
				case o.Err == nil:
					made[n].Add(1)
				case !conflicts(o):
					e.Error(o.Err)
				case !o.Record.Newer(none[n]) || len(o.Record.Data) == 0 || o.Lanes[0].Last != 0:
					e.Errorf("a conflict was answered with %s and %s", show(o.Record), showLanes(o.Lanes))
				}
			}
		})
	}
	wg.Wait()
	for n := range made {
		if got := made[n].Load(); got != 1 {
			e.Errorf("topic %d was made %d times, want once", n, got)
		}
	}
}

// lanesOfRecord has clients write their seqs into the data, and compares them
// with the lanes in all answers. A caller takes what is in a lane for done, and
// shows the record: an op that is in the lane only would be answered before it
// is seen.
func lanesOfRecord(e *env) {
	handles := e.handles()
	clients := freshClients(8)
	var writing, reading sync.WaitGroup
	var over atomic.Bool
	for _, s := range handles {
		reading.Go(func() {
			for !over.Load() {
				o := s.Commit(e.ctx, state.Step{Topic: e.topic, Moves: peeks(clients)})[0]
				if wrong := newerLanes(o, o.Record, o.Lanes); wrong != "" {
					e.Error(wrong)
					return
				}
			}
		})
	}
	for i := range clients {
		writing.Go(func() {
			if wrong := writeSeqs(e.ctx, handles[i%len(handles)], e.topic, clients, i); wrong != "" {
				e.Error(wrong)
			}
		})
	}
	writing.Wait()
	over.Store(true)
	reading.Wait()
	want := slices.Repeat([]state.Lane{lane(opsPerWriter)}, len(clients))
	e.wantLanes(e.peek(clients...), want...)
}

// writeSeqs is one client of lanesOfRecord.
func writeSeqs(ctx context.Context, s state.Store, topic string, clients []state.Client, i int) string {
	var base state.Record
	for seq := uint64(1); seq <= opsPerWriter; {
		seqs := seqsOf(base, len(clients))
		seqs[i] = seq
		step := state.Step{Topic: topic, Base: base, Data: []byte(strings.Trim(fmt.Sprint(seqs), "[]")), Moves: []state.Move{click(clients[i], seq)}}
		o := s.Commit(ctx, step)[0]
		if o.Err == nil {
			base = state.Record{Epoch: o.Record.Epoch, Version: o.Record.Version, Data: step.Data}
			seq++
			continue
		}
		if !o.Record.Same(base) {
			base = o.Record
		}
		lanes := make([]state.Lane, len(clients))
		if conflicts(o) {
			lanes[i] = o.Lanes[0]
		}
		if wrong := newerLanes(o, base, lanes); wrong != "" {
			return wrong
		}
	}
	return ""
}

// newerLanes returns what is wrong with a conflict whose lanes are newer than
// its record, or "".
func newerLanes(o state.Outcome, record state.Record, lanes []state.Lane) string {
	if !conflicts(o) {
		return fmt.Sprintf("got %v, want a conflict", o.Err)
	}
	for i, seq := range seqsOf(record, len(lanes)) {
		if lanes[i].Last > seq {
			return fmt.Sprintf("lane %d is at %d in the answer that has %s", i, lanes[i].Last, show(record))
		}
	}
	return ""
}

// seqsOf reads what clients of lanesOfRecord wrote.
func seqsOf(r state.Record, n int) []uint64 {
	seqs := make([]uint64, n)
	for i, field := range strings.Fields(string(r.Data)) {
		seqs[i], _ = strconv.ParseUint(field, 10, 64) // written by writeSeqs
	}
	return seqs
}

func marksMeetMoves(e *env) {
	handles := e.handles()
	clients := freshClients(4)
	last := make([]atomic.Uint64, len(clients)) // acknowledged
	var writing, marking sync.WaitGroup
	var over atomic.Bool
	for i, s := range handles {
		marking.Go(func() {
			for n := i; !over.Load(); n++ {
				at := n % len(clients)
				// What was acknowledged last, perhaps while the next is on its way.
				mark := state.Mark{Topic: e.topic, Client: clients[at], UpTo: min(last[at].Load(), opsPerWriter-1)}
				if err := s.Finish(e.ctx, mark); err != nil {
					e.Error(err)
					return
				}
			}
		})
	}
	for i := range clients {
		writing.Go(func() {
			c := &clicker{client: clients[i], note: func(state.Record) {}}
			for range opsPerWriter {
				if err := c.click(e.ctx, handles[i%len(handles)], e.topic, noErrors); err != nil {
					e.Error(err)
					return
				}
				last[i].Store(c.seq)
			}
		})
	}
	writing.Wait()
	over.Store(true)
	marking.Wait()
	want := slices.Repeat([]state.Lane{lane(opsPerWriter)}, len(clients))
	e.wantLanes(e.peek(clients...), want...)
	if e.opts.Shift == nil {
		return
	}
	e.watch(e.opts.DoneLifetime).pass(3*stepsOfLifetime, nil)
	e.wantLanes(e.peek(clients...), want...)
}

func entriesMeetCommits(e *env) {
	handles := e.handles()
	const keep, rounds = 5, 60
	var over atomic.Bool
	var reading sync.WaitGroup
	for _, s := range handles {
		reading.Go(func() {
			for after := uint64(0); !over.Load(); {
				first, entries, err := s.Entries(e.ctx, e.topic, after, 3)
				if err != nil || first <= after {
					e.Errorf("Entries behind %d: %d, %v", after, first, err)
					return
				}
				for i, entry := range entries {
					if want := fmt.Sprint(first + uint64(i)); string(entry) != want {
						e.Errorf("entry %q has the number %s", entry, want)
						return
					}
				}
				after = first - 1 + uint64(len(entries))
			}
		})
	}
	defer reading.Wait() // whatever fails
	defer over.Store(true)
	newest := e.read()
	for n := 1; n <= rounds; n += 3 {
		newest = e.appendLog(newest, keep, fmt.Sprint(n), fmt.Sprint(n+1), fmt.Sprint(n+2))
	}
	e.wantLog(0, 1, rounds-keep+1, fmt.Sprint(rounds-keep+1))
}

func anewAtOnce(e *env) {
	handles := e.handles()
	const groups = 4
	clients := freshClients(groups * state.MaxMoves)
	w := e.watch(e.opts.DoneLifetime)
	e.moveAll(clients, lane(9), true)
	e.finishAll(clients, 9)
	w.pass(3*stepsOfLifetime+1, nil)
	var wg sync.WaitGroup
	for part := range slices.Chunk(clients, state.MaxMoves/4) {
		wg.Go(func() {
			var base state.Record
			for {
				step := e.step(base, "anew")
				for _, c := range part {
					step.Moves = append(step.Moves, click(c, 1))
				}
				o := handles[int(part[0][0])%len(handles)].Commit(e.ctx, step)[0]
				if base = o.Record; o.Err == nil {
					return
				} else if !conflicts(o) {
					e.Error(o.Err)
					return
				}
			}
		})
	}
	wg.Wait()
	w.pass(3*stepsOfLifetime, nil)
	e.moveAll(clients, lane(2), false)
}

// finishAll marks many lanes.
func (e *env) finishAll(clients []state.Client, upTo uint64) {
	e.Helper()
	for part := range slices.Chunk(clients, state.MaxRead) {
		marks := make([]state.Mark, len(part))
		for i, c := range part {
			marks[i] = state.Mark{Topic: e.topic, Client: c, UpTo: upTo}
		}
		if err := e.store.Finish(e.ctx, marks...); err != nil {
			e.Fatalf("Finish: %v", err)
		}
	}
}

func closeMeetsCommits(e *env) {
	seen := newHistory()
	clickers := make([]*clicker, people)
	var acked atomic.Int64
	wake := make(chan struct{}, 1)
	var clicking sync.WaitGroup
	s := e.store
	for i := range clickers {
		clickers[i] = newClicker(seen)
		clicking.Go(func() {
			for clickers[i].click(e.ctx, s, e.topic, noErrors) == nil {
				acked.Add(1)
				select {
				case wake <- struct{}{}:
				default:
				}
			}
		})
	}
	e.await(wake, &acked, between)
	if err := s.Close(); err != nil {
		e.Errorf("Close: %v", err)
	}
	clicking.Wait()
	e.reopen()
	for _, c := range clickers {
		// The op that failed was done or not.
		l := e.peek(c.client)[0]
		if l.Last != c.seq && l.Last != c.seq-1 {
			e.Fatalf("got lane %s, want %d or the one before", showLanes([]state.Lane{l}), c.seq)
		}
		if l.Last == c.seq {
			c.sum += c.amount
		} else {
			c.seq--
		}
	}
	seen.check(e)
	e.wantSum(clickers)
}
