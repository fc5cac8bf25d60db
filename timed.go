package lockstep

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"lockstep/histogram"
	"lockstep/state"
)

// StoreCalls are calls of one method of the store.
type StoreCalls struct {
	Method string           // commit, read, entries or finish
	Took   histogram.Counts // how long they have taken, also those that have failed
	Failed uint64           // how many have failed, conflicts not counted
}

// StoreCalls returns what was called of the store so far. Close is not among it. It may be called
// concurrently.
func (a *App) StoreCalls() []StoreCalls {
	s := a.store
	return []StoreCalls{
		s.commits.calls("commit"), s.reads.calls("read"), s.entries.calls("entries"), s.finishes.calls("finish"),
	}
}

// A timedStore is a store whose calls are counted.
type timedStore struct {
	state.Store
	commits, reads, entries, finishes timing
}

// A timing counts calls of one method.
type timing struct {
	took   histogram.Durations
	failed atomic.Uint64
}

func (t *timing) calls(method string) StoreCalls {
	return StoreCalls{method, t.took.Counts(), t.failed.Load()}
}

// ended counts a call. A call that was given up by its caller has not failed.
func (t *timing) ended(began time.Time, err error) {
	t.took.Since(began)
	if err != nil && !errors.Is(err, context.Canceled) {
		t.failed.Add(1)
	}
}

// Commit implements state.Store.
func (s *timedStore) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	began := time.Now()
	outcomes := s.Store.Commit(ctx, steps...)
	s.commits.ended(began, state.Failure(outcomes))
	return outcomes
}

// Read implements state.Store.
func (s *timedStore) Read(ctx context.Context, topics ...string) (records []state.Record, err error) {
	began := time.Now()
	records, err = s.Store.Read(ctx, topics...)
	s.reads.ended(began, err)
	return records, err
}

// Entries implements state.Store.
func (s *timedStore) Entries(ctx context.Context, topic string, after uint64, most int) (first uint64, entries [][]byte, err error) {
	began := time.Now()
	first, entries, err = s.Store.Entries(ctx, topic, after, most)
	s.entries.ended(began, err)
	return first, entries, err
}

// Finish implements state.Store.
func (s *timedStore) Finish(ctx context.Context, marks ...state.Mark) error {
	began := time.Now()
	err := s.Store.Finish(ctx, marks...)
	s.finishes.ended(began, err)
	return err
}
