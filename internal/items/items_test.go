package items_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lockstep/internal/items"
)

func TestMessagesWithItemsAreRead(t *testing.T) {
	for _, c := range []struct {
		kind items.Kind
		in   string // from the version on
		want items.Change
		err  string
	}{
		{items.List, `"a":6,"v":7,"content":"<hx-list hx-target=\"#items\" put=\"i-b:i-a i-c:\" gone=\"i-d i-e\"><li id=\"i-b\"><span>x</span></li></hx-list>"`, items.Change{
			Base: 6, HasBase: true, Put: []items.Place{{ID: "b", Behind: "a"}, {ID: "c"}}, Gone: []string{"d", "e"}, Items: []items.Item{{ID: "b", Text: "x"}}}, ""},
		{items.List, `"v":7,"content":"<hx-list hx-target=\"#items\" all></hx-list>"`, items.Change{Whole: true}, ""},
		{items.Log, `"v":7,"content":"<hx-list hx-target=\"#log\" all gap=\"12\"><li id=\"m-b\" data-n=\"5\"><b>me</b><span>x</span></li></hx-list>"`,
			items.Change{Whole: true, Gap: 12, Items: []items.Item{{ID: "b", N: 5, Text: "x"}}}, ""},
		{items.Log, `"a":6,"v":7,"content":"<hx-list hx-target=\"#log\"><li id=\"m-b\"></li></hx-list>"`, items.Change{}, `has the number ""`},
		{items.List, `"v":7,"content":"<hx-list hx-target=\"#items\"></hx-list>"`, items.Change{}, "does not say of which version"},
		{items.List, `"a":8,"v":7,"content":"<hx-list hx-target=\"#items\"></hx-list>"`, items.Change{}, "is said to follow from version 8"},
		{items.List, `"a":7,"v":7,"content":"<hx-list hx-target=\"#items\"></hx-list>"`, items.Change{Base: 7, HasBase: true}, ""},
		{items.List, `"a":6,"v":7,"content":"<hx-list hx-target=\"#items\" put=\"i-b\"></hx-list>"`, items.Change{}, "is no place"},
		{items.List, `"v":7,"content":"<p>"`, items.Change{}, "no hx-list"},
	} {
		m, err := items.ReadMessage([]byte(`{"t":"list:a","e":1,"swap":"none",`+c.in+`}`), c.kind)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: got %v, want %q", c.in, err, c.err)
			}
			continue
		}
		c.want.Epoch, c.want.Version = 1, 7
		if err != nil || !reflect.DeepEqual(m, &c.want) {
			t.Errorf("%s: got %+v, %v, want %+v", c.in, m, err, c.want)
		}
	}
}

func itemsOf(kind items.Kind, ids string) *items.Items {
	m := &items.Items{Kind: kind}
	for id := range strings.FieldsSeq(ids) {
		item := items.Item{ID: id}
		if n := 0; kind == items.Log {
			_, _ = fmt.Sscanf(id, "e%d", &n)
			item.N = uint64(n)
		}
		m.All = append(m.All, item)
	}
	return m
}

func TestChangesAreTakenAsAPageDoes(t *testing.T) {
	list, log := items.List, items.Log
	put := func(pairs ...string) (all []items.Place) {
		for _, p := range pairs {
			id, behind, _ := strings.Cut(p, ":")
			all = append(all, items.Place{ID: id, Behind: behind})
		}
		return all
	}
	for _, c := range []struct {
		kind         items.Kind
		before, with string // ids of the items in the message
		change       items.Change
		want, wrong  string
	}{
		{list, "a b c", "d", items.Change{Put: put("d:a")}, "a d b c", ""},
		{list, "a b c", "d e", items.Change{Put: put("e:", "d:e")}, "e d a b c", ""},
		{list, "a b c", "", items.Change{Put: put("c:")}, "c a b", ""},
		{list, "a b c", "b", items.Change{Gone: []string{"a", "x"}}, "b c", ""},
		{list, "a b c", "d", items.Change{}, "a b c d", ""},
		{list, "a b c", "c b", items.Change{Whole: true}, "c b", ""},
		{list, "a b c", "c c", items.Change{Whole: true}, "c c", "has c twice"},
		{list, "a b c", "d", items.Change{Put: put("d:x")}, "a b c d", "puts d behind x, which is not there"},
		{list, "a b c", "", items.Change{Put: put("d:a")}, "a b c", "puts d in its place, which is not there"},
		{log, "e1 e2", "e3 e4", items.Change{}, "e1 e2 e3 e4", ""},
		{log, "e1 e2", "e2 e3", items.Change{}, "e1 e2 e3", ""},
		{log, "e1 e2", "e4", items.Change{}, "e1 e2 e4", "has entry 4 right behind entry 2"},
		{log, "e1 e2 e4", "e3", items.Change{}, "e1 e2 e4", "behind entry 4"},
		{log, "e4 e5", "e2 e3 e4 e5 e6", items.Change{}, "e4 e5 e6", ""},
		{log, "e1 e2", "e7 e8", items.Change{Whole: true, Gap: 4}, "e7 e8", ""},
		{log, "e1 e2", "e7 e8", items.Change{Whole: true}, "e7 e8", "goes on with entry 7 after entry 2"},
		{log, "e1 e2", "e7 e8", items.Change{Whole: true, Epoch: 5}, "e7 e8", ""},
		{log, "e1 e2", "e2 e3", items.Change{Whole: true}, "e2 e3", ""},
		{log, "", "e7 e8", items.Change{Whole: true}, "e7 e8", ""},
	} {
		c.change.Items = itemsOf(c.kind, c.with).All
		before := itemsOf(c.kind, c.before)
		got, err := before.Take(&c.change, c.kind)
		if got.Epoch != c.change.Epoch {
			t.Errorf("got the epoch %d, want %d", got.Epoch, c.change.Epoch)
		}
		if want := itemsOf(c.kind, c.want); !slices.Equal(got.All, want.All) {
			t.Errorf("%s with %+v: got %v, want %v", c.before, c.change, got.All, want.All)
		}
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s with %+v: got %v, want %q", c.before, c.change, err, c.wrong)
		}
		if !reflect.DeepEqual(before, itemsOf(c.kind, c.before)) {
			t.Errorf("%s with %+v: what was shown has changed", c.before, c.change)
		}
	}
}

// TestASumIsOfWhatIsShown: it differs when anything does, and tells nothing of how much of a log is
// shown.
func TestASumIsOfWhatIsShown(t *testing.T) {
	list := itemsOf(items.List, "a b")
	for what, other := range map[string]*items.Items{
		"order": itemsOf(items.List, "b a"), "less": itemsOf(items.List, "a"),
		"text": {All: []items.Item{{ID: "a", Text: "x"}, {ID: "b"}}}, "tick": {All: []items.Item{{ID: "a", Done: true}, {ID: "b"}}},
	} {
		if list.Sum() == other.Sum() {
			t.Errorf("another %s has the sum %s, too", what, list.Sum())
		}
	}
	var all strings.Builder
	for i := range 30 {
		fmt.Fprintf(&all, "e%d ", i+1)
	}
	log := itemsOf(items.Log, all.String())
	part := &items.Items{Kind: items.Log, All: log.All[5:]}
	if log.Sum() != part.Sum() || log.Count() != 30 || part.Count() != 30 {
		t.Errorf("got %s and %s", log.Sum(), part.Sum())
	}
	if value := part.Value(); !strings.HasPrefix(value, "6 e6= e7= ") {
		t.Errorf("got %s", value)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`<hx-list put="i-a:i-b" gone="i-c"><li id="i-a"><span>x</span></li></hx-list>`)
	f.Add(`<ul data-list><li id="i-a"></span></li><span>`)
	f.Fuzz(func(t *testing.T, body string) {
		for _, k := range []items.Kind{items.List, items.Log} {
			c, err := items.Read([]byte(body), k)
			if err != nil {
				continue
			}
			var m *items.Items
			m, _ = m.Take(c, k)
			_, _ = m.Take(c, k)
			_ = m.Sum() + m.Value()
		}
	})
}
