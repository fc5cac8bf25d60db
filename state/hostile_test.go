package state_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/state"
)

// together submits ops so that they go into one call, behind one that is on its way, and returns
// their answers.
func together(t *testing.T, b *state.Batcher, topic string, ops ...state.Op) []state.Answer {
	t.Helper()
	answers := make([]state.Answer, len(ops))
	var wg sync.WaitGroup
	apply(t, b, topic, newTab().op("add")) // so that the topic is known
	b.Submit(nil, topic, newTab().op("add"), func(state.Answer) {})
	synctest.Wait()
	for i, op := range ops {
		wg.Add(1)
		b.Submit(nil, topic, op, func(a state.Answer) {
			defer wg.Done()
			answers[i] = a
		})
	}
	wg.Wait()
	return answers
}

// TestOpsThatAreRefusedMakeOthersRunAgainOnceAtMost: a refusal spoils the state that it was given,
// and whoever sends many of them between others' ops must not have all of those run for each.
func TestOpsThatAreRefusedMakeOthersRunAgainOnceAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		s.delay = time.Millisecond
		runs := 0
		kind := tallies()
		add := kind.Actions["add"]
		kind.Actions["add"] = func(s tally, in state.Fields, c state.Call) (tally, error) {
			runs++
			return add(s, in, c)
		}
		b := state.NewBatcher(s, nil, kind)
		ops := make([]state.Op, state.MaxMoves)
		for i := range ops {
			ops[i] = newTab().op([]string{"add", "dirty"}[i%2], "by", "1")
		}
		for i, a := range together(t, b, "tally:a", ops...) {
			if want := []state.Verdict{state.Ack, state.Refused}[i%2]; a.Verdict != want {
				t.Errorf("op %d: got %+v, want %v", i, a, want)
			}
		}
		if most := len(ops) + 2; runs > most {
			t.Errorf("%d ops were run %d times, want %d at most", len(ops)/2, runs, most)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		records, _ := s.Read(t.Context(), "tally:a")
		if got, err := tallies().Read(records[0].Data); err != nil || got.N != int64(len(ops)/2) || len(got.By) > 0 {
			t.Errorf("got %+v, %v, want %d and nothing of what failed", got, err, len(ops)/2)
		}
	})
}

// TestAnOpWhoseStateCanNotBeWrittenIsRefusedAlone: it would else be sent again for ever, and put
// off whoever is in its group each time.
func TestAnOpWhoseStateCanNotBeWrittenIsRefusedAlone(t *testing.T) {
	type sum struct{ X float64 }
	kind := state.Kind[sum]{Name: "sum", Actions: map[string]state.Action[sum]{
		"add":    func(s sum, _ state.Fields, _ state.Call) (sum, error) { return sum{s.X + 1}, nil },
		"divide": func(s sum, _ state.Fields, _ state.Call) (sum, error) { return sum{math.Inf(1)}, nil },
		"no":     func(s sum, _ state.Fields, _ state.Call) (sum, error) { return s, errors.New("no") },
	}}
	synctest.Test(t, func(t *testing.T) {
		s, log := newMapStore(), new(lines)
		s.delay = time.Millisecond
		b := state.NewBatcher(s, &state.BatcherOptions{Logger: log.logger()}, kind)
		ops := []state.Op{newTab().op("add"), newTab().op("divide"), newTab().op("add"), newTab().op("no"), newTab().op("add")}
		for i, a := range together(t, b, "sum:a", ops...) {
			switch {
			case i == 1 && (a.Verdict != state.Refused || a.Reason != state.ReasonFailed):
				t.Errorf("got %+v, want that it is refused", a)
			case i == 3 && (a.Verdict != state.Refused || a.Reason != "no"):
				t.Errorf("got %+v, want no", a)
			case i%2 == 0 && a.Verdict != state.Ack:
				t.Errorf("op %d beside it: got %+v", i, a)
			}
		}
		if n := log.count("an action fails, and its op is refused"); n != 1 {
			t.Errorf("got %d lines in the log, want one: %s", n, log)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		records, _ := s.Read(t.Context(), "sum:a")
		if got, err := kind.Read(records[0].Data); err != nil || got.X != 5 {
			t.Errorf("got %+v, %v, want 5", got, err)
		}
	})
}

// TestAStateThatCanNotBeWrittenAnyMoreRefusesNobody: it is the program's fault, and ops wait for a
// better one.
func TestAStateThatCanNotBeWrittenAnyMoreRefusesNobody(t *testing.T) {
	s, kind := newMapStore(), tallies()
	var broken atomic.Bool
	kind.Marshal = func(tally) ([]byte, error) {
		if broken.Load() {
			return nil, errors.New("broken")
		}
		return []byte(`{}`), nil
	}
	b := state.NewBatcher(s, nil, kind)
	wantAnswer(t, apply(t, b, "tally:a", newTab().op("add")), state.Ack, "", false)
	broken.Store(true)
	op := newTab().op("add")
	wantAnswer(t, apply(t, b, "tally:a", op), state.Retry, state.ReasonAway, false)
	broken.Store(false)
	wantAnswer(t, apply(t, b, "tally:a", op), state.Ack, "", false)
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestAnActionThatFailsIsTriedThreeTimes, and no more, and the log names it once; what is behind it
// goes on.
func TestAnActionThatFailsIsTriedThreeTimes(t *testing.T) {
	for name, c := range map[string]struct {
		hangs bool
		says  map[string]int // lines of the log
	}{
		"panics": {false, map[string]int{"an action fails, and its op is refused": 1}},
		"hangs":  {true, map[string]int{"an action takes too long": 3}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, log := newMapStore(), new(lines)
				s.delay = time.Millisecond
				end := make(chan struct{})
				var runs atomic.Int32
				kind := tallies()
				kind.Actions["bad"] = func(tally, state.Fields, state.Call) (tally, error) {
					runs.Add(1)
					if c.hangs {
						<-end
					}
					panic("oh")
				}
				b := state.NewBatcher(s, &state.BatcherOptions{Logger: log.logger(), Calls: 1}, kind)
				bad := newTab().op("bad")
				answers := together(t, b, "tally:a", newTab().op("add", "by", "1"), bad, newTab().op("add", "by", "2"))
				wantAnswer(t, answers[0], state.Ack, "", false)
				wantAnswer(t, answers[1], state.Refused, state.ReasonFailed, false)
				wantAnswer(t, answers[2], state.Ack, "", false)
				for range 2 {
					wantAnswer(t, apply(t, b, "tally:a", bad), state.Refused, state.ReasonFailed, true)
					wantAnswer(t, apply(t, newBatcher(t, s, nil), "tally:a", bad), state.Refused, state.ReasonFailed, true)
				}
				if n := runs.Load(); n != 3 {
					t.Errorf("it was run %d times, want 3", n)
				}
				for says, n := range c.says {
					if got := log.count(says); got != n || !strings.Contains(log.String(), "action=bad") || !strings.Contains(log.String(), "topic=tally:a") {
						t.Errorf("got %d lines %q, want %d, with the names of topic and action: %s", got, says, n, log)
					}
				}
				for line := range strings.Lines(log.String()) {
					if strings.Count(line, " time=") > 0 { // beside that which it begins with
						t.Errorf("a line has two times: %s", line)
					}
				}
				close(end)
				synctest.Wait()
				if err := b.Close(t.Context()); err != nil {
					t.Error(err)
				}
				wantTally(t, s, "tally:a", 3)
			})
		})
	}
}

// TestWhatALaneKeepsOfRefusalsIsBounded: in all, for each, and at the cost of the sender.
func TestWhatALaneKeepsOfRefusalsIsBounded(t *testing.T) {
	for name, text := range map[string]string{
		"plain": strings.Repeat("x", 4000), "escaped": strings.Repeat("<", 3000), "control characters": strings.Repeat("\x01", 3000),
		"quotes": strings.Repeat(`"\`, 2000), "wide": strings.Repeat("\U0001F600", 900), "separators": strings.Repeat("\u2028", 900),
		"no UTF-8": strings.Repeat("\xff", 3000),
	} {
		t.Run(name, func(t *testing.T) {
			s, from := newMapStore(), new(saboteur)
			b := newBatcher(t, s, nil)
			mine, refused := newTab(), 0
			for range state.Window {
				op := mine.op("add", "by", fmt.Sprint(mine.seq)+text)
				a, err := b.Apply(t.Context(), from, "tally:a", op)
				if err != nil {
					t.Fatal(err)
				}
				if a.Verdict != state.Refused {
					wantAnswer(t, a, state.Retry, state.ReasonEarly, false)
					break
				}
				if again := apply(t, newBatcher(t, s, nil), "tally:a", op); again.Verdict != state.Refused || again.Reason != a.Reason {
					t.Fatalf("got %+v when it is sent again, want %+v", again, a)
				}
				if refused++; refused == 1 {
					if n := len(s.topics["tally:a"].lanes[mine.client].Refused); n > 250 {
						t.Errorf("one refusal takes %d bytes", n)
					}
				}
			}
			lane := s.topics["tally:a"].lanes[mine.client]
			if n := len(lane.Refused); n > state.MaxRefused || n < state.MaxRefused-300 {
				t.Errorf("%d refusals take %d bytes", refused, n)
			}
			if got, want := from.taken.Load()-from.returned.Load(), int64(1+(len(lane.Refused)+99)/100); got != want {
				t.Errorf("the sender pays for %d lanes, want %d", got, want)
			}
			mine.seq = lane.Last
			mine.from = lane.Last + 1
			if a, err := b.Apply(t.Context(), from, "tally:a", mine.op("add", "by", "1")); err != nil || a.Verdict != state.Ack {
				t.Errorf("got %+v, %v when the client has the answers", a, err)
			}
			if got := from.taken.Load() - from.returned.Load(); got != 1 {
				t.Errorf("the sender pays for %d lanes in the end, want 1", got)
			}
		})
	}
}

// A markedStore counts what it is asked to finish.
type markedStore struct {
	*mapStore
	calls int
	marks map[state.Mark]int
}

// Finish implements state.Store.
func (s *markedStore) Finish(_ context.Context, marks ...state.Mark) error {
	s.calls++
	for _, m := range marks {
		s.marks[m]++
	}
	time.Sleep(10 * time.Millisecond)
	return nil
}

// TestManyMarksAreSetSoon, and each client's once: who sends many must not have those of others
// dropped.
func TestManyMarksAreSetSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &markedStore{mapStore: newMapStore(), marks: make(map[state.Mark]int)}
		b := state.NewBatcher(s, nil, tallies())
		many := state.Client{1, 2, 3}
		for i := range uint64(100_000) {
			b.Finish("tally:a", many, 1+i%1000)
		}
		for i := range 10_000 {
			b.Finish("tally:a", state.Client{byte(i), byte(i >> 8)}, 7)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if n := len(s.marks); n != 10_001 || s.marks[state.Mark{Topic: "tally:a", Client: many, UpTo: 1000}] != 1 {
			t.Errorf("%d marks were set in three seconds, want 10,001, one of them of the client that sent many", n)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestOpsOfAnyNumberAreJudged: seqs that jump, that are the greatest, and those that can't be.
func TestOpsOfAnyNumberAreJudged(t *testing.T) {
	s := newMapStore()
	b := newBatcher(t, s, nil)
	client := state.Client{1}
	for i, c := range []struct {
		seq, from uint64
		want      state.Verdict
		reason    string
	}{
		{0, 0, state.Refused, state.ReasonBadOp}, {1, 0, state.Refused, state.ReasonBadOp}, {0, 1, state.Refused, state.ReasonBadOp},
		{1, 2, state.Refused, state.ReasonBadOp}, {state.MaxSeq + 1, state.MaxSeq + 1, state.Refused, state.ReasonBadOp},
		{math.MaxUint64, 1, state.Refused, state.ReasonBadOp}, {math.MaxUint64, math.MaxUint64, state.Refused, state.ReasonBadOp},
		{state.Window + 1, 1, state.Retry, state.ReasonEarly}, {2, 1, state.Retry, state.ReasonEarly},
		{5, 5, state.Ack, ""}, {1000, 1000, state.Ack, ""}, {5, 5, state.Settled, ""}, {1000, 900, state.Ack, ""}, {1000, 5, state.Retry, state.ReasonEarly},
		{state.MaxSeq, 1, state.Retry, state.ReasonEarly}, {state.MaxSeq, state.MaxSeq, state.Ack, ""},
		{state.MaxSeq, state.MaxSeq, state.Ack, ""}, {1, 1, state.Settled, ""}, {state.MaxSeq - 1, state.MaxSeq - 1, state.Settled, ""},
	} {
		op := state.Op{Client: client, Seq: c.seq, From: c.from, Do: "add", In: state.Fields{"by": {"1"}}}
		if a := apply(t, b, "tally:a", op); a.Verdict != c.want || a.Reason != c.reason {
			t.Errorf("case %d, %d from %d: got %+v, want %v %q", i, c.seq, c.from, a, c.want, c.reason)
		}
	}
	wantTally(t, s, "tally:a", 3)
}
