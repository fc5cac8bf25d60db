package counter_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/counter"
)

// A sender is a counter.Sender that may make so many counters.
type sender struct {
	name     string
	newNames atomic.Int64
	ops      atomic.Int64 // it may have remembered
}

// Share implements counter.Sender.
func (s *sender) Share() any { return s.name }

// TakeOp implements counter.Sender.
func (s *sender) TakeOp() bool { return s.ops.Add(-1) >= 0 }

// ReturnOp implements counter.Sender.
func (s *sender) ReturnOp() { s.ops.Add(1) }

// NewName implements counter.Sender.
func (s *sender) NewName() bool { return s.newNames.Add(-1) >= 0 }

// newSender returns a sender that may do what it likes.
func newSender(name string) *sender {
	s := &sender{name: name}
	s.newNames.Store(1 << 40)
	s.ops.Store(1 << 40)
	return s
}

func nameOf(i int) string { return fmt.Sprintf("n%d", i) }

// A serialStore does one call at a time, as a file does.
type serialStore struct {
	*fakeStore
	turn chan struct{}
}

func newSerialStore(delay time.Duration) *serialStore {
	return &serialStore{fakeStore: newFakeStore(delay), turn: make(chan struct{}, 1)}
}

// Apply implements counter.Store.
func (s *serialStore) Apply(ctx context.Context, name string, ops ...counter.Op) (counter.Value, []bool, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return counter.Value{}, nil, ctx.Err()
	}
	return s.fakeStore.Apply(ctx, name, ops...)
}

func TestASenderWithManyCountersDoesNotDelayOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const call = 4 * time.Millisecond
		b := counter.NewBatcher(newSerialStore(call), nil)
		hog, honest := newSender("hog"), newSender("honest")
		var hogs answers
		const counters = 900
		for i := range 5 * counters {
			b.Submit(hog, nameOf(i%counters), op(i), hogs.done(i))
		}
		for i := range 20 {
			start := time.Now()
			if _, err := b.Apply(t.Context(), honest, "lobby", op(10_000+i)); err != nil {
				t.Fatal(err)
			}
			// Four calls are under way, and one turn of the hog may come before.
			if took := time.Since(start); took > 6*call {
				t.Errorf("click %d took %v beside a sender with %d counters, want %v at most", i, took, counters, 6*call)
			}
		}
		closeAll(t, b)
		if got := len(hogs.all()); got != 5*counters {
			t.Errorf("got %d answers of the hog, want %d", got, 5*counters)
		}
	})
}

func TestAHotCounterIsSharedBySenders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const call = 4 * time.Millisecond
		b := counter.NewBatcher(newSerialStore(call), nil)
		hog, honest := newSender("hog"), newSender("honest")
		var hogs answers
		const n = 20 * counter.MaxOps
		for i := range n {
			b.Submit(hog, "lobby", op(i), hogs.done(i))
		}
		start := time.Now()
		if _, err := b.Apply(t.Context(), honest, "lobby", op(n)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 2*call {
			t.Errorf("took %v, want %v: the call under way and the next", took, 2*call)
		}
		closeAll(t, b)
		hogs.wantOrder(t, n)
	})
}

func TestCountersOfASenderTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const call = 4 * time.Millisecond
		b := counter.NewBatcher(newSerialStore(call), nil)
		x := newSender("x")
		var busy answers
		const n = 40 * counter.MaxOps
		for i := range n {
			b.Submit(x, nameOf(i%2), op(i), busy.done(i))
		}
		start := time.Now()
		if _, err := b.Apply(t.Context(), x, "lobby", op(n)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 4*call {
			t.Errorf("took %v behind two busy counters of the same sender, want %v at most", took, 4*call)
		}
		closeAll(t, b)
	})
}

func TestASenderHasSoManyOpsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeStore(time.Millisecond)
		b := counter.NewBatcher(s, &counter.BatcherOptions{Patience: time.Second})
		defer closeAll(t, b)
		x := newSender("x")
		x.ops.Store(3)
		want := func(i int, name string, want error) {
			t.Helper()
			if _, err := b.Apply(t.Context(), x, name, op(i)); !errors.Is(err, want) {
				t.Errorf("op %d: got %v, want %v", i, err, want)
			}
		}
		want(0, "a", nil)
		want(0, "a", nil) // again: nothing more to remember
		s.failNext(100)
		want(1, "a", counter.ErrUnavailable) // it is not remembered
		s.mu.Lock()
		s.failures = nil
		s.mu.Unlock()
		want(1, "a", nil)
		want(2, "A", counter.ErrBadName)
		x.newNames.Store(0)
		want(2, "b", counter.ErrNewName) // nor is this
		want(2, "a", nil)
		x.ops.Store(0)
		want(3, "a", counter.ErrSpent)
		want(3, "a", counter.ErrOverloaded) // which is one of these
		wantState(t, s, "a", 3, 3)
	})
}

func TestManySendersAtOneCounterGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeStore(time.Millisecond)
		b := counter.NewBatcher(s, nil)
		var a answers
		const senders = 4 * counter.MaxOps
		for i := range senders {
			b.Submit(newSender(nameOf(i)), "lobby", op(i), a.done(i))
			if i == 0 {
				synctest.Wait() // its call is under way
			}
		}
		closeAll(t, b)
		if got := len(s.seen()); got != 5 {
			t.Errorf("%d ops of as many senders took %d calls, want 5", senders, got)
		}
		if got := len(a.all()); got != senders {
			t.Errorf("got %d answers, want %d", got, senders)
		}
	})
}

func TestAppliedSaysOnWhoseBehalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got [][]any
		b := counter.NewBatcher(newFakeStore(time.Millisecond), &counter.BatcherOptions{
			Applied: func(_ string, _ counter.Value, from []any) { got = append(got, from) },
		})
		x, y := newSender("x"), newSender("y")
		for i, from := range []counter.Sender{x, x, y, nil, y} {
			b.Submit(from, "a", op(i), func(counter.Value, error) {})
			if i == 0 {
				synctest.Wait() // its call is under way
			}
		}
		closeAll(t, b)
		if len(got) != 2 || !slices.Equal(got[0], []any{"x"}) {
			t.Fatalf("got %v, want a call for x alone and one for all", got)
		}
		for _, share := range []any{"x", "y", nil} {
			if !slices.Contains(got[1], share) {
				t.Errorf("got %v, where %v is missing", got[1], share)
			}
		}
	})
}

func TestAFullQueueHasRoomForASenderWithLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := counter.NewBatcher(newFakeStore(time.Millisecond), &counter.BatcherOptions{MaxQueue: 1000})
		var a, refused answers
		for i := range 10_000 {
			b.Submit(newSender(nameOf(i%9)), nameOf(i%77), op(i), func(v counter.Value, err error) {
				if errors.Is(err, counter.ErrOverloaded) {
					refused.done(i)(v, nil)
					return
				}
				a.done(i)(v, err)
			})
		}
		if got := len(refused.all()); got < 9000 || got > 9200 {
			t.Errorf("got %d refusals of 10,000 that came at once, want nine tenths", got)
		}
		if _, err := b.Apply(t.Context(), newSender("late"), "lobby", op(10_001)); err != nil {
			t.Errorf("a sender with one op: %v", err)
		}
		closeAll(t, b)
		if got := len(a.all()) + len(refused.all()); got != 10_000 {
			t.Errorf("got %d answers, want 10,000", got)
		}
	})
}

func TestOpsBehindAStoreThatHangsAreAnsweredSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeStore(0)
		for i := range 900 {
			s.hang[nameOf(i)] = true
		}
		b := counter.NewBatcher(s, nil)
		var a answers
		start := time.Now()
		for i := range 900 {
			b.Submit(newSender("x"), nameOf(i), op(i), a.done(i))
		}
		closeAll(t, b)
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("took %v until all were answered", took)
		}
		for _, ans := range a.all() {
			if !errors.Is(ans.err, counter.ErrUnavailable) {
				t.Fatalf("got %v, want ErrUnavailable", ans.err)
			}
		}
		s.mu.Lock()
		clear(s.hang)
		s.mu.Unlock()
	})
}

func TestASlowCallIsNotAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeStore(time.Millisecond)
		s.hang["slow"] = true
		var mu sync.Mutex
		var faults []error
		b := counter.NewBatcher(s, &counter.BatcherOptions{Health: func(err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				faults = append(faults, err)
			}
		}})
		var slow answers
		b.Submit(nil, "slow", op(0), slow.done(0))
		for i := range 60 {
			time.Sleep(100 * time.Millisecond)
			if _, err := b.Apply(t.Context(), nil, "fast", op(i+1)); err != nil {
				t.Fatal(err)
			}
		}
		mu.Lock()
		if len(faults) > 0 {
			t.Errorf("got %v while other calls are answered, want nothing", faults)
		}
		mu.Unlock()
		closeAll(t, b)
	})
	synctest.Test(t, func(t *testing.T) {
		s := newFakeStore(0)
		s.hang["a"] = true
		var faults atomic.Int64
		b := counter.NewBatcher(s, &counter.BatcherOptions{Health: func(err error) {
			if errors.Is(err, context.DeadlineExceeded) {
				faults.Add(1)
			}
		}})
		_, _ = b.Apply(t.Context(), nil, "a", op(0)) // it fails
		if faults.Load() == 0 {
			t.Error("nothing is answered, and nothing said so")
		}
		closeAll(t, b)
	})
}

func TestNewCountersAreBounded(t *testing.T) {
	t.Run("a sender makes so many, and uses all that are there", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newFakeStore(time.Millisecond)
			b := counter.NewBatcher(s, nil)
			defer closeAll(t, b)
			if _, err := b.Apply(t.Context(), nil, "old", op(0)); err != nil {
				t.Fatal(err)
			}
			x := newSender("x")
			x.newNames.Store(2)
			for i, step := range []struct {
				name string
				want error
			}{{"a", nil}, {"a", nil}, {"b", nil}, {"c", counter.ErrNewName}, {"old", nil}, {"b", nil}, {"c", counter.ErrNewName}} {
				if _, err := b.Apply(t.Context(), x, step.name, op(i+1)); !errors.Is(err, step.want) {
					t.Errorf("step %d, %s: got %v, want %v", i, step.name, err, step.want)
				}
			}
			wantState(t, s, "c", 0, 0)
			wantState(t, s, "old", 2, 2)
		})
	})
	t.Run("one that another program has made is free", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newFakeStore(time.Millisecond)
			if _, _, err := s.Store.Apply(t.Context(), "theirs", op(0)); err != nil {
				t.Fatal(err)
			}
			b := counter.NewBatcher(s, nil)
			defer closeAll(t, b)
			if _, err := b.Apply(t.Context(), newSender("x"), "theirs", op(1)); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("one is counted once, though its call has to be repeated", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newFakeStore(time.Millisecond)
			b := counter.NewBatcher(s, &counter.BatcherOptions{Patience: time.Second})
			defer closeAll(t, b)
			x := newSender("x")
			x.newNames.Store(1)
			s.failNext(100)
			if _, err := b.Apply(t.Context(), x, "a", op(0)); !errors.Is(err, counter.ErrUnavailable) {
				t.Fatalf("got %v, want ErrUnavailable", err)
			}
			s.mu.Lock()
			s.failures = nil
			s.mu.Unlock()
			if _, err := b.Apply(t.Context(), x, "a", op(0)); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("who may not is refused, and who clicks there with somebody who may is not", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newFakeStore(time.Millisecond)
			b := counter.NewBatcher(s, &counter.BatcherOptions{Calls: 1})
			var a answers
			b.Submit(nil, "busy", op(0), a.done(0))
			synctest.Wait() // the others wait
			poor := newSender("poor")
			poor.newNames.Store(0)
			b.Submit(poor, "a", op(1), a.done(1))
			b.Submit(newSender("rich"), "a", op(2), a.done(2))
			b.Submit(newSender("third"), "a", op(3), a.done(3))
			closeAll(t, b)
			for _, ans := range a.all() {
				if want := ans.i == 1; errors.Is(ans.err, counter.ErrNewName) != want || !want && ans.err != nil {
					t.Errorf("op %d: got %v", ans.i, ans.err)
				}
			}
			wantState(t, s, "a", 2, 2)
		})
	})
}
