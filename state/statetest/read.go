package statetest

import (
	"errors"
	"fmt"

	"lockstep/state"
)

// readCases say what Read returns.
func readCases() []testCase {
	return []testCase{
		{name: "Read answers in the order of the topics, repeated and unknown ones too", run: readOrder},
		{name: "the most topics of a Read, and none", run: readMost},
		{name: "reading a topic makes nothing of it", run: readMakesNothing},
		{name: "a Read that is not valid fails", run: badReads},
	}
}

func readOrder(e *env) {
	topics := topicsOf(3)
	for i, topic := range topics[:2] {
		step := state.Step{Topic: topic, Base: e.readAt(e.store, topic)[0], Data: fmt.Appendf(nil, "data %d", i), Moves: []state.Move{click(freshClient(), 1)}}
		e.do(step)
	}
	records := e.readAt(e.store, topics[1], topics[2], topics[0], topics[1], topics[2], topics[1])
	for i, want := range []string{"data 1", "", "data 0", "data 1", "", "data 1"} {
		if string(records[i].Data) != want || (records[i].Version == 0) != (want == "") || records[i].Epoch == 0 {
			e.Errorf("topic %d: got %s, want %q", i, show(records[i]), want)
		}
	}
}

func readMost(e *env) {
	topics := topicsOf(state.MaxRead)
	for n := 0; n < len(topics); n += state.MaxSteps {
		part := topics[n : n+state.MaxSteps]
		steps := make([]state.Step, len(part))
		for i, record := range e.readAt(e.store, part...) {
			steps[i] = state.Step{Topic: part[i], Base: record, Data: []byte(part[i]), Moves: []state.Move{click(freshClient(), 1)}}
		}
		for i, o := range e.commit(steps...) {
			if o.Err != nil {
				e.Fatalf("step %d of %d: %v", i, len(steps), o.Err)
			}
		}
	}
	for i, record := range e.readAt(e.store, topics...) {
		if string(record.Data) != topics[i] {
			e.Fatalf("topic %d: got %s", i, show(record))
		}
	}
	if got := e.readAt(e.store); len(got) != 0 {
		e.Fatalf("got %v for no topics", got)
	}
}

func readMakesNothing(e *env) {
	c := freshClient()
	for range 3 {
		if got := e.read(); got.Version != 0 || len(got.Data) != 0 {
			e.Fatalf("got %s of a topic that was never written", show(got))
		}
		e.wantLanes(e.peek(c), state.Lane{})
		e.finish(c, 9)
		if first, entries := e.entries(0, 9); first != 1 || len(entries) != 0 {
			e.Fatalf("got log %d %q of a topic that was never written", first, entries)
		}
	}
	if _, made := e.doMade(e.step(e.read(), "x", click(c, 1))); !made[0] {
		e.Fatal("a lane was there that nobody made")
	}
}

func badReads(e *env) {
	if _, err := e.store.Read(e.ctx, append(topicsOf(state.MaxRead), e.topic)...); !errors.Is(err, state.ErrBadStep) {
		e.Errorf("Read of %d topics: got %v, want ErrBadStep", state.MaxRead+1, err)
	}
	marks := make([]state.Mark, state.MaxRead+1)
	for i := range marks {
		marks[i] = state.Mark{Topic: e.topic, Client: freshClient(), UpTo: 1}
	}
	if err := e.store.Finish(e.ctx, marks...); !errors.Is(err, state.ErrBadStep) {
		e.Errorf("Finish of %d marks: got %v, want ErrBadStep", len(marks), err)
	}
	if err := e.store.Finish(e.ctx, marks[1:]...); err != nil {
		e.Errorf("Finish of %d marks: %v", len(marks)-1, err)
	}
}
