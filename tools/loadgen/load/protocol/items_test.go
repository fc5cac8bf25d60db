package protocol_test

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"lockstep/internal/items"
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

// TestWhatPeopleDoToAList: they add, and do to items what can be done.
func TestWhatPeopleDoToAList(t *testing.T) {
	l, chance := protocol.Lockstep{Kind: protocol.List}, rand.New(rand.NewPCG(1, 2))
	if do, in := l.Pick(&protocol.Items{}, chance); do != "add" || in["text"] == "" {
		t.Errorf("got %s %v of an empty list", do, in)
	}
	done, few := make(map[string]int), &protocol.Items{All: []items.Item{{ID: "a"}, {ID: "b"}, {ID: "c"}}}
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
