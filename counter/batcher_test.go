package counter_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/counter"
	"lockstep/counter/memcounter"
)

var errAway = errors.New("the store is away")

// A fakeStore is a memcounter whose calls take a while and can fail.
type fakeStore struct {
	*memcounter.Store
	delay time.Duration // of each call

	mu       sync.Mutex      // guards the rest
	calls    [][]counter.Op  // of Apply, in order
	failures []func() error  // of the next calls, before they are applied
	lost     int             // how many calls are applied and then fail
	hang     map[string]bool // counters whose calls last until their context ends
	names    map[string]int  // calls of each counter
}

func newFakeStore(delay time.Duration) *fakeStore {
	return &fakeStore{Store: memcounter.New(nil), delay: delay, hang: make(map[string]bool), names: make(map[string]int)}
}

func (s *fakeStore) Apply(ctx context.Context, name string, ops ...counter.Op) (counter.Value, []bool, error) {
	s.mu.Lock()
	s.calls = append(s.calls, slices.Clone(ops))
	s.names[name]++
	var fail func() error
	if len(s.failures) > 0 {
		fail, s.failures = s.failures[0], s.failures[1:]
	}
	lost := s.lost > 0
	s.lost = max(s.lost-1, 0)
	hang := s.hang[name]
	s.mu.Unlock()

	if hang {
		<-ctx.Done()
		return counter.Value{}, nil, ctx.Err()
	}
	time.Sleep(s.delay)
	if fail != nil {
		return counter.Value{}, nil, fail()
	}
	v, applied, err := s.Store.Apply(ctx, name, ops...)
	if lost {
		return counter.Value{}, nil, errAway
	}
	return v, applied, err
}

// failNext makes the next n calls fail without being applied.
func (s *fakeStore) failNext(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.failures = append(s.failures, func() error { return errAway })
	}
}

// seen returns the ops of each call so far.
func (s *fakeStore) seen() [][]counter.Op {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func op(i int) counter.Op {
	return counter.Op{ID: fmt.Sprintf("op-%016d", i), Kind: counter.Increment}
}

// An answers is what done was called with, in order.
type answers struct {
	mu  sync.Mutex // guards got
	got []answer
}

type answer struct {
	i   int
	v   counter.Value
	err error
}

func (a *answers) done(i int) func(counter.Value, error) {
	return func(v counter.Value, err error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.got = append(a.got, answer{i, v, err})
	}
}

func (a *answers) all() []answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.got)
}

// wantOrder checks that ops 0 to n-1 were answered once and in order, without
// an error.
func (a *answers) wantOrder(t *testing.T, n int) {
	t.Helper()
	got := a.all()
	if len(got) != n {
		t.Fatalf("got %d answers, want %d", len(got), n)
	}
	for i, ans := range got {
		if ans.i != i || ans.err != nil {
			t.Fatalf("answer %d is of op %d with error %v", i, ans.i, ans.err)
		}
	}
}

func wantState(t *testing.T, s counter.Store, name string, n int64, version uint64) {
	t.Helper()
	values, err := s.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if values[0].N != n || values[0].Version != version {
		t.Errorf("the store has %d in version %d, want %d in %d", values[0].N, values[0].Version, n, version)
	}
}

// closeAll closes b without a limit of time.
func closeAll(t *testing.T, b *counter.Batcher) {
	t.Helper()
	if err := b.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestBatcherMerges(t *testing.T) {
	t.Run("an op of an idle counter is not delayed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newFakeStore(time.Millisecond)
			b := counter.NewBatcher(s, nil)
			defer closeAll(t, b)
			for i := range 3 {
				start := time.Now()
				v, err := b.Apply(t.Context(), nil, "a", op(i))
				if err != nil || v.N != int64(i+1) {
					t.Fatalf("got %+v, %v", v, err)
				}
				if took := time.Since(start); took != time.Millisecond {
					t.Errorf("took %v, the store takes 1 ms", took)
				}
			}
		})
	})
	t.Run("ops that wait go together into the next call", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newFakeStore(time.Millisecond)
			b := counter.NewBatcher(s, nil)
			var a answers
			for i := range 10 {
				b.Submit(nil, "a", op(i), a.done(i))
				if i == 0 {
					synctest.Wait() // its call is under way
				}
			}
			closeAll(t, b)
			a.wantOrder(t, 10)
			calls := s.seen()
			if len(calls) != 2 || len(calls[0]) != 1 || len(calls[1]) != 9 {
				t.Errorf("got %d calls, want one of 1 op and one of 9", len(calls))
			}
		})
	})
	t.Run("a call never has more than MaxOps", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newFakeStore(time.Millisecond)
			b := counter.NewBatcher(s, nil)
			var a answers
			const n = 3*counter.MaxOps + 7
			for i := range n {
				b.Submit(nil, "a", op(i), a.done(i))
			}
			closeAll(t, b)
			a.wantOrder(t, n)
			for _, ops := range s.seen() {
				if len(ops) > counter.MaxOps {
					t.Errorf("a call has %d ops", len(ops))
				}
			}
			wantState(t, s, "a", n, n)
		})
	})
	t.Run("many submitters share calls and lose nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newFakeStore(time.Millisecond)
			b := counter.NewBatcher(s, nil)
			var wg sync.WaitGroup
			for i := range 64 {
				wg.Go(func() {
					for j := range 20 {
						if _, err := b.Apply(t.Context(), nil, "a", op(i*20+j)); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			closeAll(t, b)
			wantState(t, s, "a", 64*20, 64*20)
			// A caller that is answered submits at once, so about 20 or 40 calls.
			if got := len(s.seen()); got > 50 {
				t.Errorf("%d ops took %d calls, want at most 50", 64*20, got)
			}
		})
	})
	t.Run("counters do not wait for each other", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newFakeStore(0)
			s.hang["stuck"] = true
			b := counter.NewBatcher(s, nil)
			var stuck answers
			b.Submit(nil, "stuck", op(0), stuck.done(0))
			start := time.Now()
			if _, err := b.Apply(t.Context(), nil, "free", op(1)); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took != 0 {
				t.Errorf("waited %v for the other counter", took)
			}
			closeAll(t, b)
			if got := stuck.all(); len(got) != 1 || !errors.Is(got[0].err, counter.ErrUnavailable) {
				t.Errorf("got %+v, want one ErrUnavailable", got)
			}
		})
	})
}

func TestBatcherTellsApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeStore(time.Millisecond)
		var mu sync.Mutex
		var events []string
		log := func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, fmt.Sprintf(format, args...))
		}
		b := counter.NewBatcher(s, &counter.BatcherOptions{Applied: func(name string, v counter.Value, _ []any) { log("%s=%d", name, v.N) }})
		for i := range 3 {
			b.Submit(nil, "a", op(i), func(v counter.Value, _ error) { log("done %d at %d", i, v.N) })
			if i == 0 {
				synctest.Wait()
			}
		}
		closeAll(t, b)
		want := []string{"a=1", "done 0 at 1", "a=3", "done 1 at 3", "done 2 at 3"}
		if !slices.Equal(events, want) {
			t.Errorf("got %q, want %q", events, want)
		}
	})
}

func TestBatcherSaysWhatHadBeenAppliedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeStore(time.Millisecond)
		b := counter.NewBatcher(s, nil)
		var wg sync.WaitGroup
		got := make([]bool, 4)
		for i, id := range []int{0, 1, 1, 2} { // the first alone, the others in one call
			wg.Go(func() {
				var err error
				if _, got[i], err = b.ApplyOnce(t.Context(), nil, "a", op(id)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if want := []bool{true, true, false, true}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if _, applied, err := b.ApplyOnce(t.Context(), nil, "a", op(0)); applied || err != nil {
			t.Errorf("got %v, %v for an op of an earlier call", applied, err)
		}
		closeAll(t, b)
		if _, applied, err := b.ApplyOnce(t.Context(), nil, "a", op(3)); applied || err == nil {
			t.Errorf("got %v, %v after Close", applied, err)
		}
	})
}

func TestBatcherRetries(t *testing.T) {
	t.Run("a call that fails is repeated with the same ops", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newFakeStore(time.Millisecond)
			b := counter.NewBatcher(s, nil)
			s.failNext(3)
			var a answers
			b.Submit(nil, "a", op(0), a.done(0))
			synctest.Wait() // its call is under way: the next wait until it has succeeded
			b.Submit(nil, "a", op(1), a.done(1))
			closeAll(t, b)
			a.wantOrder(t, 2)
			calls := s.seen()
			if len(calls) != 5 {
				t.Fatalf("got %d calls, want 4 for the first op and 1 for the second", len(calls))
			}
			for i, ops := range calls[:4] {
				if !slices.Equal(ops, []counter.Op{op(0)}) {
					t.Errorf("call %d: got %v", i, ops)
				}
			}
			wantState(t, s, "a", 2, 2)
		})
	})
	t.Run("ops whose answer was lost count once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newFakeStore(time.Millisecond)
			s.lost = 2
			b := counter.NewBatcher(s, nil)
			v, err := b.Apply(t.Context(), nil, "a", op(0))
			if err != nil || v.N != 1 || v.Version != 1 {
				t.Errorf("got %+v, %v, want 1 in version 1", v, err)
			}
			closeAll(t, b)
			wantState(t, s, "a", 1, 1)
		})
	})
	t.Run("a call that hangs is cut off and repeated", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newFakeStore(0)
			s.hang["a"] = true
			b := counter.NewBatcher(s, &counter.BatcherOptions{CallTimeout: time.Second, Patience: 10 * time.Second})
			time.AfterFunc(1500*time.Millisecond, func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.hang["a"] = false
			})
			if v, err := b.Apply(t.Context(), nil, "a", op(0)); err != nil || v.N != 1 {
				t.Errorf("got %+v, %v", v, err)
			}
			closeAll(t, b)
		})
	})
	t.Run("when patience is over the ops are refused with the cause", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newFakeStore(time.Millisecond)
			s.failNext(1000)
			b := counter.NewBatcher(s, &counter.BatcherOptions{Patience: 2 * time.Second, Applied: func(string, counter.Value, []any) {
				t.Error("Applied is called for a failure")
			}})
			start := time.Now()
			_, err := b.Apply(t.Context(), nil, "a", op(0))
			if !errors.Is(err, counter.ErrUnavailable) || !errors.Is(err, errAway) {
				t.Errorf("got %v, want ErrUnavailable with its cause", err)
			}
			if took := time.Since(start); took < time.Second || took > 2*time.Second+10*time.Millisecond {
				t.Errorf("took %v, want about 2 s at most", took)
			}
			if got := len(s.seen()); got > 60 {
				t.Errorf("%d calls within 2 s: there is no backoff", got)
			}
			closeAll(t, b)
		})
	})
	t.Run("patience is not spent again on each call that waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newFakeStore(time.Millisecond)
			s.failNext(1000)
			b := counter.NewBatcher(s, &counter.BatcherOptions{Patience: 2 * time.Second})
			var a answers
			const n = 5 * counter.MaxOps
			for i := range n {
				b.Submit(nil, "a", op(i), a.done(i))
			}
			start := time.Now()
			closeAll(t, b)
			if took := time.Since(start); took > 2*time.Second+10*time.Millisecond {
				t.Errorf("took %v for 5 calls, want about 2 s at most", took)
			}
			if got := len(a.all()); got != n {
				t.Errorf("got %d answers, want %d", got, n)
			}
		})
	})
	t.Run("a hanging store is bounded by patience too", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newFakeStore(0)
			s.hang["a"] = true
			b := counter.NewBatcher(s, &counter.BatcherOptions{Patience: 2 * time.Second, CallTimeout: 3 * time.Second})
			start := time.Now()
			if _, err := b.Apply(t.Context(), nil, "a", op(0)); !errors.Is(err, counter.ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("took %v, want 3 s at most", took)
			}
			closeAll(t, b)
		})
	})
}

func TestBatcherRefuses(t *testing.T) {
	t.Run("a name or an op that is not valid, at once", func(t *testing.T) {
		b := counter.NewBatcher(newFakeStore(0), nil)
		defer closeAll(t, b)
		if _, err := b.Apply(t.Context(), nil, "A", op(0)); !errors.Is(err, counter.ErrBadName) {
			t.Errorf("got %v, want ErrBadName", err)
		}
		if _, err := b.Apply(t.Context(), nil, "a", counter.Op{}); !errors.Is(err, counter.ErrBadOp) {
			t.Errorf("got %v, want ErrBadOp", err)
		}
	})
	t.Run("more than a sender's part of MaxQueue, at once, and nobody else's", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := counter.NewBatcher(newFakeStore(time.Millisecond), &counter.BatcherOptions{MaxQueue: 6})
			var a, refused answers
			b.Submit(nil, "a", op(0), a.done(0))
			synctest.Wait()
			for i := 1; i <= 3; i++ {
				b.Submit(nil, "a", op(i), a.done(i))
			}
			b.Submit(nil, "b", op(4), refused.done(4))
			if got := refused.all(); len(got) != 1 || !errors.Is(got[0].err, counter.ErrOverloaded) {
				t.Errorf("got %+v, want ErrOverloaded before Submit returned", got)
			}
			if _, err := b.Apply(t.Context(), newSender("other"), "b", op(5)); err != nil {
				t.Errorf("another sender: %v", err)
			}
			closeAll(t, b)
			a.wantOrder(t, 4)
		})
	})
	t.Run("the op that overflows and no other of its call", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newFakeStore(time.Millisecond)
			b := counter.NewBatcher(s, nil)
			if _, err := b.Apply(t.Context(), nil, "a", counter.Op{ID: "sixteen-or-longer", Kind: counter.Increment, Delta: math.MaxInt64 - 1}); err != nil {
				t.Fatal(err)
			}
			var a answers
			b.Submit(nil, "a", op(0), a.done(0))
			synctest.Wait()
			reset := op(3)
			reset.Kind = counter.Reset
			for i, o := range []counter.Op{op(1), op(2), reset, op(4)} {
				b.Submit(nil, "a", o, a.done(i+1))
			}
			closeAll(t, b)
			got := a.all()
			if len(got) != 5 {
				t.Fatalf("got %d answers, want 5", len(got))
			}
			for i, ans := range got {
				overflow := i == 1 || i == 2
				if ans.i != i || errors.Is(ans.err, counter.ErrOverflow) != overflow || !overflow && ans.err != nil {
					t.Errorf("answer %d: got %+v", i, ans)
				}
			}
			wantState(t, s, "a", 1, 4)
		})
	})
}

func TestBatcherRefusesTheRestOfASplitCallTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeStore(time.Millisecond)
		// The first op is alone; the others wait for it and go together.
		s.failures = append(s.failures, func() error { return nil }, func() error { return counter.ErrOverflow })
		s.failNext(1_000_000)
		const patience = time.Second
		b := counter.NewBatcher(s, &counter.BatcherOptions{Patience: patience})
		var a answers
		start := time.Now()
		for i := range 1 + counter.MaxOps {
			b.Submit(nil, "a", op(i), a.done(i))
			if i == 0 {
				synctest.Wait()
			}
		}
		closeAll(t, b)
		if took := time.Since(start); took > 2*patience {
			t.Errorf("the ops waited %v for a store that is away, patience is %v", took, patience)
		}
		got := a.all()
		if len(got) != 1+counter.MaxOps {
			t.Fatalf("got %d answers, want %d", len(got), 1+counter.MaxOps)
		}
		for i, ans := range got[1:] {
			if ans.i != i+1 || !errors.Is(ans.err, counter.ErrUnavailable) {
				t.Fatalf("answer %d is of op %d: %v", i+1, ans.i, ans.err)
			}
		}
	})
}

func TestBatcherClose(t *testing.T) {
	t.Run("waits for the ops it has, and takes no more", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newFakeStore(time.Second)
			b := counter.NewBatcher(s, nil)
			var a answers
			for i := range 3 {
				b.Submit(nil, "a", op(i), a.done(i))
			}
			closeAll(t, b)
			a.wantOrder(t, 3)
			closeAll(t, b)
			if _, err := b.Apply(t.Context(), nil, "a", op(9)); !errors.Is(err, counter.ErrBatcherClosed) {
				t.Errorf("got %v, want ErrBatcherClosed", err)
			}
		})
	})
	t.Run("gives up when its context ends, and every op is answered", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newFakeStore(0)
			s.hang["a"] = true
			b := counter.NewBatcher(s, &counter.BatcherOptions{Patience: time.Hour, CallTimeout: time.Minute})
			var a answers
			const n = 2*counter.MaxOps + 1
			for i := range n {
				b.Submit(nil, "a", op(i), a.done(i))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			start := time.Now()
			if err := b.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the context's error", err)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("took %v, its context ends after 1 s", took)
			}
			got := a.all()
			if len(got) != n {
				t.Fatalf("got %d answers, want %d", len(got), n)
			}
			for i, ans := range got {
				if ans.i != i || !errors.Is(ans.err, counter.ErrUnavailable) {
					t.Fatalf("answer %d is of op %d: %v", i, ans.i, ans.err)
				}
			}
			closeAll(t, b)
		})
	})
	t.Run("may be called by many at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := counter.NewBatcher(newFakeStore(time.Second), nil)
			var a answers
			b.Submit(nil, "a", op(0), a.done(0))
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() { closeAll(t, b) })
			}
			wg.Wait()
			a.wantOrder(t, 1)
		})
	})
}

func TestBatcherApplyReturnsWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeStore(time.Minute)
		b := counter.NewBatcher(s, &counter.BatcherOptions{CallTimeout: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Apply(ctx, nil, "a", op(0)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
		closeAll(t, b)
		wantState(t, s, "a", 1, 1) // the op had been taken
	})
}
