package statetest

import (
	"context"
	"fmt"
	"testing"

	"lockstep/state"
)

// Benchmark measures what a replica does all the time: commits of 1 to 256
// moves on one topic, one move on each of 64 topics, and Read for one topic, as
// a page reads it, and for 256, as a replica does every 2 s to find what no
// broadcast brought.
func Benchmark(b *testing.B, s state.Store) {
	for _, moves := range []int{1, 8, 64, state.MaxMoves} {
		b.Run(fmt.Sprintf("Commit/moves=%d", moves), func(b *testing.B) { benchmarkCommit(b, s, 1, moves) })
	}
	b.Run(fmt.Sprintf("Commit/topics=%d", state.MaxSteps), func(b *testing.B) { benchmarkCommit(b, s, state.MaxSteps, 1) })
	for _, n := range []int{1, state.MaxRead} {
		b.Run(fmt.Sprintf("Read/%d", n), func(b *testing.B) { benchmarkRead(b, s, n) })
	}
}

// benchmarkCommit commits steps, of which all hold. The clients change from
// time to time, as visitors do.
func benchmarkCommit(b *testing.B, s state.Store, topics, moves int) {
	steps := make([]state.Step, topics)
	for i, topic := range topicsOf(topics) {
		steps[i] = state.Step{Topic: topic, Data: []byte("1234567"), Moves: make([]state.Move, moves)}
	}
	for i, o := range s.Commit(b.Context(), peeksOf(steps)...) {
		steps[i].Base = o.Record
	}
	const opsOfClient = 10
	for n := uint64(0); b.Loop(); n++ {
		for i := range steps {
			for j := range steps[i].Moves {
				m := &steps[i].Moves[j]
				if n%opsOfClient == 0 {
					m.Client = freshClient()
				}
				*m = click(m.Client, n%opsOfClient+1)
			}
		}
		for i, o := range s.Commit(b.Context(), steps...) {
			if o.Err != nil {
				b.Fatal(o.Err)
			}
			steps[i].Base = o.Record
		}
	}
	b.ReportMetric(float64(topics*moves*b.N)/b.Elapsed().Seconds(), "ops/s")
}

// peeksOf returns steps that read the records of the topics of others.
func peeksOf(steps []state.Step) []state.Step {
	p := make([]state.Step, len(steps))
	for i := range p {
		p[i] = state.Step{Topic: steps[i].Topic, Moves: peeks([]state.Client{{}})}
	}
	return p
}

func benchmarkRead(b *testing.B, s state.Store, n int) {
	topics := topicsOf(n)
	for i := range topics {
		records, err := s.Read(b.Context(), topics[i])
		if err != nil {
			b.Fatal(err)
		}
		step := state.Step{Topic: topics[i], Base: records[0], Data: []byte("1234567"), Moves: []state.Move{click(freshClient(), 1)}}
		if o := s.Commit(b.Context(), step)[0]; o.Err != nil {
			b.Fatal(o.Err)
		}
	}
	for b.Loop() {
		if _, err := s.Read(b.Context(), topics...); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkList measures what a change of a list costs, as a batcher commits it: the store is
// given the whole list each time. It reports the bytes that go to the store and, as a change,
// to the broker.
func BenchmarkList(b *testing.B, s state.Store) {
	for _, items := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("items=%d", items), func(b *testing.B) { benchmarkList(b, s, items) })
	}
}

// A task is an item of about 60 bytes.
type task struct {
	Text string
	Done bool
}

func tasks(items int) state.Kind[state.List[task]] {
	type list = state.List[task]
	return state.Kind[list]{Name: "tasks", MaxData: state.MaxData - 32, Actions: map[string]state.Action[list]{
		"fill": func(l list, _ state.Fields, _ state.Call) (_ list, err error) {
			for i := range items {
				if l, err = l.Append(fmt.Sprintf("task-%d", i), task{Text: "what there is to do until this evening"}); err != nil {
					return l, err
				}
			}
			return l, nil
		},
		"toggle": func(l list, in state.Fields, _ state.Call) (list, error) {
			t, _ := l.Get(in.Get("id"))
			t.Done = !t.Done
			return l.Set(in.Get("id"), t)
		},
	}}
}

func benchmarkList(b *testing.B, s state.Store, items int) {
	data, change := 0, 0
	batcher := state.NewBatcher(s, &state.BatcherOptions{Committed: func(c state.Commit) { data, change = len(c.Data), len(c.Change) }}, tasks(items))
	defer func() { _ = batcher.Close(context.Background()) }()
	topic, client, seq := "tasks:"+freshTopic(), freshClient(), uint64(0)
	do := func(action, id string) {
		seq++
		op := state.Op{Client: client, Seq: seq, From: seq, Do: action, In: state.Fields{"id": {id}}}
		if a, err := batcher.Apply(b.Context(), nil, topic, op); err != nil || a.Verdict != state.Ack {
			b.Fatal(a, err)
		}
	}
	do("fill", "")
	for b.Loop() {
		do("toggle", fmt.Sprintf("task-%d", seq%uint64(items)))
	}
	b.ReportMetric(float64(data), "B-stored/op")
	b.ReportMetric(float64(change), "B-change/op")
}
