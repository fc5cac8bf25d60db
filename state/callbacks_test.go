package state_test

import (
	"context"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/state"
)

// A saboteur is a sender, and what else a batcher calls, of which one method fails.
type saboteur struct {
	share    any // what Share returns; nil: the saboteur
	returned atomic.Int64
	taken    atomic.Int64

	mu    sync.Mutex // guards the rest
	fails string
}

// stop has nothing fail any more.
func (s *saboteur) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = ""
}

func (s *saboteur) isToFail(method string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fails == method
}

func (s *saboteur) strike(method string) {
	if s.isToFail(method) {
		panic("sabotage of " + method)
	}
}

// Share implements state.Sender.
func (s *saboteur) Share() any {
	s.strike("Share")
	if s.share != nil {
		return s.share
	}
	return s
}

// NewTopic implements state.Sender.
func (s *saboteur) NewTopic() bool { s.strike("NewTopic"); return true }

// TakeLane implements state.Sender.
func (s *saboteur) TakeLane() bool { s.strike("TakeLane"); s.taken.Add(1); return true }

// OweLanes implements state.Sender.
func (s *saboteur) OweLanes(n int) { s.taken.Add(int64(n)); s.strike("OweLanes") }

// ReturnLane implements state.Sender.
func (s *saboteur) ReturnLane() { s.returned.Add(1); s.strike("ReturnLane") }

// A sabotagedStore is a store that panics, or answers what is no answer, a few times.
type sabotagedStore struct {
	*mapStore
	s    *saboteur
	left atomic.Int64
}

// Commit implements state.Store.
func (s *sabotagedStore) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	if s.left.Add(-1) >= 0 {
		s.s.strike("Commit")
		switch {
		case s.s.isToFail("no outcomes"):
			return nil
		case s.s.isToFail("too many outcomes"):
			return make([]state.Outcome, len(steps)+1)
		case s.s.isToFail("no lanes"):
			return state.Failed(len(steps), state.ErrConflict)
		case s.s.isToFail("nothing of moves"):
			return make([]state.Outcome, len(steps)) // done, and not said what was made
		}
	}
	return s.mapStore.Commit(ctx, steps...)
}

// Finish implements state.Store.
func (s *sabotagedStore) Finish(context.Context, ...state.Mark) error {
	s.s.strike("Finish")
	return nil
}

// TestACallbackThatFailsHurtsNobodyElse takes each callback of a batcher, and has it fail: what it
// was called for is answered, once, and others are served all the while.
func TestACallbackThatFailsHurtsNobodyElse(t *testing.T) {
	for name, c := range map[string]struct {
		share any
		want  state.Verdict // of the saboteur's first op
		quiet bool          // nothing is wrong that a log should have
	}{
		"Share": {want: state.Retry}, "a share that can't be compared": {share: []int{1}, want: state.Retry},
		"a share that is not itself": {share: math.NaN(), want: state.Retry},
		"NewTopic":                   {want: state.Retry}, "TakeLane": {want: state.Retry}, "ReturnLane": {want: state.Ack},
		"Commit": {want: state.Ack}, "no outcomes": {want: state.Ack, quiet: true}, "too many outcomes": {want: state.Ack, quiet: true},
		"no lanes": {want: state.Ack, quiet: true}, "nothing of moves": {want: state.Ack, quiet: true},
		"Committed": {want: state.Ack}, "Health": {want: state.Ack}, "done": {want: state.Ack}, "Finish": {want: state.Ack},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := new(lines)
				s := &saboteur{fails: name, share: c.share}
				store := &sabotagedStore{mapStore: newMapStore(), s: s}
				store.left.Store(2)
				b := state.NewBatcher(store, &state.BatcherOptions{
					Logger:    log.logger(),
					Committed: func(state.Commit) { s.strike("Committed") },
					Health:    func(error) { s.strike("Health") },
				}, tallies())
				mine, others := newTab(), newTab()
				answers := make(chan state.Answer, 10)
				op := mine.op("add", "by", "1")
				b.Submit(s, "tally:x", op, func(a state.Answer) { answers <- a; s.strike("done") })
				if got := <-answers; got.Verdict != c.want || (got.Err != nil) != (c.want == state.Retry) {
					t.Errorf("got %+v, want %v", got, c.want)
				}
				stale := newTab().op("add", "by", "1") // its lane is given back
				stale.Seen = time.Now().Add(-time.Hour)
				for _, op := range []state.Op{op, stale} {
					b.Submit(s, "tally:x", op, func(a state.Answer) { answers <- a; s.strike("done") })
					<-answers
				}
				b.Finish("tally:x", mine.client, 1)
				for range 3 {
					if got := apply(t, b, "tally:x", others.op("add", "by", "10")); got.Verdict != state.Ack {
						t.Errorf("another's op got %+v", got)
					}
				}
				time.Sleep(time.Minute)
				if len(answers) > 0 {
					t.Errorf("an op was answered twice: %+v", <-answers)
				}
				want := int64(30)
				if c.want == state.Ack {
					want++
				}
				wantTally(t, store.mapStore, "tally:x", want)
				if got := log.count("callback failed"); (got > 0) == c.quiet || got > 3 {
					t.Errorf("got %d lines of the log: %s", got, log)
				}
				s.stop()
				if got := apply(t, b, "tally:x", mine.op("add", "by", "1")); c.want == state.Ack && got.Verdict != state.Ack {
					t.Errorf("got %+v when all is well", got)
				}
				if err := b.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestALaneThatWasNotMadeIsGivenBack: whatever became of the op.
func TestALaneThatWasNotMadeIsGivenBack(t *testing.T) {
	s := new(saboteur)
	b := newBatcher(t, newMapStore(), nil)
	mine := newTab()
	held := func(want int64) {
		t.Helper()
		if got := s.taken.Load() - s.returned.Load(); got != want {
			t.Errorf("the sender is charged for %d lanes, want %d", got, want)
		}
	}
	send := func(op state.Op) state.Answer {
		t.Helper()
		a, err := b.Apply(t.Context(), s, "tally:x", op)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	first := mine.op("add", "by", "1")
	send(first)
	held(1)
	send(first)
	send(mine.op("add", "by", "1"))
	held(1)
	other := newTab()
	refused := other.op("take", "by", "100") // its lane knows that it was refused
	wantAnswer(t, send(refused), state.Refused, "only 2 are left", false)
	held(3) // and what it knows takes room
	other.from = 2
	wantAnswer(t, send(other.op("add", "by", "1")), state.Ack, "", false)
	held(2) // until the client has the answer
	old := newTab().op("add", "by", "1")
	old.Age = 100 * 24 * time.Hour
	wantAnswer(t, send(old), state.Old, "", false)
	stale := newTab().op("add", "by", "1")
	stale.Seen = time.Now().Add(-time.Hour)
	wantAnswer(t, send(stale), state.Retry, state.ReasonStale, false)
	held(2)
	if a, err := b.Apply(t.Context(), s, "nothing:x", newTab().op("add")); err != nil || a.Verdict != state.Refused || !strings.Contains(a.Reason, "unknown") {
		t.Errorf("got %+v, %v", a, err)
	}
	held(2)
}
