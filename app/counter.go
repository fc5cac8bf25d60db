package app

import (
	"context"
	"errors"
	"math"

	"lockstep"
	"lockstep/app/pages"
	"lockstep/live"
	"lockstep/state"
)

// A Count is what a counter has.
type Count int64

var errLimit = errors.New("the count is at its limit")

// Counters is the kind of the demo's counters: a number for everybody.
func Counters() state.Kind[Count] {
	add := func(by Count) state.Action[Count] {
		return func(n Count, _ state.Fields, _ state.Call) (Count, error) {
			if by > 0 && n > math.MaxInt64-by || by < 0 && n < math.MinInt64-by {
				return n, errLimit
			}
			return n + by, nil
		}
	}
	return state.Kind[Count]{
		Name: "counter",
		Actions: map[string]state.Action[Count]{
			"increment": add(1),
			"decrement": add(-1),
			"reset":     func(Count, state.Fields, state.Call) (Count, error) { return 0, nil },
		},
	}
}

// FormerCounter is what becomes of a counter that an earlier version of the program has left in a
// store: its topic, and its state as the record has it.
func FormerCounter(name string, n int64) (topic string, data []byte) {
	counters := Counters()
	data, _ = counters.Write(Count(n)) // a number can be written
	return counters.Topic(name), data
}

// counterTarget is where a page has its counter.
const counterTarget = "#live"

// counters adds the kind.
func counters(a *lockstep.App) func(context.Context, string) (Content, string, error) {
	kind := lockstep.ShareWith(a, lockstep.SharedOptions[Count]{Kind: Counters(), ValidKey: ValidName, Look: lookOfCounter})
	return func(ctx context.Context, name string) (Content, string, error) {
		s, err := kind.Show(ctx, name)
		props := counterProps(s)
		return counterContent{props}, props.Sum(), err
	}
}

// lookOfCounter is how a counter looks.
func lookOfCounter(s lockstep.Shown[Count]) (string, lockstep.Component) {
	return counterTarget, pages.CounterView(counterProps(s))
}

func counterProps(s lockstep.Shown[Count]) pages.Counter {
	return pages.Counter{
		Name: s.Key, Topic: s.Topic, N: int64(s.State), Epoch: s.Epoch, Version: s.Version, Known: s.Known,
		Waiting: s.Waiting,
	}
}

// A counterContent is what the page of one is about.
type counterContent struct{ counter pages.Counter }

// Document implements Content.
func (c counterContent) Document(p pages.Page) live.Component {
	return pages.CounterPage(p, c.counter)
}

// Body implements Content.
func (c counterContent) Body(p pages.Page) live.Component {
	return pages.CounterBody(p, c.counter)
}
