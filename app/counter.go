package app

import (
	"errors"
	"math"

	"lockstep/components"
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

// lookOfCounter is how a counter looks.
func lookOfCounter(name string, s shown[Count], waiting int) (string, live.Component) {
	p := counterProps(name, s, s.err == nil)
	p.Waiting = waiting
	return counterTarget, components.CounterView(p)
}

func counterProps(name string, s shown[Count], known bool) components.Counter {
	return components.Counter{
		Name: name, Topic: s.topic, N: int64(s.state), Epoch: s.Epoch, Version: s.Version, Known: known,
	}
}

// pageOfCounter is what a page of it shows.
func pageOfCounter(name string, s shown[Count], known bool) (Content, string) {
	props := counterProps(name, s, known)
	return counterContent{props}, props.Sum()
}

// A counterContent is what the page of one is about.
type counterContent struct{ counter components.Counter }

// Document implements Content.
func (c counterContent) Document(p components.Page) live.Component {
	return components.CounterPage(p, c.counter)
}

// Body implements Content.
func (c counterContent) Body(p components.Page) live.Component {
	return components.CounterBody(p, c.counter)
}
