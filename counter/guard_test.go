package counter_test

import (
	"context"
	"errors"
	"math"
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
			Applied: func(string, counter.Value, []any) { panic("sabotage") },
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

// A saboteur is a sender one of whose methods panics, as often as it is told to.
type saboteur struct {
	counter.Sender
	method string
	panics int
}

func (s *saboteur) fail(method string) {
	if method == s.method && s.panics > 0 {
		s.panics--
		panic("sabotage")
	}
}

// Share implements counter.Sender.
func (s *saboteur) Share() any {
	s.fail("Share")
	if s.method == "Share, incomparable" && s.panics > 0 {
		s.panics--
		return []int{1}
	}
	if s.method == "Share, not equal to itself" && s.panics > 0 {
		s.panics--
		return math.NaN()
	}
	return s.Sender.Share()
}

// TakeOp implements counter.Sender.
func (s *saboteur) TakeOp() bool { s.fail("TakeOp"); return s.Sender.TakeOp() }

// ReturnOp implements counter.Sender.
func (s *saboteur) ReturnOp() { s.fail("ReturnOp"); s.Sender.ReturnOp() }

// NewName implements counter.Sender.
func (s *saboteur) NewName() bool { s.fail("NewName"); return s.Sender.NewName() }

func TestASenderThatPanicsFailsAlone(t *testing.T) {
	for method, want := range map[string]error{
		"Share": counter.ErrOverloaded, "Share, incomparable": counter.ErrOverloaded, "Share, not equal to itself": counter.ErrOverloaded,
		"TakeOp": counter.ErrOverloaded, "NewName": counter.ErrOverloaded, "ReturnOp": nil,
	} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memcounter.New(nil)
				b := counter.NewBatcher(store, nil)
				bad := &saboteur{newSender("bad"), method, 1}
				add := func(from counter.Sender, i int) error {
					_, err := b.Apply(t.Context(), from, "a", op(i))
					return err
				}
				if err := add(bad, 0); !errors.Is(err, want) || errors.Is(err, counter.ErrSpent) {
					t.Errorf("got %v, want %v", err, want)
				}
				for i := range 2 { // the second is a repeated one: ReturnOp
					for j, from := range []counter.Sender{nil, newSender("good"), bad} {
						if err := add(from, 1+j); err != nil {
							t.Errorf("round %d, sender %d: %v", i, j, err)
						}
					}
				}
				if bad.panics != 0 {
					t.Error("it has not panicked")
				}
				if err := b.Close(t.Context()); err != nil {
					t.Error(err)
				}
				wantN := int64(3)
				if want == nil {
					wantN = 4
				}
				if got, err := store.Get(t.Context(), "a"); err != nil || got[0].N != wantN {
					t.Errorf("got %+v, %v; want %d", got, err, wantN)
				}
			})
		})
	}
}

func submit(b *counter.Batcher, name string, op counter.Op, done func(counter.Value, error)) {
	b.Submit(nil, name, op, done)
}
