package state_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"lockstep/state"
)

// A todo is an item of the tests.
type todo struct {
	Text string
	Done bool `json:",omitempty"`
}

// A listModel is a list as plainly as it can be.
type listModel struct {
	ids    []string
	values map[string]todo
}

func (m *listModel) clone() *listModel {
	values := make(map[string]todo, len(m.values))
	for id, v := range m.values {
		values[id] = v
	}
	return &listModel{slices.Clone(m.ids), values}
}

// put puts an id behind another, which is in the model.
func (m *listModel) put(id, behind string) {
	m.ids = slices.Insert(m.ids, slices.Index(m.ids, behind)+1, id)
}

func (m *listModel) take(id string) {
	m.ids = slices.DeleteFunc(m.ids, func(other string) bool { return other == id })
}

// randomStep does one random operation on both.
func randomStep(t *testing.T, rng *rand.Rand, m *listModel, l state.List[todo], serial *int) state.List[todo] {
	t.Helper()
	pick := func() string {
		if len(m.ids) == 0 || rng.IntN(20) == 0 {
			return "nobody"
		}
		return m.ids[rng.IntN(len(m.ids))]
	}
	behind := func() string {
		if rng.IntN(8) == 0 {
			return ""
		}
		return pick()
	}
	has := func(id string) bool { _, ok := m.values[id]; return ok }
	var want, err error
	var next state.List[todo]
	switch *serial++; rng.IntN(6) {
	case 0:
		id, at, v := fmt.Sprint("t", *serial), behind(), todo{Text: fmt.Sprint("inserted ", *serial)}
		if at != "" && !has(at) {
			want = state.ErrNoItem
		} else {
			m.put(id, at)
			m.values[id] = v
		}
		next, err = l.Insert(id, v, at)
	case 1:
		id, v := fmt.Sprint("t", *serial), todo{Text: "<b>&\u2028"}
		if rng.IntN(10) == 0 && len(m.ids) > 0 {
			id, want = pick(), state.ErrItemExists
			if !has(id) {
				want = nil
			}
		}
		if want == nil {
			m.ids = append(m.ids, id)
			m.values[id] = v
		}
		next, err = l.Append(id, v)
	case 2, 3:
		id, v := pick(), todo{Text: fmt.Sprint("set ", rng.IntN(3)), Done: rng.IntN(2) == 0}
		if has(id) {
			m.values[id] = v
		} else {
			want = state.ErrNoItem
		}
		next, err = l.Set(id, v)
	case 4:
		id, at := pick(), behind()
		switch {
		case !has(id) || at != "" && !has(at):
			want = state.ErrNoItem
		case id != at:
			m.take(id)
			m.put(id, at)
		}
		next, err = l.Move(id, at)
	case 5:
		id := pick()
		if has(id) {
			m.take(id)
			delete(m.values, id)
		} else {
			want = state.ErrNoItem
		}
		next, err = l.Remove(id)
	}
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
	return next
}

func wantList(t *testing.T, got state.List[todo], want *listModel) {
	t.Helper()
	if got.Len() != len(want.ids) {
		t.Fatalf("got %d items, want %d", got.Len(), len(want.ids))
	}
	i := 0
	for id, v := range got.All() {
		at, w := got.At(i)
		if id != want.ids[i] || v != want.values[id] || at != id || w != v {
			t.Fatalf("got %q %+v at %d, want %q %+v", id, v, i, want.ids[i], want.values[want.ids[i]])
		}
		if w, ok := got.Get(id); i%16 == 0 && (!ok || w != v || got.Index(id) != i) {
			t.Fatalf("Get(%q) is %+v, %v, at %d", id, w, ok, got.Index(id))
		}
		i++
	}
}

func jsonOf(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestAListIsAsItsModel: each of many random operations, and each list of before, however it is
// used meanwhile. A change leads from any older version to any newer one.
func TestAListIsAsItsModel(t *testing.T) {
	for seed := range uint64(8) {
		rng, m, l, serial := rand.New(rand.NewPCG(seed, 1)), &listModel{values: map[string]todo{}}, state.List[todo]{}, 0
		var models []*listModel
		var lists []state.List[todo]
		for range 300 {
			for range 1 + rng.IntN(1+rng.IntN(12)) {
				l = randomStep(t, rng, m, l, &serial)
			}
			models, lists = append(models, m.clone()), append(lists, l)
			if rng.IntN(10) == 0 { // one that shares nothing
				l = reread(t, l)
			}
			from := max(0, len(lists)-1-rng.IntN(1+rng.IntN(len(lists))))
			change, err := l.Diff(lists[from])
			if err != nil {
				t.Fatal(err)
			}
			got, err := lists[from].Patch(change)
			if err != nil {
				t.Fatalf("%v: %s", err, change)
			}
			wantList(t, got, m)
			if jsonOf(t, got) != jsonOf(t, l) {
				t.Fatalf("got %s, want %s", jsonOf(t, got), jsonOf(t, l))
			}
			other, err := lists[from].Patch([]byte(jsonOf(t, json.RawMessage(change)))) // and with another codec's marks
			if err != nil {
				t.Fatal(err)
			}
			wantList(t, other, m)
		}
		for i := 0; i < len(lists); i += 7 {
			wantList(t, lists[i], models[i])
			wantList(t, reread(t, lists[i]), models[i])
		}
	}
}

func reread(t *testing.T, l state.List[todo]) (again state.List[todo]) {
	t.Helper()
	if err := json.Unmarshal([]byte(jsonOf(t, l)), &again); err != nil {
		t.Fatal(err)
	}
	return again
}

func numbered(n int) (l state.List[todo]) {
	for i := range n {
		l, _ = l.Append(fmt.Sprintf("item-%d", i), todo{Text: strings.Repeat("x", 50)}) // ids are new
	}
	return l
}

// TestAChangeIsAsLargeAsWhatHasChanged for what people do to a long list.
func TestAChangeIsAsLargeAsWhatHasChanged(t *testing.T) {
	before := numbered(1000)
	for name, c := range map[string]struct {
		do   func(l state.List[todo]) (state.List[todo], error)
		want string
	}{
		"nothing": {func(l state.List[todo]) (state.List[todo], error) { return l, nil }, `{}`},
		"the same text": {func(l state.List[todo]) (state.List[todo], error) {
			return l.Set("item-5", todo{Text: strings.Repeat("x", 50)})
		}, `{}`},
		"set":           {func(l state.List[todo]) (state.List[todo], error) { return l.Set("item-500", todo{Text: "a"}) }, `{"set":[["item-500",{"Text":"a"}]]}`},
		"far down":      {func(l state.List[todo]) (state.List[todo], error) { return l.Move("item-1", "item-999") }, `{"put":[["item-1","item-999"]]}`},
		"far up":        {func(l state.List[todo]) (state.List[todo], error) { return l.Move("item-998", "") }, `{"put":[["item-998",""]]}`},
		"one down":      {func(l state.List[todo]) (state.List[todo], error) { return l.Move("item-4", "item-5") }, `{"put":[["item-4","item-5"]]}`},
		"one up":        {func(l state.List[todo]) (state.List[todo], error) { return l.Move("item-5", "item-3") }, `{"put":[["item-4","item-5"]]}`},
		"behind itself": {func(l state.List[todo]) (state.List[todo], error) { return l.Move("item-5", "item-5") }, `{}`},
		"insert":        {func(l state.List[todo]) (state.List[todo], error) { return l.Insert("new", todo{}, "item-9") }, `{"put":[["new","item-9"]],"set":[["new",{"Text":""}]]}`},
		"remove":        {func(l state.List[todo]) (state.List[todo], error) { return l.Remove("item-9") }, `{"gone":["item-9"]}`},
		"again": {func(l state.List[todo]) (state.List[todo], error) {
			l, _ = l.Remove("item-999")
			return l.Append("item-999", todo{Text: "a"})
		}, `{"set":[["item-999",{"Text":"a"}]]}`},
	} {
		t.Run(name, func(t *testing.T) {
			after, err := c.do(before)
			if err != nil {
				t.Fatal(err)
			}
			for _, from := range []state.List[todo]{before, reread(t, before)} {
				if got, err := after.Diff(from); err != nil || string(got) != c.want {
					t.Errorf("got %s, %v, want %s", got, err, c.want)
				}
			}
		})
	}
}

func TestWhatIsNoChangeOfAListIsRefused(t *testing.T) {
	l := numbered(3)
	for _, change := range []string{
		``, `[]`, `{`, `{"put":[["item-0"`, `{"put":{}}`, `{"set":[null]}`, `{"set":[["item-0"]]}`, `{"set":[["item-0",{},1]]}`,
		`{"set":[["a b",{}]]}`, `{"set":[["",{}]]}`, `{"set":[["new",{}]]}`, `{"set":[["item-0",{}],["item-0",{}]]}`, `{"set":[["item-0",7]]}`,
		`{"put":[["new","item-0"]]}`, `{"put":[["item-0","nobody"]]}`, `{"put":[["item-0","item-0"]]}`, `{"put":[["item-0","item-1"],["item-0",""]]}`,
		`{"put":[["item-0","item-1"],["item-2",""]]}`, `{"put":[["item-2",""],["item-1","item-0"],["item-0","item-2"]]}`,
		`{"gone":["nobody"]}`, `{"gone":["item-0","item-0"]}`, `{"gone":["item-0"],"put":[["item-0","item-1"]]}`, `{"gone":["item-0"],"set":[["item-0",{}]]}`,
		`{"gone":["item-0"],"put":[["item-1","item-0"]]}`, `{"set":[["` + strings.Repeat("a", 41) + `",{}]],"put":[["` + strings.Repeat("a", 41) + `",""]]}`,
	} {
		if got, err := l.Patch([]byte(change)); err == nil {
			t.Errorf("%s is taken, and makes %s", change, jsonOf(t, got))
		}
	}
	for _, data := range []string{
		`{}`, `[1]`, `[null]`, `[["a"]]`, `[["a",{},{}]]`, `[["a",{}],["a",{}]]`, `[["a b",{}]]`, `[["",{}]]`, `[[1,{}]]`, `[["a",7]]`, `[["a",{}`,
	} {
		var l state.List[todo]
		if err := json.Unmarshal([]byte(data), &l); err == nil {
			t.Errorf("%s is taken for a list", data)
		}
	}
	var l2 state.List[todo]
	if err := json.Unmarshal([]byte(` [ [ "a" , {"Text":"x"} ] , ["b",null] ] `), &l2); err != nil || l2.Len() != 2 {
		t.Errorf("got %d items, %v, want that blanks are no matter", l2.Len(), err)
	}
}

func TestIDsOfItems(t *testing.T) {
	for id, want := range map[string]error{
		"a": nil, "A-z_09": nil, strings.Repeat("x", 40): nil,
		"": state.ErrItemID, strings.Repeat("x", 41): state.ErrItemID, "a b": state.ErrItemID, "a:b": state.ErrItemID, "ä": state.ErrItemID, "<": state.ErrItemID,
	} {
		_, err := state.List[int]{}.Append(id, 1)
		if _, err2 := (state.List[int]{}).Insert(id, 1, ""); !errors.Is(err, want) || !errors.Is(err2, want) {
			t.Errorf("%q: got %v and %v, want %v", id, err, err2, want)
		}
	}
}

func TestAStampTellsValuesApart(t *testing.T) {
	l := numbered(2)
	again := reread(t, l)
	other, _ := l.Set("item-1", todo{Text: "y"})
	if l.Stamp(1) != again.Stamp(1) || l.Stamp(1) == other.Stamp(1) || l.Stamp(0) != other.Stamp(0) {
		t.Errorf("got %q, %q and %q", l.Stamp(1), again.Stamp(1), other.Stamp(1))
	}
	bad, _ := state.List[func()]{}.Append("a", nil)
	if _, err := bad.Diff(state.List[func()]{}); err == nil || bad.Stamp(0) != "" {
		t.Error("a value that can't be written has a change")
	}
}

// FuzzPatch: no change breaks a list, or makes one that can't be.
func FuzzPatch(f *testing.F) {
	f.Add([]byte(`{"put":[["b","c"],["n","b"]],"set":[["n",{"Text":"x"}],["a",{}]],"gone":["d"]}`))
	f.Add([]byte(`{"put":[["a","a"]]}`))
	f.Fuzz(func(t *testing.T, change []byte) {
		var l state.List[todo]
		for _, id := range []string{"a", "b", "c", "d"} {
			l, _ = l.Append(id, todo{Text: id})
		}
		got, err := l.Patch(change)
		if err != nil {
			got = l
		}
		again := reread(t, got) // which fails when an id is twice in it
		change, err = again.Diff(l)
		if err != nil {
			t.Fatal(err)
		}
		back, err := l.Patch(change)
		if err != nil || jsonOf(t, back) != jsonOf(t, got) {
			t.Fatalf("got %s, %v, want %s", jsonOf(t, back), err, jsonOf(t, got))
		}
	})
}

// FuzzList: what is read as a list is written as one that reads the same.
func FuzzList(f *testing.F) {
	f.Add([]byte(`[["a",{"Text":"x"}],["b",null]]`))
	f.Add([]byte(`[ [ "a" , {"Text":"x"} ] ]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var l state.List[todo]
		if json.Unmarshal(data, &l) != nil {
			return
		}
		if got := reread(t, l); jsonOf(t, got) != jsonOf(t, l) {
			t.Fatalf("got %s, want %s", jsonOf(t, got), jsonOf(t, l))
		}
	})
}

func BenchmarkList(b *testing.B) {
	before := numbered(1000)
	if _, err := before.AppendJSON(nil); err != nil {
		b.Fatal(err)
	}
	set, _ := before.Set("item-500", todo{Text: "a"})
	moved, _ := before.Move("item-900", "item-9")
	change, _ := set.Diff(before)
	data := jsonOf(b, before)
	for name, f := range map[string]func(){
		"set":            func() { _, _ = before.Set("item-500", todo{Text: "a"}) },
		"move":           func() { _, _ = before.Move("item-900", "item-9") },
		"encode":         func() { _, _ = set.AppendJSON(nil) },
		"diff":           func() { _, _ = set.Diff(before) },
		"diff of a move": func() { _, _ = moved.Diff(before) },
		"patch":          func() { _, _ = before.Patch(change) },
		"decode":         func() { var l state.List[todo]; _ = json.Unmarshal([]byte(data), &l) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
}
