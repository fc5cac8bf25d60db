package state

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// What replicas say of topics that nobody uses here costs no memory, whatever it is.
func TestNothingIsKeptOfTopicsThatTheStoreHasSaidNothingOf(t *testing.T) {
	b := NewBatcher(nil, nil)
	for i := range 100 {
		b.Heard(fmt.Sprint("tally:", i), "other", Record{Epoch: uint64(i % 3), Version: 1, Data: []byte("1 {}")})
	}
	if n := len(b.warm.now) + len(b.warm.old); n != 0 {
		t.Errorf("got %d topics, want none", n)
	}
}

// A worker whose run was given up is looked at no more, and nothing looks at an idle
// batcher.
func TestNobodyLooksAtWhatWasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		defer close(end)
		b := NewBatcher(emptyStore{}, nil, Kind[int]{Name: "k", Actions: map[string]Action[int]{
			"hang": func(n int, _ Fields, _ Call) (int, error) { <-end; return n, nil },
		}})
		if _, err := b.Apply(t.Context(), nil, "k:a", Op{Client: Client{1}, Seq: 1, From: 1, Do: "hang"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * b.patrol)
		b.mu.Lock()
		if b.patrols || len(b.watches) != b.idle || b.idle > b.opts.Calls {
			t.Errorf("an idle batcher is looked at: %v; of %d watches %d are idle", b.patrols, len(b.watches), b.idle)
		}
		b.mu.Unlock()
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(b.watches) != 0 {
			t.Errorf("got %d watches", len(b.watches))
		}
	})
}

// An emptyStore says that nothing was written, and takes what comes.
type emptyStore struct{ Store }

func (emptyStore) Commit(_ context.Context, steps ...Step) []Outcome {
	all := make([]Outcome, len(steps))
	for i, s := range steps {
		all[i].Record.Epoch = 1
		if all[i].Made = make([]bool, len(s.Moves)); s.Base.Epoch == 0 {
			all[i].Err, all[i].Lanes = ErrConflict, make([]Lane, len(s.Moves))
		}
	}
	return all
}
