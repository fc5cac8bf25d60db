package counter_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/counter"
	"lockstep/counter/memcounter"
)

// sabotaged panics, or says too little, as often as it is told to.
type sabotaged struct {
	counter.Store
	panics, mute int
}

func (s *sabotaged) Apply(ctx context.Context, name string, ops ...counter.Op) (counter.Value, []bool, error) {
	if s.panics > 0 {
		s.panics--
		panic("sabotage")
	}
	v, applied, err := s.Store.Apply(ctx, name, ops...)
	if s.mute > 0 {
		s.mute--
		return v, nil, err
	}
	return v, applied, err
}

func TestNoCallbackOfABatcherStopsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &sabotaged{Store: memcounter.New(nil), panics: 2, mute: 2}
		var faults, answered atomic.Int64
		b := counter.NewBatcher(store, &counter.BatcherOptions{
			Applied: func(string, counter.Value) { panic("sabotage") },
			Health: func(err error) {
				if err != nil {
					faults.Add(1)
				}
				panic("sabotage")
			},
		})
		id := func(i int) string { return "an-op-of-sixteen-letters-" + string(rune('a'+i)) }
		for i := range 3 {
			submit(b, "a", counter.Op{ID: id(i), Kind: counter.Increment}, func(v counter.Value, err error) {
				answered.Add(1)
				if err != nil {
					t.Error(err)
				}
				panic("sabotage")
			})
		}
		time.Sleep(10 * time.Second)
		submit(b, "a", counter.Op{}, func(_ counter.Value, err error) {
			answered.Add(1)
			if !errors.Is(err, counter.ErrBadOp) {
				t.Errorf("got %v, want ErrBadOp", err)
			}
			panic("sabotage")
		})
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got, err := store.Get(t.Context(), "a"); err != nil || got[0].N != 3 || answered.Load() != 4 || faults.Load() != 4 {
			t.Errorf("got %+v, %v, %d answers and %d faults; want 3, 4 and 4", got, err, answered.Load(), faults.Load())
		}
	})
}

func submit(b *counter.Batcher, name string, op counter.Op, done func(counter.Value, error)) {
	b.Submit(nil, name, op, done)
}
