package state_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"lockstep/state"
)

// notes is a kind whose states were a text before, and are a list now.
func notes() state.Kind[[]string] {
	return state.Kind[[]string]{
		Name: "notes", Schema: 3,
		New: func() []string { return []string{"first"} },
		Upgrade: func(schema int, data []byte) ([]string, error) {
			if schema != 2 {
				return nil, fmt.Errorf("schema %d can't be read any more", schema)
			}
			return strings.Fields(string(data)), nil
		},
		Actions: map[string]state.Action[[]string]{
			"note": func(s []string, in state.Fields, _ state.Call) ([]string, error) {
				return append(s[:len(s):len(s)], in.Get("text")), nil
			},
		},
	}
}

func TestAStateIsReadByTheNumberOfItsForm(t *testing.T) {
	for _, c := range []struct {
		name, data string
		want       string
		says       string // part of the error
	}{
		{"never written", "", "[first]", ""},
		{"as it is written now", `3 ["a","b"]`, "[a b]", ""},
		{"as it was written before", `2 a b`, "[a b]", ""},
		{"as it was before that", `1 a`, "", "schema 1 can't be read any more"},
		{"by a later version", `4 {}`, "", state.ErrLater.Error()},
		{"by a much later version", `4000000000 {}`, "", ""},
		{"without a number", `["a"]`, "", "not of this program"},
		{"with the number 0", `0 []`, "", "not of this program"},
		{"with a negative number", `-1 []`, "", "not of this program"},
		{"with a number alone", `3`, "", "not of this program"},
		{"in another codec", `3 a b`, "", "notes"},
	} {
		got, err := notes().Read([]byte(c.data))
		if c.want != "" {
			if err != nil || fmt.Sprint(got) != c.want {
				t.Errorf("%s: got %v, %v, want %s", c.name, got, err, c.want)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.says) || errors.Is(err, state.ErrLater) != strings.HasPrefix(c.data, "4 ") && c.says != "" {
			t.Errorf("%s: got %v, %v, want the error %q", c.name, got, err, c.says)
		}
	}
	data, err := notes().Write([]string{"a"})
	if err != nil || string(data) != `3 ["a"]` {
		t.Errorf("wrote %s, %v", data, err)
	}
	if _, err := (state.Kind[int]{Name: "n", Schema: 2}).Read([]byte("1 7")); err == nil {
		t.Error("got no error for data of a former schema without an Upgrade")
	}
}

// TestALaterStateIsNeverOverwritten, and former data are upgraded by the first op.
func TestALaterStateIsNeverOverwritten(t *testing.T) {
	for data, want := range map[string]struct {
		verdict state.Verdict
		reason  string
		after   string
	}{
		`4 {"secret":1}`: {state.Retry, state.ReasonLater, `4 {"secret":1}`},
		`garbage`:        {state.Retry, state.ReasonAway, `garbage`},
		`1 a`:            {state.Retry, state.ReasonAway, `1 a`},
		`2 a b`:          {state.Ack, "", `3 ["a","b","c"]`},
		`3 ["a"]`:        {state.Ack, "", `3 ["a","c"]`},
	} {
		store := newMapStore()
		store.topic("notes:x").record = state.Record{Epoch: 7, Version: 5, Data: []byte(data)}
		b := state.NewBatcher(store, nil, notes())
		got := apply(t, b, "notes:x", newTab().op("note", "text", "c"))
		if got.Verdict != want.verdict || got.Reason != want.reason || (got.Err != nil) != (want.verdict == state.Retry) {
			t.Errorf("%s: got %+v, want %v %q", data, got, want.verdict, want.reason)
		}
		if after := store.topic("notes:x").record.Data; string(after) != want.after {
			t.Errorf("%s: it became %s, want %s", data, after, want.after)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestAKindThatCanNotBeOneIsRefusedAtTheStart(t *testing.T) {
	act := func(n int, _ state.Fields, _ state.Call) (int, error) { return n, nil }
	good := state.Kind[int]{Name: "n", Actions: map[string]state.Action[int]{"a": act}}
	with := func(change func(*state.Kind[int])) []state.Reducer { k := good; change(&k); return []state.Reducer{k} }
	for name, kinds := range map[string][]state.Reducer{
		"no name":                     with(func(k *state.Kind[int]) { k.Name = "" }),
		"a colon in the name":         with(func(k *state.Kind[int]) { k.Name = "a:b" }),
		"a name that is long":         with(func(k *state.Kind[int]) { k.Name = strings.Repeat("a", 33) }),
		"an action without a name":    with(func(k *state.Kind[int]) { k.Actions = map[string]state.Action[int]{"": act} }),
		"an action that withdraws":    with(func(k *state.Kind[int]) { k.Actions = map[string]state.Action[int]{state.Void: act} }),
		"an action that is long":      with(func(k *state.Kind[int]) { k.Actions = map[string]state.Action[int]{strings.Repeat("a", 65): act} }),
		"an action that is nil":       with(func(k *state.Kind[int]) { k.Actions = map[string]state.Action[int]{"a": nil} }),
		"more than a step can have":   with(func(k *state.Kind[int]) { k.MaxData = state.MaxData }),
		"a negative limit":            with(func(k *state.Kind[int]) { k.Limit = -1 }),
		"a negative schema":           with(func(k *state.Kind[int]) { k.Schema = -1 }),
		"two that have the same name": {good, good},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: it was taken", name)
				}
			}()
			state.NewBatcher(newMapStore(), nil, kinds...)
		}()
	}
	if got := state.NameOf(good); got != "n" {
		t.Errorf("got the name %q", got)
	}
}

func TestAPreviewHasTheEffectOfWhatWaits(t *testing.T) {
	op := func(do string, in ...string) state.Op { return newTab().op(do, in...) }
	add := func(n string) state.Op { return op("add", "by", n) }
	for _, c := range []struct {
		name, data string
		ops        []state.Op
		want       string
		effective  int
	}{
		{"nothing waits", `1 {"N":7}`, nil, `1 {"N":7}`, 0},
		{"in their order", `1 {"N":7}`, []state.Op{add("1"), add("-3"), op("take", "by", "5")}, `1 {"N":0}`, 3},
		{"what would be refused", `1 {"N":7}`, []state.Op{op("take", "by", "8"), add("1"), op("take", "by", "8")}, `1 {"N":0}`, 2},
		{"what there is not", `1 {"N":7}`, []state.Op{op("explode"), op(state.Void), add("1")}, `1 {"N":8}`, 1},
		{"one that panics", `1 {"N":7}`, []state.Op{add("1"), op("panic"), add("1")}, `1 {"N":9}`, 2},
		{"one that changes what it is given, and fails", `1 {"N":7,"By":{"a":1}}`, []state.Op{add("1"), op("dirty"), add("1")}, `1 {"N":9,"By":{"a":1}}`, 2},
		{"the same at first", `1 {"N":7,"By":{"a":1}}`, []state.Op{op("dirty")}, `1 {"N":7,"By":{"a":1}}`, 0},
		{"never written", ``, []state.Op{add("2")}, `1 {"N":2}`, 1},
		{"more than there is room for", `1 {"N":7}`, []state.Op{op("grow", "text", strings.Repeat("x", 2000))}, `1 {"N":7}`, 0},
		{"of a later version", `2 {"N":7}`, []state.Op{add("1")}, `2 {"N":7}`, 0},
		{"what is no state", `garbage`, []state.Op{add("1")}, `garbage`, 0},
	} {
		got, n := tallies().Preview("x", []byte(c.data), c.ops)
		if string(got) != c.want || n != c.effective {
			t.Errorf("%s: got %s and %d, want %s and %d", c.name, got, n, c.want, c.effective)
		}
	}
}

func FuzzFieldsAsJSON(f *testing.F) {
	for _, s := range []string{`{"a":"1","b":["2",3,true]}`, `{}`, `null`, `{"a":null}`, `{"a":[[]]}`, `{"a":{}}`, `{"":""}`, `{"a":1e400}`, `{"a":[]}`, `{"a":"\ud800"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var fields state.Fields
		if json.Unmarshal(raw, &fields) != nil {
			return
		}
		again, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		var same state.Fields
		if err := json.Unmarshal(again, &same); err != nil {
			t.Fatalf("%s became %s: %v", raw, again, err)
		}
		for name, values := range fields {
			if fmt.Sprintf("%q", same[name]) != fmt.Sprintf("%q", values) {
				t.Fatalf("%s: %q became %q", name, values, same[name])
			}
		}
	})
}
