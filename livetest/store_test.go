package livetest_test

import (
	"context"
	"sync/atomic"

	"lockstep/state"
	"lockstep/state/memstate"
)

// A countingStore counts the marks of lanes that are done.
type countingStore struct {
	state.Store
	marks atomic.Int64
}

func (s *countingStore) init() *countingStore {
	s.Store = memstate.New(nil)
	return s
}

// Finish implements state.Store.
func (s *countingStore) Finish(ctx context.Context, marks ...state.Mark) error {
	s.marks.Add(int64(len(marks)))
	return s.Store.Finish(ctx, marks...)
}
