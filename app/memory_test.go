package app_test

import (
	"fmt"
	"runtime"
	"testing"

	"lockstep/app"
	"lockstep/live/livetest"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
)

// BenchmarkWarmTopic says how much memory of a replica a topic takes that somebody
// has just clicked in and left: its room, which listens for a while, and what the
// next click is computed from. The memory of the store is not counted.
func BenchmarkWarmTopic(b *testing.B) {
	const n = 1000
	for b.Loop() {
		store := memstate.New(nil)
		fill(b, store, n)
		a := app.New(mempubsub.NewBus(), store, nil)
		if err := a.Start(b.Context()); err != nil {
			b.Fatal(err)
		}
		clickAndLeave(b, a, 0) // what is there once
		before := heap()
		for i := range n {
			clickAndLeave(b, a, i+1)
		}
		b.ReportMetric((heap()-before)/n, "B/topic")
		if err := a.Stop(b.Context(), 0); err != nil {
			b.Fatal(err)
		}
	}
}

func warmTopic(i int) string { return fmt.Sprintf("counter:warm-%d", i) }

// fill makes topics, and the lane of the one who clicks later, so that the store
// does not grow any more.
func fill(b *testing.B, store state.Store, n int) {
	batcher := state.NewBatcher(store, nil, app.Counters())
	for i := range n + 1 {
		op := state.Op{Client: state.Client{1}, Seq: 1, From: 1, Do: "increment"}
		if a, err := batcher.Apply(b.Context(), nil, warmTopic(i), op); err != nil || a.Verdict != state.Ack {
			b.Fatal(a, err)
		}
	}
	if err := batcher.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func clickAndLeave(b *testing.B, a *app.App, i int) {
	view, err := a.View(app.Visitor{}, warmTopic(i))
	if err != nil {
		b.Fatal(err)
	}
	tab := livetest.Open(forgetful{b}, a.Runtime(), view)
	op := state.Op{Client: state.Client{1}, Seq: 2, From: 2, Do: "increment"}
	if answer, err := a.Do(b.Context(), app.Visitor{}, warmTopic(i), op); err != nil || answer.Verdict != state.Ack {
		b.Fatal(answer, err)
	}
	tab.Disconnect()
}

// forgetful keeps no tabs until the end.
type forgetful struct{ testing.TB }

func (forgetful) Cleanup(func()) {}

// heap returns bytes in use.
func heap() float64 {
	runtime.GC()
	runtime.GC() // what pools hold lives for two
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse)
}
