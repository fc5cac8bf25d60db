package statetest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/state"
	"lockstep/state/memstate"
)

// A costlyStore takes its time, of which nothing is chance: so long for the way to it and back, and
// for each call and each step, one after the other if it is one that can do one thing at a time.
type costlyStore struct {
	state.Store
	way, call, step time.Duration
	turns           chan struct{} // nil: calls go side by side
}

// Commit implements state.Store.
func (s *costlyStore) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	time.Sleep(s.way)
	if s.turns != nil {
		s.turns <- struct{}{}
		defer func() { <-s.turns }()
	}
	time.Sleep(s.call + time.Duration(len(steps))*s.step)
	return s.Store.Commit(ctx, steps...)
}

// TestAnAddressWaitsForNoOther: whatever a store costs, a click takes five times as long at most
// while another address has clicks waiting for each of 900 topics.
func TestAnAddressWaitsForNoOther(t *testing.T) {
	const ms, us = time.Millisecond, time.Microsecond
	for name, c := range map[string]costlyStore{
		"a disk that each page costs": {call: ms, step: ms / 2, turns: make(chan struct{}, 1)},
		"a disk that each call costs": {call: 4 * ms, step: 40 * us, turns: make(chan struct{}, 1)},
		"one thread, near":            {way: 250 * us, step: 40 * us, turns: make(chan struct{}, 1)},
		"one thread, slow":            {way: 100 * us, step: 300 * us, turns: make(chan struct{}, 1)},
		"side by side":                {call: ms, step: 300 * us},
		"far":                         {way: 20 * ms, step: 100 * us},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := c
				s.Store = memstate.New(nil)
				if c.turns != nil {
					s.turns = make(chan struct{}, 1) // of this bubble
				}
				alone, flooded, rate := waits(t, &s, 50)
				if flooded > 5*alone {
					t.Errorf("a click takes %v, and %v when another address floods the store", alone, flooded)
				}
				t.Logf("alone %v, flooded %v; %.0f steps a second", alone, flooded, rate)
			})
		})
	}
}
