package state_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/state"
)

// A tally is the state of the tests: a number, and who has voted.
type tally struct {
	N  int64
	By map[string]int `json:",omitempty"`
}

type step struct{ By int64 }

func tallies() state.Kind[tally] {
	return state.Kind[tally]{
		Name: "tally",
		Actions: map[string]state.Action[tally]{
			"add": state.Do(func(t tally, in step, _ state.Call) (tally, error) {
				t.N += in.By
				return t, nil
			}),
			"take": state.Do(func(t tally, in step, _ state.Call) (tally, error) {
				if t.N < in.By {
					return t, fmt.Errorf("only %d are left", t.N)
				}
				t.N -= in.By
				return t, nil
			}),
			"dirty": func(t tally, _ state.Fields, _ state.Call) (tally, error) {
				if t.By == nil {
					t.By = map[string]int{}
				}
				t.By["dirt"]++
				return t, errors.New("no")
			},
			"vote": func(t tally, _ state.Fields, c state.Call) (tally, error) {
				by := map[string]int{c.User: 1}
				for user, n := range t.By {
					by[user] = n
				}
				t.By = by
				return t, nil
			},
			"panic": func(tally, state.Fields, state.Call) (tally, error) { panic("oh") },
			"grow": func(t tally, in state.Fields, _ state.Call) (tally, error) {
				t.By = map[string]int{in.Get("text"): 1}
				return t, nil
			},
		},
		MaxData: 1000,
	}
}

// A tab makes ops of one client on one topic.
type tab struct {
	client state.Client
	seq    uint64
	from   uint64
}

func newTab() *tab {
	t := &tab{from: 1}
	_, _ = rand.Read(t.client[:]) // it never fails
	return t
}

func (t *tab) op(do string, in ...string) state.Op {
	t.seq++
	fields := state.Fields{}
	for i := 0; i+1 < len(in); i += 2 {
		fields[in[i]] = append(fields[in[i]], in[i+1])
	}
	return state.Op{Client: t.client, Seq: t.seq, From: t.from, Do: do, In: fields, User: "somebody"}
}

func newBatcher(t *testing.T, s state.Store, opts *state.BatcherOptions) *state.Batcher {
	t.Helper()
	b := state.NewBatcher(s, opts, tallies())
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return b
}

func apply(t *testing.T, b *state.Batcher, topic string, op state.Op) state.Answer {
	t.Helper()
	a, err := b.Apply(t.Context(), nil, topic, op)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func wantAnswer(t *testing.T, got state.Answer, verdict state.Verdict, reason string, again bool) {
	t.Helper()
	if got.Verdict != verdict || got.Reason != reason || got.Again != again {
		t.Errorf("got %v %q (again %v, %v), want %v %q (again %v)", got.Verdict, got.Reason, got.Again, got.Err, verdict, reason, again)
	}
}

func wantTally(t *testing.T, s state.Store, topic string, want int64) {
	t.Helper()
	records, err := s.Read(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tallies().Read(records[0].Data)
	if err != nil || got.N != want {
		t.Errorf("got %+v, %v, want %d", got, err, want)
	}
}

func TestAnOpIsAppliedOnce(t *testing.T) {
	s := newMapStore()
	b := newBatcher(t, s, nil)
	one := newTab()
	op := one.op("add", "by", "3")
	wantAnswer(t, apply(t, b, "tally:a", op), state.Ack, "", false)
	wantAnswer(t, apply(t, b, "tally:a", op), state.Ack, "", true)
	wantAnswer(t, apply(t, newBatcher(t, s, nil), "tally:a", op), state.Ack, "", true)
	wantTally(t, s, "tally:a", 3)
}

// TestAnAnswerSaysWhichStateHasTheOpFirst when it is applied now; of one that was applied before
// nobody knows it any more, and a refused one is in none.
func TestAnAnswerSaysWhichStateHasTheOpFirst(t *testing.T) {
	s := newMapStore()
	b := newBatcher(t, s, nil)
	one, two := newTab(), newTab()
	for i, c := range []struct {
		op    state.Op
		again bool
		at    uint64
	}{
		{op: one.op("add", "by", "3"), at: 1},
		{op: two.op("take", "by", "9")}, // refused: its lane moves on, in a version of its own
		{op: one.op("add", "by", "1"), again: true, at: 3},
	} {
		got := apply(t, b, "tally:a", c.op)
		if got.Version != c.at || (got.Epoch != 0) != (c.at != 0) {
			t.Errorf("op %d: got %+v, want version %d", i, got, c.at)
		}
		if !c.again {
			continue
		}
		for _, replica := range []*state.Batcher{b, newBatcher(t, s, nil)} {
			if got := apply(t, replica, "tally:a", c.op); got.Version != 0 || got.Epoch != 0 || !got.Again {
				t.Errorf("sent again: got %+v, want that nobody knows", got)
			}
		}
	}
}

func TestARefusalIsTheAnswerForGood(t *testing.T) {
	s := newMapStore()
	b := newBatcher(t, s, nil)
	one := newTab()
	take := one.op("take", "by", "2")
	wantAnswer(t, apply(t, b, "tally:a", take), state.Refused, "only 0 are left", false)
	wantAnswer(t, apply(t, b, "tally:a", one.op("add", "by", "5")), state.Ack, "", false)
	wantAnswer(t, apply(t, b, "tally:a", take), state.Refused, "only 0 are left", true)
	one.from = 2
	wantAnswer(t, apply(t, b, "tally:a", one.op("add", "by", "1")), state.Ack, "", false)
	wantAnswer(t, apply(t, b, "tally:a", take), state.Settled, "", true)
	wantTally(t, s, "tally:a", 6)
}

func TestAnOpThatComesTooEarlyIsToBeSentAgain(t *testing.T) {
	s := newMapStore()
	b := newBatcher(t, s, nil)
	one := newTab()
	first, second := one.op("add", "by", "1"), one.op("add", "by", "2")
	wantAnswer(t, apply(t, b, "tally:a", second), state.Retry, state.ReasonEarly, false)
	wantAnswer(t, apply(t, b, "tally:a", first), state.Ack, "", false)
	wantAnswer(t, apply(t, b, "tally:a", second), state.Ack, "", false)
	wantTally(t, s, "tally:a", 3)
}

func TestWhatIsWithdrawnNeverCounts(t *testing.T) {
	s := newMapStore()
	b := newBatcher(t, s, nil)
	one := newTab()
	op := one.op("add", "by", "1")
	void := op
	void.Do = state.Void
	wantAnswer(t, apply(t, b, "tally:a", void), state.Refused, state.ReasonWithdrawn, false)
	wantAnswer(t, apply(t, b, "tally:a", op), state.Refused, state.ReasonWithdrawn, true)
	counted := one.op("add", "by", "7")
	wantAnswer(t, apply(t, b, "tally:a", counted), state.Ack, "", false)
	counted.Do = state.Void
	wantAnswer(t, apply(t, b, "tally:a", counted), state.Ack, "", true)
	wantTally(t, s, "tally:a", 7)
}

func TestAnActionThatFailsSpoilsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		s.delay = time.Millisecond // so that the ops below are one group
		b := newBatcher(t, s, nil)
		var wg sync.WaitGroup
		submit := func(op state.Op, verdict state.Verdict, reason string) {
			wg.Add(1)
			b.Submit(nil, "tally:a", op, func(a state.Answer) {
				defer wg.Done()
				wantAnswer(t, a, verdict, reason, false)
			})
		}
		submit(newTab().op("vote"), state.Ack, "")
		synctest.Wait()
		submit(newTab().op("add", "by", "1"), state.Ack, "")
		submit(newTab().op("dirty"), state.Refused, "no")
		submit(newTab().op("panic"), state.Refused, state.ReasonFailed)
		submit(newTab().op("add", "by", "x"), state.Refused, `"x" is not what by can be`)
		submit(newTab().op("nothing"), state.Refused, state.ReasonUnknown)
		submit(newTab().op("grow", "text", string(make([]byte, 2000))), state.Refused, state.ReasonTooLarge)
		submit(newTab().op("add", "by", "2"), state.Ack, "")
		wg.Wait()
		records, _ := s.Read(t.Context(), "tally:a")
		if got, err := tallies().Read(records[0].Data); err != nil || got.N != 3 || got.By["dirt"] != 0 || got.By["somebody"] != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
		if stats := b.Stats(); stats.Ops != 8 || stats.Commits != 1 {
			t.Errorf("got %+v, want 8 ops in one commit", stats)
		}
	})
}

func TestAnActionThatNeverEndsIsRefusedAndBlocksNobody(t *testing.T) {
	s := newMapStore()
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	kind := tallies()
	kind.Limit = 20 * time.Millisecond
	kind.Actions["hang"] = func(t tally, _ state.Fields, _ state.Call) (tally, error) {
		<-end
		return t, nil
	}
	b := state.NewBatcher(s, &state.BatcherOptions{Calls: 1}, kind)
	hang := newTab().op("hang")
	answers := make(chan state.Answer, 2)
	b.Submit(nil, "tally:a", hang, func(a state.Answer) { answers <- a })
	b.Submit(nil, "tally:b", newTab().op("add", "by", "1"), func(a state.Answer) { answers <- a })
	got := map[state.Verdict]state.Answer{}
	for range 2 {
		a := <-answers
		got[a.Verdict] = a
	}
	wantAnswer(t, got[state.Refused], state.Refused, state.ReasonFailed, false)
	wantAnswer(t, got[state.Ack], state.Ack, "", false)
	wantAnswer(t, apply(t, b, "tally:a", newTab().op("add", "by", "1")), state.Ack, "", false)
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOpsThatAreOldOrStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		b := newBatcher(t, s, nil)
		one, counted := newTab(), newTab()
		known := counted.op("add", "by", "1")
		wantAnswer(t, apply(t, b, "tally:a", known), state.Ack, "", false)

		old := one.op("add", "by", "1")
		old.Seen, old.Age = time.Now(), state.OpLifetime+time.Second
		wantAnswer(t, apply(t, b, "tally:a", old), state.Old, "", false)
		known.Seen, known.Age = time.Now(), old.Age
		wantAnswer(t, apply(t, newBatcher(t, s, nil), "tally:a", known), state.Ack, "", true)

		old.Age = 0
		for _, by := range []time.Duration{-state.Fresh - time.Second, state.Fresh + time.Second} {
			old.Seen = time.Now().Add(by)
			wantAnswer(t, apply(t, b, "tally:a", old), state.Retry, state.ReasonStale, false)
		}
		old.Seen, old.Age = time.Now(), 6*24*time.Hour
		wantAnswer(t, apply(t, b, "tally:a", old), state.Ack, "", false)
	})
}

// TestNothingIsLostOrDoubledByWhateverTheStoreDoes: replicas and tabs that send
// again whatever is not answered, and a store that loses calls, answers late, does
// calls twice, and later than their retries.
func TestNothingIsLostOrDoubledByWhateverTheStoreDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		s.delay, s.faults = 2*time.Millisecond, true
		var replicas []*state.Batcher
		for range 3 {
			replicas = append(replicas, newBatcher(t, s, &state.BatcherOptions{CallTimeout: 20 * time.Millisecond}))
		}
		const tabs, each = 20, 15
		var wg sync.WaitGroup
		for i := range tabs {
			wg.Go(func() {
				topics := [3]*tab{newTab(), newTab(), newTab()} // seqs count for each topic
				for n := range each {
					one := topics[n%3]
					op := one.op("add", "by", "1")
					for try := 0; ; try++ {
						a, err := replicas[(i+n+try)%3].Apply(t.Context(), nil, fmt.Sprint("tally:", n%3), op)
						if err != nil {
							t.Error(err)
						}
						if a.Verdict == state.Ack {
							break
						}
						if a.Verdict != state.Retry {
							t.Errorf("got %v", a)
							break
						}
						time.Sleep(10 * time.Millisecond)
					}
					if n%2 == 0 {
						one.from = one.seq + 1
					}
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Minute) // what comes late has come
		s.faults = false
		for n := range 3 {
			wantTally(t, s, fmt.Sprint("tally:", n), tabs*each/3)
		}
	})
}

// TestARunThatWasGivenUpTouchesNothing: what goes on after its time runs no more
// actions, and, for the race detector, looks at nothing that others use.
func TestARunThatWasGivenUpTouchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		s.delay = time.Millisecond // so that the ops below are one group
		kind := tallies()
		end := make(chan struct{})
		kind.Actions["hang"] = func(t tally, _ state.Fields, _ state.Call) (tally, error) {
			<-end
			return t, errors.New("too late") // so that the run would read the state anew
		}
		var ran atomic.Int32
		kind.Actions["behind"] = func(t tally, _ state.Fields, _ state.Call) (tally, error) {
			ran.Add(1)
			return t, nil
		}
		b := state.NewBatcher(s, &state.BatcherOptions{Calls: 1}, kind)
		var wg sync.WaitGroup
		for _, do := range []string{"add", "hang", "behind", "add"} {
			wg.Add(1)
			b.Submit(nil, "tally:a", newTab().op(do, "by", "1"), func(state.Answer) { wg.Done() })
		}
		wg.Wait()
		close(end)
		for range 10 {
			wantAnswer(t, apply(t, b, "tally:a", newTab().op("add", "by", "1")), state.Ack, "", false)
		}
		synctest.Wait()
		if n := ran.Load(); n != 1 {
			t.Errorf("the op behind was run %d times, want once", n)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		wantTally(t, s, "tally:a", 12)
	})
}

// TestWhatAFailedActionHasScribbledIsNotKept: an op that was refused comes again,
// is run before the store says that it is known, and fails again.
func TestWhatAFailedActionHasScribbledIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		s.delay = time.Millisecond // so that the ops below are one group
		b := newBatcher(t, s, nil)
		apply(t, b, "tally:a", newTab().op("vote"))
		refused := newTab().op("dirty")
		apply(t, b, "tally:a", refused)
		for _, op := range []state.Op{newTab().op("add", "by", "1"), refused, newTab().op("add", "by", "2")} {
			b.Submit(nil, "tally:a", op, func(state.Answer) {})
			synctest.Wait() // the first is on its way alone
		}
		apply(t, b, "tally:a", newTab().op("add", "by", "4"))
		records, _ := s.Read(t.Context(), "tally:a")
		if got, err := tallies().Read(records[0].Data); err != nil || got.N != 7 || got.By["dirt"] != 0 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

// TestCommittedComesBeforeEachAcknowledgement also when the answer of the commit
// was lost, or another replica made it: a tab shows what it has an answer to.
func TestCommittedComesBeforeEachAcknowledgement(t *testing.T) {
	s := newMapStore()
	var told []uint64
	b := newBatcher(t, s, &state.BatcherOptions{Committed: func(c state.Commit) {
		got, err := tallies().Read(c.Data)
		if c.Topic != "tally:a" || err != nil || got.N != 3 || c.Base.Epoch != 0 {
			t.Errorf("got %q, %+v, %v, made of %+v", c.Topic, got, err, c.Base)
		}
		told = append(told, c.Version)
	}})
	op := newTab().op("add", "by", "3")
	apply(t, newBatcher(t, s, nil), "tally:a", op)
	for range 3 {
		wantAnswer(t, apply(t, b, "tally:a", op), state.Ack, "", true)
		if len(told) != 1 {
			t.Fatalf("Committed was called with %d, want once", told)
		}
	}
}

// TestWhatIsKnownOfALaneIsNotGuessed: an op is sent again behind a later one, in
// one group, when the lane has settled it since.
func TestWhatIsKnownOfALaneIsNotGuessed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		s.delay = time.Millisecond // so that the ops below are one group
		b := newBatcher(t, s, nil)
		one := newTab()
		apply(t, b, "tally:a", one.op("add", "by", "1"))
		refused := one.op("take", "by", "9")
		apply(t, b, "tally:a", refused)
		one.from = 3
		apply(t, b, "tally:a", one.op("add", "by", "1"))
		one.from = 1 // as it was when the next was sent first

		b.Submit(nil, "tally:a", newTab().op("add", "by", "1"), func(state.Answer) {})
		synctest.Wait()
		b.Submit(nil, "tally:a", one.op("add", "by", "1"), func(a state.Answer) { wantAnswer(t, a, state.Ack, "", false) })
		wantAnswer(t, apply(t, b, "tally:a", refused), state.Settled, "", true)
	})
}

// A lateStore answers a while after it has done what it was asked.
type lateStore struct{ *mapStore }

func (s lateStore) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	defer time.Sleep(2 * time.Millisecond)
	return s.mapStore.Commit(ctx, steps...)
}

// TestAnOpThatIsTooOldMayHaveBeenAppliedMeanwhile by another replica, before it
// came to this one, which was just reading its lane.
func TestAnOpThatIsTooOldMayHaveBeenAppliedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		b, other := newBatcher(t, lateStore{s}, nil), newBatcher(t, s, nil)
		op := newTab().op("add", "by", "1")
		stale, old := op, op
		stale.Seen, old.Age = time.Now().Add(-time.Hour), state.OpLifetime+time.Second
		b.Submit(nil, "tally:a", stale, func(state.Answer) {}) // so that the lane is read
		time.Sleep(time.Millisecond)
		wantAnswer(t, apply(t, other, "tally:a", op), state.Ack, "", false)
		wantAnswer(t, apply(t, b, "tally:a", old), state.Ack, "", true)
	})
}

// A deadStore fails each call after a while.
type deadStore struct{ mapStore }

func (*deadStore) Commit(_ context.Context, steps ...state.Step) []state.Outcome {
	time.Sleep(10 * time.Millisecond)
	return state.Failed(len(steps), errLost)
}

func TestAnOpIsAnsweredWhileTheStoreIsAwayWhateverComesBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBatcher(t, &deadStore{}, nil)
		began := time.Now()
		var answered atomic.Int64
		b.Submit(nil, "tally:a", newTab().op("add", "by", "1"), func(a state.Answer) {
			wantAnswer(t, a, state.Retry, state.ReasonAway, false)
			answered.Store(int64(time.Since(began)))
		})
		for range 100 {
			time.Sleep(time.Second / 2)
			b.Submit(nil, "tally:a", newTab().op("add", "by", "1"), func(state.Answer) {})
		}
		if d := time.Duration(answered.Load()); d == 0 || d > 6*time.Second {
			t.Errorf("the first op was answered after %v, want Patience", d)
		}
	})
}

func TestOpsThatAreSentAgainDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		b := newBatcher(t, s, nil)
		ops := make([]state.Op, 200)
		for i := range ops {
			ops[i] = newTab().op("add", "by", "1")
			apply(t, b, "tally:a", ops[i])
		}
		s.delay = 3 * time.Millisecond
		var slowest atomic.Int64 // only one call of done at a time
		for _, op := range ops {
			began := time.Now()
			b.Submit(nil, "tally:a", op, func(a state.Answer) {
				wantAnswer(t, a, state.Ack, "", true)
				slowest.Store(max(slowest.Load(), int64(time.Since(began))))
			})
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		if d := time.Duration(slowest.Load()); d == 0 || d > 5*s.delay {
			t.Errorf("the slowest answer took %v, and a call takes %v", d, s.delay)
		}
	})
}

func TestCloseDoesNotWaitForMoreMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := state.NewBatcher(newMapStore(), nil, tallies())
		b.Finish("tally:a", state.Client{1}, 1)
		began := time.Now()
		for range 2 {
			if err := b.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if d := time.Since(began); d > 0 {
			t.Errorf("Close took %v", d)
		}
	})
}

// TestACodecThatIsNotPureEndsNoReplica: what it writes is too long each time but
// when it is looked at op by op.
func TestACodecThatIsNotPureEndsNoReplica(t *testing.T) {
	kind := tallies()
	var n atomic.Int32
	kind.Marshal = func(tally) ([]byte, error) { return make([]byte, 2000*(n.Add(1)%2)), nil }
	b := state.NewBatcher(newMapStore(), nil, kind)
	wantAnswer(t, apply(t, b, "tally:a", newTab().op("add", "by", "1")), state.Retry, state.ReasonAway, false)
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestWhatTheStoreDeniesIsNotBelievedAgain although it looks newer: else each op
// would cost a conflict.
func TestWhatTheStoreDeniesIsNotBelievedAgain(t *testing.T) {
	b := newBatcher(t, newMapStore(), nil)
	b.Learn("tally:a", state.Record{Epoch: 1 << 40, Version: 1})
	for range 10 {
		wantAnswer(t, apply(t, b, "tally:a", newTab().op("add", "by", "1")), state.Ack, "", false)
	}
	if s := b.Stats(); s.Calls != 11 {
		t.Errorf("got %+v, want one conflict", s)
	}
}
