package app

import (
	"fmt"
	"strings"

	"lockstep/components"
	"lockstep/counter"
	"lockstep/htmx"
	"lockstep/live"
)

// Render is what a tab that renders itself shows of a topic: the state that it was
// sent, and the effect of its own clicks that wait for an answer. It is what
// the server would show (see renderCounter), made by the same component; what it
// makes never leaves the tab.
func Render(topic string, state []byte, waiting []htmx.Event) (target string, c live.Component, err error) {
	name, ok := strings.CutPrefix(topic, counterTopic(""))
	if !ok || !counter.ValidName(name) {
		return "", nil, fmt.Errorf("app: %q is not the topic of a counter", topic)
	}
	v, err := decodeCounter(state)
	if err != nil {
		return "", nil, fmt.Errorf("app: %w", err)
	}
	p := counterProps(name, v, true)
	for _, e := range waiting {
		kind, refusal := check(e.Action, e.Op, e.Age)
		if refusal != nil {
			continue // the server will say so
		}
		if n, err := counter.Step(p.N, counter.Op{ID: e.Op, Kind: kind}); err == nil {
			p.N, p.Waiting = n, p.Waiting+1
		}
	}
	return counterTarget, components.CounterView(p), nil
}
