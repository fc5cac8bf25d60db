package faults

import (
	"context"

	"lockstep/state"
)

// Store returns the store of the replica that runs, or is about to be started. It is not the
// replica's to close.
func (r *Replica) Store(s state.Store) state.Store { return &store{s, r, r.current()} }

// A store is that of a replica: what is left of one that was killed reaches nothing by it.
type store struct {
	state.Store
	r    *Replica
	life *life
}

// Commit implements state.Store.
func (s *store) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	if err := s.r.wait(ctx, s.life); err != nil {
		return state.Failed(len(steps), err)
	}
	all := s.Store.Commit(ctx, steps...)
	// It has happened; but who was killed meanwhile does not hear of it.
	if err := s.r.wait(context.WithoutCancel(ctx), s.life); err != nil {
		return state.Failed(len(steps), err)
	}
	return all
}

// Read implements state.Store.
func (s *store) Read(ctx context.Context, topics ...string) ([]state.Record, error) {
	if err := s.r.wait(ctx, s.life); err != nil {
		return nil, err
	}
	return s.Store.Read(ctx, topics...)
}

// Entries implements state.Store.
func (s *store) Entries(ctx context.Context, topic string, after uint64, most int) (uint64, [][]byte, error) {
	if err := s.r.wait(ctx, s.life); err != nil {
		return 0, nil, err
	}
	return s.Store.Entries(ctx, topic, after, most)
}

// Finish implements state.Store.
func (s *store) Finish(ctx context.Context, marks ...state.Mark) error {
	if err := s.r.wait(ctx, s.life); err != nil {
		return err
	}
	return s.Store.Finish(ctx, marks...)
}

// Close implements state.Store: the store is not the replica's.
func (*store) Close() error { return nil }
