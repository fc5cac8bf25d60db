package state_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/state"
)

// chats is a kind that is a log.
func chats() state.Kind[state.Log[string]] {
	type log = state.Log[string]
	return state.Kind[log]{
		Name: "chat",
		Actions: map[string]state.Action[log]{
			"say": func(l log, in state.Fields, c state.Call) (log, error) {
				if in.Get("text") == "" {
					return l.Append(c.Op, "never"), errors.New("say something")
				}
				return l.Append(c.Op, in.Get("text")), nil
			},
			"flood": func(l log, in state.Fields, c state.Call) (log, error) {
				for i := range in["text"] {
					l = l.Append(fmt.Sprint(c.Op, "-", i+2), in["text"][i])
				}
				return l, nil
			},
			"bad":   func(l log, _ state.Fields, _ state.Call) (log, error) { return l.Append("no id", "x"), nil },
			"quiet": func(l log, _ state.Fields, _ state.Call) (log, error) { return l, nil },
			"panic": func(l log, _ state.Fields, c state.Call) (log, error) { _ = l.Append(c.Op, "never"); panic("oh") },
		},
	}
}

func entriesOf(t testing.TB, s state.Store, topic string, after uint64) (first uint64, all []state.Entry[string]) {
	t.Helper()
	first, raw, err := s.Entries(t.Context(), topic, after, math.MaxInt)
	if err != nil {
		t.Fatal(err)
	}
	if all, err = state.ReadEntries[string](first, raw); err != nil {
		t.Fatal(err)
	}
	return first, all
}

// wantChat wants that the log has these entries, and the state knows how many.
func wantChat(t *testing.T, s state.Store, want ...string) {
	t.Helper()
	_, entries := entriesOf(t, s, "chat:a", 0)
	var got []string
	for i, e := range entries {
		got = append(got, e.M)
		if e.N != uint64(i)+1 {
			t.Errorf("entry %d has the number %d", i+1, e.N)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %.80q, want %.80q", got, want)
	}
	records, err := s.Read(t.Context(), "chat:a")
	if err != nil {
		t.Fatal(err)
	}
	if l, err := chats().Read(records[0].Data); err != nil || l.N != uint64(len(want)) || len(l.Appended()) > 0 {
		t.Errorf("the state says %d entries, %v, want %d", l.N, err, len(want))
	}
}

// newChat returns a batcher of chats, which tells what it commits.
func newChat(t *testing.T, s state.Store, told func(c state.Commit)) *state.Batcher {
	t.Helper()
	b := state.NewBatcher(s, &state.BatcherOptions{Committed: told}, chats())
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return b
}

func TestAnEntryIsAppendedIfItsOpIsApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		s.delay = time.Millisecond
		var told []string
		b := newChat(t, s, func(c state.Commit) {
			entries, err := state.ReadEntries[string](c.First, c.Entries)
			if err != nil {
				t.Error(err)
			}
			for _, e := range entries {
				told = append(told, fmt.Sprint(e.N, " ", e.M))
				if !e.At.Equal(time.Now().Add(-s.delay).Truncate(time.Millisecond)) {
					t.Errorf("%+v is not of now", e)
				}
			}
			if l := c.State.(state.Log[string]); l.N+1 != c.First+uint64(len(entries)) && len(entries) > 0 {
				t.Errorf("got %d entries from %d, of a log of %d", len(entries), c.First, l.N)
			}
		})
		one := newTab()
		var all sync.WaitGroup
		do := func(verdict state.Verdict, do string, in ...string) {
			op := one.op(do, in...)
			all.Add(1)
			b.Submit(nil, "chat:a", op, func(a state.Answer) {
				defer all.Done()
				if a.Verdict != verdict {
					t.Errorf("%s: got %v %q, want %v", do, a.Verdict, a.Reason, verdict)
				}
			})
		}
		do(state.Ack, "say", "text", "one") // goes alone, or with the others
		do(state.Refused, "say")
		do(state.Ack, "say", "text", "two")
		do(state.Refused, "panic")
		do(state.Ack, "flood", "text", "three", "text", "four")
		do(state.Refused, "bad")
		do(state.Ack, "quiet")
		do(state.Ack, "say", "text", "five")
		all.Wait()
		wantChat(t, s, "one", "two", "three", "four", "five")
		if want := []string{"1 one", "2 two", "3 three", "4 four", "5 five"}; !slices.Equal(told, want) {
			t.Errorf("was told %q, want %q", told, want)
		}
		if b.Stats().Commits > 2 {
			t.Errorf("got %d commits, want that a group goes together", b.Stats().Commits)
		}
		if n := b.Stats().Entries; n != 5 {
			t.Errorf("%d entries are counted, want 5", n)
		}
	})
}

// TestWhatOneStepCanNotTakeGoesIntoTheNext: each answer comes after its own commit, in order.
func TestWhatOneStepCanNotTakeGoesIntoTheNext(t *testing.T) {
	for name, c := range map[string]struct {
		do   string
		each int // entries of an op
		size int // bytes of an entry
	}{
		"many":            {"flood", 100, 1},
		"long":            {"say", 1, 60_000},
		"many, and full":  {"flood", state.MaxLog, 1},
		"not many at all": {"say", 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newMapStore()
				s.delay = time.Millisecond
				appended := uint64(0)
				b := newChat(t, s, func(c state.Commit) { appended += uint64(len(c.Entries)) })
				var want []string
				var all sync.WaitGroup
				for i := range 20 {
					one, in := newTab(), []string{}
					if i%5 == 4 {
						one.op("quiet") // an op of the same client as the next
						b.Submit(nil, "chat:a", state.Op{Client: one.client, Seq: 1, From: 1, Do: "quiet"}, func(state.Answer) {})
					}
					for j := range c.each {
						text := strings.Repeat("x", c.size) + fmt.Sprint(i, ".", j)
						in, want = append(in, "text", text), append(want, text)
					}
					upTo := uint64(len(want))
					all.Add(1)
					b.Submit(nil, "chat:a", one.op(c.do, in...), func(a state.Answer) {
						defer all.Done()
						if a.Verdict != state.Ack || appended < upTo {
							t.Errorf("op %d: got %v %q %v with %d entries of %d committed", i, a.Verdict, a.Reason, a.Err, appended, upTo)
						}
					})
				}
				all.Wait()
				wantChat(t, s, want...)
			})
		})
	}
}

func TestAnOpThatAppendsTooMuchIsRefused(t *testing.T) {
	s := newMapStore()
	b := newChat(t, s, nil)
	one := newTab()
	wantAnswer(t, apply(t, b, "chat:a", one.op("say", "text", strings.Repeat("x", state.DefaultMaxData))), state.Refused, state.ReasonTooLarge, false)
	var in []string
	for range state.MaxLog + 1 {
		in = append(in, "text", "x")
	}
	wantAnswer(t, apply(t, b, "chat:a", one.op("flood", in...)), state.Refused, state.ReasonTooLarge, false)
	wantAnswer(t, apply(t, b, "chat:a", one.op("bad")), state.Refused, "this can't be the id of an entry", false)
	wantAnswer(t, apply(t, b, "chat:a", one.op("say", "text", "one")), state.Ack, "", false)
	wantChat(t, s, "one")
}

// TestNoFaultLosesOrDoublesAnEntry: several replicas over a store that loses calls and
// answers, or does them late and twice.
func TestNoFaultLosesOrDoublesAnEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		s.delay, s.faults = time.Millisecond, true
		var mu sync.Mutex
		told := map[uint64]string{} // by number
		replicas := make([]*state.Batcher, 3)
		for i := range replicas {
			replicas[i] = newChat(t, s, func(c state.Commit) {
				mu.Lock()
				defer mu.Unlock()
				entries, err := state.ReadEntries[string](c.First, c.Entries)
				if err != nil {
					t.Error(err)
				}
				for _, e := range entries {
					if was, ok := told[e.N]; ok && was != e.M {
						t.Errorf("entry %d is %q and %q", e.N, was, e.M)
					}
					told[e.N] = e.M
				}
			})
		}
		var all sync.WaitGroup
		const tabs, each = 8, 25
		for i := range tabs {
			all.Go(func() {
				one := newTab()
				for j := range each {
					op := one.op("say", "text", fmt.Sprint(i, ".", j))
					for n := i; ; n++ {
						a, err := replicas[n%len(replicas)].Apply(context.Background(), nil, "chat:a", op)
						if err != nil {
							t.Error(err)
							return
						}
						if a.Verdict == state.Ack {
							break
						}
						if a.Verdict != state.Retry {
							t.Errorf("got %v %q", a.Verdict, a.Reason)
							return
						}
						time.Sleep(time.Second)
					}
					one.from = one.seq + 1
				}
			})
		}
		all.Wait()
		s.faults = false
		_, entries := entriesOf(t, s, "chat:a", 0)
		next := [tabs]int{}
		for _, e := range entries {
			var i, j int
			if _, err := fmt.Sscanf(e.M, "%d.%d", &i, &j); err != nil || next[i] != j {
				t.Errorf("entry %d is %q, want %d.%d", e.N, e.M, i, next[i])
			}
			next[i] = j + 1
			if was, ok := told[e.N]; ok && was != e.M {
				t.Errorf("entry %d is %q, and %q was told", e.N, e.M, was)
			}
		}
		if len(entries) != tabs*each {
			t.Errorf("got %d entries, want %d", len(entries), tabs*each)
		}
	})
}

func TestALogKeepsAsManyAsItShouldAndAsLong(t *testing.T) {
	for name, c := range map[string]struct {
		keep    int
		keepFor time.Duration
		every   time.Duration
		want    uint64 // the first of 200 that is left
	}{
		"all":                   {0, 0, time.Second, 1},
		"ten":                   {10, 0, time.Second, 191},
		"a minute's":            {0, time.Minute, time.Second, 137}, // within a sixteenth
		"the fewer of both":     {10, time.Minute, time.Second, 191},
		"the younger of both":   {100, time.Minute, time.Second, 137},
		"none is old":           {0, time.Hour, time.Second, 1},
		"those before are gone": {0, time.Minute, time.Hour, 200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newMapStore()
				k := chats()
				k.Keep, k.KeepFor = c.keep, c.keepFor
				b := state.NewBatcher(s, nil, k)
				defer func() { _ = b.Close(context.Background()) }()
				one := newTab()
				for i := range 200 {
					apply(t, b, "chat:a", one.op("say", "text", fmt.Sprint(i+1)))
					one.from = one.seq + 1
					time.Sleep(c.every)
				}
				first, entries := entriesOf(t, s, "chat:a", 0)
				if first != c.want || len(entries) != int(201-c.want) {
					t.Errorf("got %d from %d, want those from %d", len(entries), first, c.want)
				}
				records, _ := s.Read(t.Context(), "chat:a") // it does not fail
				if len(records[0].Data) > 600 {
					t.Errorf("the state is %d bytes: %s", len(records[0].Data), records[0].Data)
				}
			})
		})
	}
}

// TestAgesBeginWhenTheyAreToldApart: a log from before KeepFor is not emptied at once.
func TestAgesBeginWhenTheyAreToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMapStore()
		say := func(k state.Kind[state.Log[string]], n int) {
			b := state.NewBatcher(s, nil, k)
			one := newTab()
			for range n {
				apply(t, b, "chat:a", one.op("say", "text", "x"))
				one.from = one.seq + 1
			}
			_ = b.Close(context.Background())
		}
		say(chats(), 10)
		young := chats()
		young.KeepFor = time.Hour
		say(young, 1)
		if first, all := entriesOf(t, s, "chat:a", 0); first != 1 || len(all) != 11 {
			t.Errorf("got %d from %d, want all", len(all), first)
		}
		time.Sleep(time.Hour + time.Hour/16)
		say(young, 1)
		if first, all := entriesOf(t, s, "chat:a", 0); first != 12 || len(all) != 1 {
			t.Errorf("got %d from %d, want the last", len(all), first)
		}
		say(chats(), 1) // and without it again
		records, _ := s.Read(t.Context(), "chat:a")
		if string(records[0].Data) != `1 {"n":13}` {
			t.Errorf("got %s", records[0].Data)
		}
	})
}

func TestAPreviewHasWhatIsAppended(t *testing.T) {
	k := chats()
	one := newTab()
	ops := []state.Op{one.op("say", "text", "one"), one.op("say"), one.op("panic"), one.op("flood", "text", "two", "text", "three")}
	var before state.Log[string]
	before.N = 7
	after, n := k.PreviewState("a", before, ops)
	entries := after.Appended()
	if n != 2 || after.N != 10 || len(entries) != 3 || entries[0].N != 8 || entries[0].ID != ops[0].Name() || entries[2].M != "three" || !entries[0].At.IsZero() {
		t.Errorf("got %d ops, %+v", n, after)
	}
	if before.N != 7 || len(before.Appended()) > 0 {
		t.Errorf("it has changed what it was given: %+v", before)
	}
}

func TestAPreviewOfAStateIsThatOfItsData(t *testing.T) {
	k := tallies()
	one := newTab()
	ops := []state.Op{one.op("add", "by", "3"), one.op("dirty"), one.op("panic"), one.op("take", "by", "1")}
	before := tally{N: 1, By: map[string]int{"a": 1}}
	after, n := k.PreviewState("a", before, ops)
	if n != 2 || after.N != 3 || after.By["dirt"] != 0 || before.By["dirt"] != 0 {
		t.Errorf("got %d ops, %+v, of %+v", n, after, before)
	}
}

// TestALogIsAValue: two logs that come of one are apart.
func TestALogIsAValue(t *testing.T) {
	base := state.Log[string]{}.Append("a", "a")
	one, two := base.Append("b", "one"), base.Append("c", "two")
	if one.Appended()[1].M != "one" || two.Appended()[1].M != "two" || len(base.Appended()) != 1 || base.N != 1 || two.N != 2 {
		t.Errorf("got %+v, %+v and %+v", base, one, two)
	}
}

func TestEntriesThatCanNotBeAreErrors(t *testing.T) {
	for _, entry := range []string{``, `7`, `{}`, `{"id":"a b"}`, `{"id":"a","at":"x"}`, `{"id":"a","m":7}`} {
		if got, err := state.ReadEntries[string](1, [][]byte{[]byte(entry)}); err == nil {
			t.Errorf("%s is %+v", entry, got)
		}
	}
}

func FuzzReadEntry(f *testing.F) {
	f.Add([]byte(`{"id":"a-1","at":1700000000000,"m":"<é>"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := state.ReadEntries[string](7, [][]byte{data})
		if err != nil {
			return
		}
		again, err := got[0].MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		back, err := state.ReadEntries[string](7, [][]byte{again})
		if err != nil || back[0] != got[0] {
			t.Fatalf("%+v became %+v, %v", got[0], back, err)
		}
	})
}
