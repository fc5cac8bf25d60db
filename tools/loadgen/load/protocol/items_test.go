package protocol_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"lockstep/tools/loadgen/load/protocol"
)

const listPage = `<!doctype html><main hx-ws:connect="/ws/list/a" data-user="me"><section id="list" data-topic="list:a" data-version="7" data-epoch="2">
<ul id="items" data-list><li id="i-a"><button><span></span></button><span id="t-a">milk <b>&amp; more</b></span><span>no</span></li><li class="x done" id="i-b"><span>eggs</span></li></ul>
<div id="head"><p data-sum="2 things"></p></div></section><template><li class="pending"><span>x</span></li></template></main>`

func TestAListIsRead(t *testing.T) {
	l := protocol.Lockstep{Kind: protocol.List}
	v, err := l.Open(address(t, "http://host/list/a"), nil, []byte(strings.Replace(listPage, "<span></span>", "", 1)))
	if err != nil {
		t.Fatal(err)
	}
	want := []protocol.Item{{ID: "a", Text: "milk & more"}, {ID: "b", Text: "eggs", Done: true}}
	if !v.Known || v.Topic != "list:a" || !reflect.DeepEqual(v.Items.All, want) || v.State.Version != 7 || v.State.Count != 2 || v.State.Value == "" {
		t.Errorf("got %+v of %+v, want %+v", v.Items, v, want)
	}
	unknown, err := l.Open(address(t, "http://host/list/a"), nil, []byte(strings.Replace(listPage, "2 things", "", 1)))
	if err != nil || unknown.Known {
		t.Errorf("got %+v, %v, want a page that knows nothing", unknown, err)
	}
	if _, err := l.Open(address(t, "http://host/list/a"), nil, []byte(page)); err == nil || !strings.Contains(err.Error(), "is this the page of a list?") {
		t.Errorf("got %v of the page of a counter", err)
	}
}

func TestMessagesWithItemsAreRead(t *testing.T) {
	for _, c := range []struct {
		kind protocol.Kind
		in   string // from the version on
		want protocol.Change
		err  string
	}{
		{protocol.List, `"a":6,"v":7,"content":"<hx-list hx-target=\"#items\" put=\"i-b:i-a i-c:\" gone=\"i-d i-e\"><li id=\"i-b\"><span>x</span></li></hx-list>"`, protocol.Change{
			Base: 6, HasBase: true, Put: []protocol.Place{{ID: "b", Behind: "a"}, {ID: "c"}}, Gone: []string{"d", "e"}, Items: []protocol.Item{{ID: "b", Text: "x"}}}, ""},
		{protocol.List, `"v":7,"content":"<hx-list hx-target=\"#items\" all></hx-list>"`, protocol.Change{Whole: true}, ""},
		{protocol.Log, `"v":7,"content":"<hx-list hx-target=\"#log\" all gap=\"12\"><li id=\"m-b\" data-n=\"5\"><b>me</b><span>x</span></li></hx-list>"`,
			protocol.Change{Whole: true, Gap: 12, Items: []protocol.Item{{ID: "b", N: 5, Text: "x"}}}, ""},
		{protocol.Log, `"a":6,"v":7,"content":"<hx-list hx-target=\"#log\"><li id=\"m-b\"></li></hx-list>"`, protocol.Change{}, `has the number ""`},
		{protocol.List, `"v":7,"content":"<hx-list hx-target=\"#items\"></hx-list>"`, protocol.Change{}, "does not say of which version"},
		{protocol.List, `"a":8,"v":7,"content":"<hx-list hx-target=\"#items\"></hx-list>"`, protocol.Change{}, "is said to follow from version 8"},
		{protocol.List, `"a":7,"v":7,"content":"<hx-list hx-target=\"#items\"></hx-list>"`, protocol.Change{Base: 7, HasBase: true}, ""},
		{protocol.List, `"a":6,"v":7,"content":"<hx-list hx-target=\"#items\" put=\"i-b\"></hx-list>"`, protocol.Change{}, "is no place"},
		{protocol.List, `"v":7,"content":"<p>"`, protocol.Change{}, "no hx-list"},
	} {
		m, err := protocol.Lockstep{Kind: c.kind}.Read(nil, []byte(`{"t":"list:a","e":1,"swap":"none",`+c.in+`}`))
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: got %v, want %q", c.in, err, c.err)
			}
			continue
		}
		c.want.Epoch, c.want.Version = 1, 7
		if err != nil || m.HasState || !reflect.DeepEqual(m.Change, &c.want) {
			t.Errorf("%s: got %+v, %v, want %+v", c.in, m.Change, err, c.want)
		}
	}
}

func itemsOf(kind protocol.Kind, ids string) *protocol.Items {
	m := &protocol.Items{Kind: kind}
	for id := range strings.FieldsSeq(ids) {
		item := protocol.Item{ID: id}
		if n := 0; kind == protocol.Log {
			_, _ = fmt.Sscanf(id, "e%d", &n)
			item.N = uint64(n)
		}
		m.All = append(m.All, item)
	}
	return m
}

func TestChangesAreTakenAsAPageDoes(t *testing.T) {
	list, log := protocol.List, protocol.Log
	put := func(pairs ...string) (all []protocol.Place) {
		for _, p := range pairs {
			id, behind, _ := strings.Cut(p, ":")
			all = append(all, protocol.Place{ID: id, Behind: behind})
		}
		return all
	}
	for _, c := range []struct {
		kind         protocol.Kind
		before, with string // ids of the items in the message
		change       protocol.Change
		want, wrong  string
	}{
		{list, "a b c", "d", protocol.Change{Put: put("d:a")}, "a d b c", ""},
		{list, "a b c", "d e", protocol.Change{Put: put("e:", "d:e")}, "e d a b c", ""},
		{list, "a b c", "", protocol.Change{Put: put("c:")}, "c a b", ""},
		{list, "a b c", "b", protocol.Change{Gone: []string{"a", "x"}}, "b c", ""},
		{list, "a b c", "d", protocol.Change{}, "a b c d", ""},
		{list, "a b c", "c b", protocol.Change{Whole: true}, "c b", ""},
		{list, "a b c", "c c", protocol.Change{Whole: true}, "c c", "has c twice"},
		{list, "a b c", "d", protocol.Change{Put: put("d:x")}, "a b c d", "puts d behind x, which is not there"},
		{list, "a b c", "", protocol.Change{Put: put("d:a")}, "a b c", "puts d in its place, which is not there"},
		{log, "e1 e2", "e3 e4", protocol.Change{}, "e1 e2 e3 e4", ""},
		{log, "e1 e2", "e2 e3", protocol.Change{}, "e1 e2 e3", ""},
		{log, "e1 e2", "e4", protocol.Change{}, "e1 e2 e4", "has entry 4 right behind entry 2"},
		{log, "e1 e2 e4", "e3", protocol.Change{}, "e1 e2 e4", "behind entry 4"},
		{log, "e4 e5", "e2 e3 e4 e5 e6", protocol.Change{}, "e4 e5 e6", ""},
		{log, "e1 e2", "e7 e8", protocol.Change{Whole: true, Gap: 4}, "e7 e8", ""},
		{log, "e1 e2", "e7 e8", protocol.Change{Whole: true}, "e7 e8", "goes on with entry 7 after entry 2"},
		{log, "e1 e2", "e2 e3", protocol.Change{Whole: true}, "e2 e3", ""},
		{log, "", "e7 e8", protocol.Change{Whole: true}, "e7 e8", ""},
	} {
		c.change.Items = itemsOf(c.kind, c.with).All
		before := itemsOf(c.kind, c.before)
		got, err := before.Take(&c.change, c.kind)
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

// TestWhatPeopleDoToAList: they add, and do to items what can be done.
func TestWhatPeopleDoToAList(t *testing.T) {
	l, chance := protocol.Lockstep{Kind: protocol.List}, rand.New(rand.NewPCG(1, 2))
	if do, in := l.Pick(itemsOf(protocol.List, ""), chance); do != "add" || in["text"] == "" {
		t.Errorf("got %s %v of an empty list", do, in)
	}
	done, few := make(map[string]int), itemsOf(protocol.List, "a b c")
	for range 1000 {
		do, in := l.Pick(few, chance)
		if done[do]++; do != "add" && do != "clear" && few.Index(in["id"]) < 0 || in["id"] != "" && in["id"] == in["behind"] {
			t.Fatalf("got %s %v", do, in)
		}
	}
	for _, do := range []string{"add", "toggle", "rename", "move", "up", "down", "remove", "clear"} {
		if done[do] == 0 {
			t.Errorf("nobody does %s: %v", do, done)
		}
	}
	if do, in := (protocol.Lockstep{Kind: protocol.Log}).Pick(few, chance); do != "say" || in["text"] == "" {
		t.Errorf("got %s %v of a log", do, in)
	}
}
