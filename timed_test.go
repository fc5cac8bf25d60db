package lockstep_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"lockstep"
	"lockstep/pubsub/mempubsub"
	"lockstep/state"
	"lockstep/state/memstate"
)

// A slowStore takes its time, and fails once in each method.
type slowStore struct {
	state.Store
	commits int
}

var errSlow = errors.New("the store fails")

func (s *slowStore) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	time.Sleep(30 * time.Millisecond)
	if s.commits++; s.commits == 1 {
		return []state.Outcome{{Err: errSlow}}
	}
	return s.Store.Commit(ctx, steps...)
}

func (s *slowStore) Read(ctx context.Context, topics ...string) ([]state.Record, error) {
	time.Sleep(2 * time.Millisecond)
	return s.Store.Read(ctx, topics...)
}

func TestCallsOfTheStoreAreTimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slowStore{Store: memstate.New(nil)}
		one := open(t, mempubsub.NewBus(), store, nil)
		if err := one.hits.Do(t.Context(), "x", "hit", nil, lockstep.Doing{}); err != nil {
			t.Fatal(err)
		}
		if _, err := one.hits.Read(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		got := map[string]lockstep.StoreCalls{}
		for _, calls := range one.StoreCalls() {
			got[calls.Method] = calls
		}
		commit, read := got["commit"], got["read"]
		n := store.commits
		if n < 2 || commit.Took.Count != uint64(n) || commit.Failed != 1 || commit.Took.Sum != time.Duration(n)*30*time.Millisecond {
			t.Errorf("got %d commits in %s, %d failed; want %d of 30ms, 1 failed", commit.Took.Count, commit.Took.Sum, commit.Failed, n)
		}
		if n := int64(read.Took.Count); n == 0 || read.Failed != 0 || read.Took.Sum != time.Duration(n)*2*time.Millisecond {
			t.Errorf("got %d reads in %s, %d failed; want some of 2ms", read.Took.Count, read.Took.Sum, read.Failed)
		}
		if _, ok := one.Store().(*slowStore); !ok {
			t.Errorf("got %T for the store that the application was given", one.Store())
		}
	})
}
