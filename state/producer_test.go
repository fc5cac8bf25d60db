package state_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/state"
)

// words is what producers of the tests say, one after the other.
func words(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint("word ", i))
	}
	return all
}

func says(text string) state.Fields { return state.Fields{"text": {text}} }

func resume(t *testing.T, p *state.Producer) uint64 {
	t.Helper()
	n, err := p.Resume(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func killed() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// TestAProducerThatIsKilledLosesAndDoublesNothing: whenever that is, over a store that loses
// calls and answers or does them late, with several ops on their way.
func TestAProducerThatIsKilledLosesAndDoublesNothing(t *testing.T) {
	const n = 150
	kills := 0
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			s := newMapStore()
			s.delay, s.faults = time.Millisecond, true
			client := state.ProducerClient([]byte("0123456789abcdef"), "writer")
			all, runs := words(n), 0
			for done := false; !done; runs++ {
				if runs > 100 {
					s.faults = false // or it may be killed for ever
				}
				b := state.NewBatcher(s, &state.BatcherOptions{Patience: 200 * time.Millisecond}, chats())
				p := state.NewProducer(b, s, "chat:a", client, nil)
				from := resume(t, p)
				life, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(300))*time.Millisecond)
				if runs > 100 {
					life = t.Context()
				}
				for _, word := range all[from:] {
					if p.Send(life, "say", says(word), nil) != nil {
						break
					}
					if rng.IntN(3) == 0 {
						time.Sleep(time.Duration(rng.IntN(3)) * time.Millisecond)
					}
				}
				done = p.Close(life) == nil && life.Err() == nil
				cancel()
				_ = b.Close(killed())
			}
			time.Sleep(time.Second) // what is late in the store
			s.faults = false
			kills += runs - 1
			wantChat(t, s, all...)
		})
	}
	if kills < 30 {
		t.Errorf("it was killed %d times", kills)
	}
}

// TestWhatAFormerRunHasOnItsWayIsNotApplied though it comes after the next run was resumed: as when
// another program has sent it, and a replica holds it.
func TestWhatAFormerRunHasOnItsWayIsNotApplied(t *testing.T) {
	s := newMapStore()
	b := newChat(t, s, nil)
	late := &lateSubmitter{to: b, held: make(chan func(), 2)}
	client := state.ProducerClient([]byte("0123456789abcdef"), "writer")
	first := state.NewProducer(late, s, "chat:a", client, nil)
	if n := resume(t, first); n != 0 {
		t.Fatalf("got %d, want a new one", n)
	}
	if a, err := first.Do(t.Context(), "say", says("one")); err != nil || a.Verdict != state.Ack {
		t.Fatal(a, err)
	}
	late.holds.Store(true)
	answers := make(chan state.Answer, 2)
	for _, word := range []string{"two, as the first run says it", "three"} {
		if err := first.Send(t.Context(), "say", says(word), func(a state.Answer) { answers <- a }); err != nil {
			t.Fatal(err)
		}
	}
	second := state.NewProducer(b, s, "chat:a", client, nil)
	if n := resume(t, second); n != 1 {
		t.Fatalf("got %d, want 1", n)
	}
	one, two := <-late.held, <-late.held
	one()
	two()
	for range 2 {
		if a := <-answers; a.Verdict != state.Retry || !errors.Is(a.Err, state.ErrFenced) {
			t.Errorf("got %v %v, want that it is fenced", a.Verdict, a.Err)
		}
	}
	if _, err := first.Do(t.Context(), "say", says("four")); !errors.Is(err, state.ErrFenced) {
		t.Errorf("got %v, want that it is fenced", err)
	}
	if err := first.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if a, err := second.Do(t.Context(), "say", says("two")); err != nil || a.Verdict != state.Ack {
		t.Fatal(a, err)
	}
	if err := second.Close(t.Context()); err != nil {
		t.Error(err)
	}
	wantChat(t, s, "one", "two")
}

// A lateSubmitter holds what it is given for a while.
type lateSubmitter struct {
	to    state.Submitter
	holds atomic.Bool
	held  chan func()
}

// Submit implements state.Submitter.
func (l *lateSubmitter) Submit(from state.Sender, topic string, op state.Op, done func(state.Answer)) {
	if l.holds.Load() {
		l.held <- func() { l.to.Submit(from, topic, op, done) }
		return
	}
	l.to.Submit(from, topic, op, done)
}

// TestAProducerIsResumedFromEachPlace: it is killed at each call of the store, before it is
// done and after.
func TestAProducerIsResumedFromEachPlace(t *testing.T) {
	for _, done := range []bool{false, true} {
		for at := range 20 {
			synctest.Test(t, func(t *testing.T) {
				s := newMapStore()
				all := words(6)
				client := state.ProducerClient([]byte("0123456789abcdef"), "writer")
				broken := &brokenStore{Store: s, left: at, last: done}
				b := state.NewBatcher(broken, &state.BatcherOptions{Patience: time.Second}, chats())
				p := state.NewProducer(b, broken, "chat:a", client, nil)
				life, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if n, err := p.Resume(life); err == nil {
					for _, word := range all[n:] {
						if _, err := p.Do(life, "say", says(word)); err != nil {
							break
						}
					}
				}
				_ = p.Close(killed())
				_ = b.Close(killed())

				after := newChat(t, s, nil)
				p = state.NewProducer(after, s, "chat:a", client, nil)
				for _, word := range all[resume(t, p):] {
					if a, err := p.Do(t.Context(), "say", says(word)); err != nil || a.Verdict != state.Ack {
						t.Fatal(a, err)
					}
				}
				_ = p.Close(t.Context())
				wantChat(t, s, all...)
				_ = after.Close(t.Context())
			})
		}
	}
}

// A brokenStore does so many calls, and then none; the last one is done or not, and not answered.
type brokenStore struct {
	state.Store
	left int
	last bool
}

// Commit implements state.Store.
func (s *brokenStore) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	if s.left--; s.left >= 0 {
		return s.Store.Commit(ctx, steps...)
	}
	if s.left == -1 && s.last {
		s.Store.Commit(ctx, steps...)
	}
	return state.Failed(len(steps), errLost)
}

func TestAProducerIsQuick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		s.delay = 20 * time.Millisecond // of a commit
		b := newChat(t, s, nil)
		p := state.NewProducer(b, s, "chat:a", state.Client{1}, &state.ProducerOptions{MaxQueue: 50, User: "writer"})
		resume(t, p)
		began := time.Now()
		all := words(1000)
		var got []string
		for i, word := range all {
			if err := p.Send(t.Context(), "say", says(word), func(state.Answer) { got = append(got, all[i]) }); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("1,000 ops took %v", took)
		}
		if !slices.Equal(got, all) {
			t.Error("the answers did not come in order")
		}
		wantChat(t, s, all...)
	})
}

func TestWhatIsRefusedOfAProducerCounts(t *testing.T) {
	s := newMapStore()
	b := newChat(t, s, nil)
	p := state.NewProducer(b, s, "chat:a", state.Client{1}, nil)
	if _, err := p.Do(t.Context(), "say", says("x")); err == nil {
		t.Error("a producer that was not resumed does an op")
	}
	resume(t, p)
	if _, err := p.Resume(t.Context()); err == nil {
		t.Error("a producer is resumed twice")
	}
	if a, err := p.Do(t.Context(), "say", nil); err != nil || a.Verdict != state.Refused || a.Reason != "say something" {
		t.Errorf("got %v, %v", a, err)
	}
	if a, err := p.Do(t.Context(), "say", says("one")); err != nil || a.Verdict != state.Ack {
		t.Errorf("got %v, %v", a, err)
	}
	if err := p.Send(t.Context(), "say", says("two"), func(state.Answer) { panic("oh") }); err != nil {
		t.Error(err)
	}
	if err := errors.Join(p.Close(t.Context()), p.Close(t.Context())); err != nil {
		t.Error(err)
	}
	if _, err := p.Do(t.Context(), "say", says("x")); !errors.Is(err, state.ErrClosed) {
		t.Errorf("got %v, want that it is closed", err)
	}
	p = state.NewProducer(b, s, "chat:a", state.Client{1}, nil)
	if n := resume(t, p); n != 3 {
		t.Errorf("got %d ops, want 3", n)
	}
	_ = p.Close(t.Context())
	_, entries := entriesOf(t, s, "chat:a", 0)
	if len(entries) != 2 || strings.Contains(entries[0].ID, " ") {
		t.Errorf("got %+v", entries)
	}
}

func TestAProducerWaitsNoLongerThanItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		dead := &brokenStore{Store: s}
		b := newChat(t, dead, nil)
		p := state.NewProducer(b, dead, "chat:a", state.Client{1}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := p.Resume(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errLost) {
			t.Errorf("got %v", err)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		p = state.NewProducer(b, s, "chat:a", state.Client{1}, &state.ProducerOptions{MaxQueue: 2})
		resume(t, p)
		var answer state.Answer
		for range 2 {
			if err := p.Send(t.Context(), "say", says("x"), func(a state.Answer) { answer = a }); err != nil {
				t.Error(err)
			}
		}
		ctx, cancel = context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := p.Send(ctx, "say", says("x"), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want that there is no room", err)
		}
		if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || answer.Verdict != state.Retry || !errors.Is(answer.Err, state.ErrClosed) {
			t.Errorf("got %v, and the answer %+v", err, answer)
		}
		never := state.NewProducer(b, s, "chat:a", state.Client{1}, nil)
		if err := never.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := never.Resume(t.Context()); err == nil {
			t.Error("a closed producer is resumed")
		}
	})
}

func TestAClientIsUsedUpAtSomeTime(t *testing.T) {
	for name, last := range map[string]uint64{"runs": state.MaxSeq &^ (1<<32 - 1), "ops": 1<<32 | (1<<32 - 1)} {
		s := newMapStore()
		b := newChat(t, s, nil)
		records, _ := s.Read(t.Context(), "chat:a") // it does not fail
		move := state.Move{Client: state.Client{1}, To: state.Lane{Last: last, From: last}}
		if o := s.Commit(t.Context(), state.Step{Topic: "chat:a", Base: records[0], Moves: []state.Move{move}})[0]; o.Err != nil {
			t.Fatal(o.Err)
		}
		p := state.NewProducer(b, s, "chat:a", state.Client{1}, nil)
		_, err := p.Resume(t.Context())
		if err == nil {
			_, err = p.Do(t.Context(), "say", says("x"))
			_ = p.Close(t.Context())
		}
		if !errors.Is(err, state.ErrExhausted) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAClientOfAProducerHangsOnSecretAndName(t *testing.T) {
	one := state.ProducerClient([]byte("0123456789abcdef"), "a")
	if one != state.ProducerClient([]byte("0123456789abcdef"), "a") || one == state.ProducerClient([]byte("0123456789abcdeg"), "a") || one == state.ProducerClient([]byte("0123456789abcdef"), "b") {
		t.Error("it does not")
	}
}
