package state_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/state"
)

// boards is a kind that is a list.
func boards() state.Kind[state.List[todo]] {
	type list = state.List[todo]
	return state.Kind[list]{
		Name: "board",
		Actions: map[string]state.Action[list]{
			"add": func(l list, in state.Fields, c state.Call) (list, error) {
				return l.Insert(c.Op, todo{Text: in.Get("text")}, in.Get("behind"))
			},
			"set": func(l list, in state.Fields, _ state.Call) (list, error) {
				return l.Set(in.Get("id"), todo{Text: in.Get("text")})
			},
			"move": func(l list, in state.Fields, _ state.Call) (list, error) {
				return l.Move(in.Get("id"), in.Get("behind"))
			},
			"remove": func(l list, in state.Fields, _ state.Call) (list, error) { return l.Remove(in.Get("id")) },
			"panic":  func(list, state.Fields, state.Call) (list, error) { panic("oh") },
		},
		MaxData: 200_000,
	}
}

func readBoard(t testing.TB, data []byte) state.List[todo] {
	t.Helper()
	l, err := boards().Read(data)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// A countedStore counts what goes through it.
type countedStore struct {
	state.Store
	bytes int
	reads int // conflicts
}

// Commit implements state.Store.
func (s *countedStore) Commit(ctx context.Context, steps ...state.Step) []state.Outcome {
	for _, step := range steps {
		s.bytes += len(step.Data)
	}
	out := s.Store.Commit(ctx, steps...)
	for _, o := range out {
		if o.Err != nil {
			s.reads++
		}
	}
	return out
}

func TestACommitSaysWhatHasChanged(t *testing.T) {
	s := newMapStore()
	var told []state.Commit
	b := state.NewBatcher(s, &state.BatcherOptions{Committed: func(c state.Commit) { told = append(told, c) }}, boards(), tallies())
	defer func() { _ = b.Close(context.Background()) }()
	one := newTab()
	for i := range 20 {
		apply(t, b, "board:a", one.op("add", "text", fmt.Sprint(i)))
		one.from = one.seq + 1
	}
	told = nil
	last := state.Op{Client: one.client, Seq: 1}
	apply(t, b, "board:a", newTab().op("move", "id", last.Name()))
	apply(t, b, "board:a", newTab().op("remove", "id", "nobody"))
	apply(t, b, "board:a", newTab().op("panic"))
	apply(t, b, "board:a", newTab().op("set", "id", last.Name(), "text", "x"))
	want := []string{`1 {"put":[["` + last.Name() + `",""]]}`, `1 {}`, ``, `1 {"set":[["` + last.Name() + `",{"Text":"x"}]]}`}
	for i, c := range told {
		if string(c.Change) != want[i] || c.Topic != "board:a" || c.Base.Epoch != 7 || c.Base.Data != nil || i > 0 && !c.Base.Same(told[i-1].Record) {
			t.Errorf("commit %d is %q of %+v, want %q", i, c.Change, c.Base, want[i])
		}
		if l, ok := c.State.(state.List[todo]); !ok || jsonOf(t, l) != jsonOf(t, readBoard(t, c.Data)) {
			t.Errorf("commit %d has a state that is not its data", i)
		}
	}
	if len(told) != len(want) {
		t.Errorf("got %d commits, want %d", len(told), len(want))
	}
	told = nil
	apply(t, b, "tally:a", newTab().op("add", "by", "1"))
	if told[0].Change != nil || told[0].State.(tally).N != 1 {
		t.Errorf("got %+v of a kind that has no changes", told[0])
	}
	apply(t, b, "board:b", newTab().op("add", "text", "first"))
	if told[1].Change != nil {
		t.Errorf("got the change %s, which is not shorter than %s", told[1].Change, told[1].Data)
	}
}

// TestAnOpOnAListIsComputedFromChanges: a replica that has heard of all of them needs no more
// of the store than one call for each op.
func TestAnOpOnAListIsComputedFromChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &countedStore{Store: newMapStore()}
		var replicas [2]*state.Batcher
		var shown [2]state.List[todo]
		for i := range replicas {
			replicas[i] = state.NewBatcher(s, &state.BatcherOptions{Committed: func(c state.Commit) {
				l := c.State.(state.List[todo])
				if other := 1 - i; c.Change == nil {
					shown[other] = readBoard(t, c.Data)
				} else {
					var err error
					if shown[other], err = boards().Apply(shown[other], c.Change); err != nil {
						t.Error(err)
					}
				}
				shown[i] = l
				replicas[1-i].HeardState(c.Topic, fmt.Sprint(i), state.Record{Epoch: c.Epoch, Version: c.Version}, shown[1-i])
			}}, boards())
			defer func() { _ = replicas[i].Close(context.Background()) }()
		}
		records, _ := s.Read(t.Context(), "board:a") // it does not fail
		for i := range replicas {
			replicas[i].LearnState("board:a", records[0], state.List[todo]{})
		}
		const n = 100
		for i := range n {
			one := newTab()
			if a := apply(t, replicas[i%2], "board:a", one.op("add", "text", "x")); a.Verdict != state.Ack {
				t.Fatal(a)
			}
			if a := apply(t, replicas[i%2], "board:a", newTab().op("remove", "id", "nobody")); a.Verdict != state.Refused {
				t.Fatal(a)
			}
			time.Sleep(time.Second)
		}
		if s.reads > 0 {
			t.Errorf("got %d conflicts", s.reads)
		}
		records, _ = s.Read(t.Context(), "board:a")
		if l := readBoard(t, records[0].Data); l.Len() != n || jsonOf(t, l) != jsonOf(t, shown[0]) || jsonOf(t, l) != jsonOf(t, shown[1]) {
			t.Errorf("got %d items, want %d, as all replicas have", l.Len(), n)
		}
	})
}

// TestChangesAreRightUnderFaults: replicas show what changes lead to and hear of half of them. Each
// change leads from the state of its base to its own, and the store has what comes of the
// ops in the order of versions.
func TestChangesAreRightUnderFaults(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			s := newMapStore()
			s.delay, s.faults = time.Millisecond, true
			var mu sync.Mutex
			states := map[uint64]state.List[todo]{} // by version
			var changes []state.Commit
			replicas := make([]*state.Batcher, 3)
			for i := range replicas {
				replicas[i] = state.NewBatcher(s, &state.BatcherOptions{Committed: func(c state.Commit) {
					mu.Lock()
					defer mu.Unlock()
					states[c.Version] = c.State.(state.List[todo])
					if c.Base.Epoch > 0 {
						changes = append(changes, c)
					}
					for j := range replicas {
						if base, ok := states[c.Base.Version]; j != i && ok && c.Change != nil && rand.IntN(2) == 0 {
							after, err := boards().Apply(base, c.Change)
							if err != nil {
								t.Error(err)
							}
							replicas[j].HeardState(c.Topic, fmt.Sprint(i), state.Record{Epoch: c.Epoch, Version: c.Version}, after)
						}
					}
				}}, boards())
				defer func() { _ = replicas[i].Close(context.Background()) }()
			}
			var all sync.WaitGroup
			for i := range 6 {
				all.Go(func() { edit(t, rand.New(rand.NewPCG(seed, uint64(i))), replicas) })
			}
			all.Wait()
			s.faults = false
			n := 0
			for _, c := range changes {
				base, ok := states[c.Base.Version]
				if !ok && c.Base.Version > 0 || c.Change == nil {
					continue
				}
				n++
				after, err := boards().Apply(base, c.Change)
				if err != nil || jsonOf(t, after) != jsonOf(t, states[c.Version]) || jsonOf(t, after) != jsonOf(t, readBoard(t, c.Data)) {
					t.Fatalf("%v: %s leads from %d to %s, want %d: %s", err, c.Change, c.Base.Version, jsonOf(t, after), c.Version, c.Data)
				}
			}
			if n < 50 {
				t.Errorf("only %d changes were looked at", n)
			}
			records, _ := s.Read(t.Context(), "board:a") // it does not fail
			if newest, ok := states[records[0].Version]; ok && jsonOf(t, newest) != jsonOf(t, readBoard(t, records[0].Data)) {
				t.Errorf("got %s, want %s", jsonOf(t, newest), records[0].Data)
			}
		})
	}
}

// edit does a person's random ops, each until it is answered.
func edit(t *testing.T, rng *rand.Rand, replicas []*state.Batcher) {
	one := newTab()
	var mine []string
	pick := func() string {
		if len(mine) == 0 {
			return "nobody"
		}
		return mine[rng.IntN(len(mine))]
	}
	for range 40 {
		var op state.Op
		switch rng.IntN(6) {
		case 0, 1:
			behind := ""
			if len(mine) > 0 && rng.IntN(2) == 0 {
				behind = pick()
			}
			op = one.op("add", "text", "a text that is long enough to pay", "behind", behind)
		case 2:
			op = one.op("set", "id", pick(), "text", fmt.Sprint(rng.IntN(5)))
		case 3:
			op = one.op("move", "id", pick(), "behind", pick())
		case 4:
			op = one.op("remove", "id", pick())
		case 5:
			op = one.op("panic")
		}
		for n := rng.IntN(3); ; n++ {
			a, err := replicas[n%len(replicas)].Apply(context.Background(), nil, "board:a", op)
			if err != nil {
				t.Error(err)
				return
			}
			if a.Verdict == state.Ack && op.Do == "add" {
				mine = append(mine, op.Name())
			}
			if a.Verdict != state.Retry {
				break
			}
			time.Sleep(time.Second)
		}
		one.from = one.seq + 1
	}
}

func TestAKindSaysWhatItsChangesAre(t *testing.T) {
	k := boards()
	before := numbered(3)
	after, _ := before.Remove("item-1")
	change, err := k.Change(before, after)
	if err != nil || string(change) != `1 {"gone":["item-1"]}` {
		t.Fatalf("got %s, %v", change, err)
	}
	for _, wrong := range []string{"", "{}", "x {}", `2 {"gone":["item-1"]}`, `1 {"gone":["nobody"]}`} {
		if got, err := k.Apply(before, []byte(wrong)); err == nil {
			t.Errorf("%q is applied, and makes %s", wrong, jsonOf(t, got))
		}
	}
	if change, err := tallies().Change(tally{}, tally{N: 1}); change != nil || err != nil {
		t.Errorf("got %s, %v of a kind without changes", change, err)
	}
	if _, err := tallies().Apply(tally{}, []byte("1 {}")); err == nil {
		t.Error("a kind without changes applies one")
	}
	own := state.Kind[[]byte]{
		Name:  "own",
		Diff:  func(before, after []byte) ([]byte, error) { return bytes.TrimPrefix(after, before), nil },
		Patch: func(s, change []byte) ([]byte, error) { return append(bytes.Clone(s), change...), nil },
	}
	change, err = own.Change([]byte("ab"), []byte("abc"))
	if err != nil || string(change) != "1 c" {
		t.Fatalf("got %s, %v", change, err)
	}
	if got, err := own.Apply([]byte("ab"), change); err != nil || string(got) != "abc" {
		t.Errorf("got %s, %v", got, err)
	}
}

// TestADiffThatFailsFailsForNobody: the commit is done, and others read it.
func TestADiffThatFailsFailsForNobody(t *testing.T) {
	for name, diff := range map[string]func(a, b int) ([]byte, error){
		"an error": func(int, int) ([]byte, error) { return nil, errors.New("no") },
		"a panic":  func(int, int) ([]byte, error) { panic("oh") },
		"nothing":  func(int, int) ([]byte, error) { return nil, nil },
	} {
		var told []state.Commit
		b := state.NewBatcher(newMapStore(), &state.BatcherOptions{Committed: func(c state.Commit) { told = append(told, c) }}, state.Kind[int]{
			Name: "n", Diff: diff, Patch: func(s int, _ []byte) (int, error) { return s, nil },
			Actions: map[string]state.Action[int]{"add": func(n int, _ state.Fields, _ state.Call) (int, error) { return n + 100_000_000, nil }},
		})
		wantAnswer(t, apply(t, b, "n:a", newTab().op("add")), state.Ack, "", false)
		if len(told) != 1 || told[0].Change != nil || told[0].State != 100_000_000 {
			t.Errorf("%s: got %+v", name, told)
		}
		_ = b.Close(context.Background())
	}
}

func TestKindsThatCanNotBe(t *testing.T) {
	diff := func(a, b state.Log[string]) ([]byte, error) { return nil, nil }
	for name, change := range map[string]func(k *state.Kind[state.Log[string]]){
		"a log without room":  func(k *state.Kind[state.Log[string]]) { k.MaxData = state.MaxData / 2 },
		"a negative Keep":     func(k *state.Kind[state.Log[string]]) { k.Keep = -1 },
		"a negative KeepFor":  func(k *state.Kind[state.Log[string]]) { k.KeepFor = -1 },
		"a Diff and no Patch": func(k *state.Kind[state.Log[string]]) { k.Diff = diff },
	} {
		k := chats()
		change(&k)
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: there is a batcher of it", name)
				}
			}()
			state.NewBatcher(newMapStore(), nil, k)
		}()
	}
}
