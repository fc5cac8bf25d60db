package state_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/state"
)

// heardFrom returns the options of a replica whose commits another hears, after a
// while, if to is not nil then.
func heardFrom(name string, late time.Duration, to func() *state.Batcher, all *sync.WaitGroup) *state.BatcherOptions {
	return &state.BatcherOptions{Committed: func(c state.Commit) {
		all.Go(func() {
			time.Sleep(late)
			to().Heard(c.Topic, name, c.Record)
		})
	}}
}

func TestAnOpIsComputedFromWhatAnotherReplicaWasHeardToCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		var all sync.WaitGroup
		var one, two *state.Batcher
		one = newBatcher(t, s, heardFrom("one", time.Millisecond, func() *state.Batcher { return two }, &all))
		two = newBatcher(t, s, heardFrom("two", time.Millisecond, func() *state.Batcher { return one }, &all))
		records, err := s.Read(t.Context(), "tally:a")
		if err != nil {
			t.Fatal(err)
		}
		const n = 10
		for _, b := range []*state.Batcher{one, two} {
			b.Learn("tally:a", records[0]) // as by a page that shows it
		}
		for i := range n {
			wantAnswer(t, apply(t, []*state.Batcher{one, two}[i%2], "tally:a", newTab().op("add", "by", "1")), state.Ack, "", false)
			all.Wait()
		}
		if calls := one.Stats().Calls + two.Stats().Calls; calls != n {
			t.Errorf("got %d calls of the store for %d ops, want one each", calls, n)
		}
		wantTally(t, s, "tally:a", n)
	})
}

// TestWhatIsHeardOfAnotherStoreIsNotBelieved: each op would cost a conflict.
func TestWhatIsHeardOfAnotherStoreIsNotBelieved(t *testing.T) {
	s := newMapStore()
	b := newBatcher(t, s, nil)
	op := func() {
		t.Helper()
		wantAnswer(t, apply(t, b, "tally:a", newTab().op("add", "by", "1")), state.Ack, "", false)
	}
	lie := state.Record{Data: []byte(`1 {"N":666}`)}
	b.Heard("tally:a", "liar", lie) // of a topic that the store has said nothing of
	op()
	calls := b.Stats().Calls
	for _, at := range []state.Record{{Epoch: 8, Version: 1}, {Epoch: 6, Version: 100}, {Epoch: 0, Version: 100}, {Epoch: 7, Version: 1}} {
		lie.Epoch, lie.Version = at.Epoch, at.Version
		b.Heard("tally:a", "liar", lie)
		op()
	}
	if got := b.Stats().Calls - calls; got != 4 {
		t.Errorf("got %d calls of the store for 4 ops, want no conflict", got)
	}
	// Only the order is known, and the record is far ahead.
	b.Heard("tally:a", "other", state.Record{Epoch: 7, Version: 1 << 40})
	op()
	if got := b.Stats().Calls - calls; got != 5 {
		t.Errorf("got %d calls of the store for 5 ops, want no conflict", got)
	}
	lie.Epoch, lie.Version = 7, 1<<40
	b.Heard("tally:a", "liar", lie)
	op() // one conflict, and then it is known
	op()
	if got := b.Stats().Calls - calls; got != 8 {
		t.Errorf("got %d calls of the store for 7 ops, want one conflict", got)
	}
	wantTally(t, s, "tally:a", 8)
}

// lead is how long a busy replica waits between two commits. hear is called before
// each of its ops, and while the first commit's others go first.
func lead(t *testing.T, hear, meanwhile func(b *state.Batcher)) time.Duration {
	t.Helper()
	s := newMapStore()
	s.delay = 2 * time.Millisecond
	b := newBatcher(t, s, nil)
	wantAnswer(t, apply(t, b, "tally:a", newTab().op("add", "by", "1")), state.Ack, "", false)
	hear(b)
	wantAnswer(t, apply(t, b, "tally:a", newTab().op("add", "by", "1")), state.Ack, "", false)
	began := time.Now()
	meanwhile(b)
	wantAnswer(t, apply(t, b, "tally:a", newTab().op("add", "by", "1")), state.Ack, "", false)
	return time.Since(began) - s.delay
}

func TestTheWinnerLetsOthersGoFirst(t *testing.T) {
	thirty := make([]string, 30)
	for i := range thirty {
		thirty[i] = fmt.Sprint(i)
	}
	for name, c := range map[string]struct {
		before    []string      // who was heard before the commit
		silence   time.Duration // and for how long nobody then
		meanwhile []string      // who was heard after it
		want      time.Duration
	}{
		"nobody":                       {nil, 0, nil, 0},
		"one":                          {[]string{"x"}, 0, nil, 3 * time.Millisecond},
		"two":                          {[]string{"x", "y"}, 0, nil, 6 * time.Millisecond},
		"one, many times":              {[]string{"x", "x", "x"}, 0, nil, 3 * time.Millisecond},
		"one that has no name":         {[]string{""}, 0, nil, 0},
		"one with too long a one":      {[]string{fmt.Sprintf("%065d", 1)}, 0, nil, 0},
		"one that is silent":           {[]string{"x"}, 21 * time.Millisecond, nil, 0},
		"one that was before long":     {[]string{"x"}, 17 * time.Millisecond, nil, 3 * time.Millisecond},
		"as many as are counted":       {thirty[:16], 0, nil, 48 * time.Millisecond},
		"more than are counted":        {thirty, 0, nil, 48 * time.Millisecond},
		"many, within two rounds":      {thirty, 60 * time.Millisecond, nil, 48 * time.Millisecond},
		"one that has gone":            {[]string{"x"}, 0, []string{"x"}, 0},
		"two of whom one has gone":     {[]string{"x", "y"}, 0, []string{"x", "x"}, 6 * time.Millisecond},
		"two that have gone":           {[]string{"x", "y"}, 0, []string{"y", "x"}, 0},
		"one, and a newcomer has gone": {[]string{"x"}, 0, []string{"y"}, 3 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hear := func(all []string) func(b *state.Batcher) {
					return func(b *state.Batcher) {
						for _, replica := range all {
							time.Sleep(time.Nanosecond)
							b.Heard("tally:a", replica, state.Record{Epoch: 7})
						}
					}
				}
				got := lead(t, func(b *state.Batcher) { hear(c.before)(b); time.Sleep(c.silence) }, hear(c.meanwhile))
				if got = got.Truncate(time.Microsecond); got != c.want {
					t.Errorf("waited %v, want %v", got, c.want)
				}
			})
		})
	}
}

// TestReplicasTakeTurns: three replicas that have much to commit to one topic.
func TestReplicasTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		s.delay = 2 * time.Millisecond
		const replicas, tabs, each = 3, 8, 40
		var all, broker sync.WaitGroup
		b := make([]*state.Batcher, replicas)
		for i := range b {
			b[i] = newBatcher(t, s, &state.BatcherOptions{Committed: func(c state.Commit) {
				broker.Go(func() {
					time.Sleep(time.Millisecond / 5)
					for j := range b {
						if j != i {
							b[j].Heard(c.Topic, fmt.Sprint(i), c.Record)
						}
					}
				})
			}})
		}
		for i := range b {
			for range tabs {
				all.Go(func() {
					one := newTab()
					for range each {
						if a, err := b[i].Apply(context.Background(), nil, "tally:a", one.op("add", "by", "1")); err != nil || a.Verdict != state.Ack {
							t.Errorf("got %v, %v", a, err)
						}
						one.from = one.seq + 1
					}
				})
			}
		}
		all.Wait()
		broker.Wait()
		var calls, commits uint64
		for i := range b {
			calls, commits = calls+b[i].Stats().Calls, commits+b[i].Stats().Commits
		}
		if calls > commits*5/4 {
			t.Errorf("got %d calls for %d commits, want that nearly all hold at the first try", calls, commits)
		}
		wantTally(t, s, "tally:a", replicas*tabs*each)
	})
}
