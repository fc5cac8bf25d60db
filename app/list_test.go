package app_test

import (
	"fmt"
	"strings"
	"testing"

	"lockstep/app"
	"lockstep/state"
)

// todos is a list of items, each "id text", with a + before the text of what is done.
func todos(t *testing.T, items ...string) (l app.Todos) {
	t.Helper()
	for _, item := range items {
		id, text, _ := strings.Cut(item, " ")
		text, done := strings.CutPrefix(text, "+")
		var err error
		if l, err = l.Append(id, app.Todo{Text: text, Done: done, By: "a"}); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func TestAListHasItemsInAnOrder(t *testing.T) {
	three := todos(t, "x milk", "y tea", "z +bread")
	full := app.Todos{}
	for i := range app.MaxItems {
		var err error
		if full, err = full.Append(fmt.Sprint("i", i), app.Todo{Text: "milk"}); err != nil {
			t.Fatal(err)
		}
	}
	in := func(pairs ...string) state.Fields {
		f := make(state.Fields)
		for i := 0; i < len(pairs); i += 2 {
			f[pairs[i]] = []string{pairs[i+1]}
		}
		return f
	}
	long := strings.Repeat("ä", app.MaxText)
	tryAll(t, app.Lists(), []acted[app.Todos]{
		{"a tick", three, "toggle", in("id", "x"), "b", todos(t, "x +milk", "y tea", "z +bread"), ""},
		{"one that is taken back", three, "toggle", in("id", "z"), "b", todos(t, "x milk", "y tea", "z bread"), ""},
		{"of what has gone", three, "toggle", in("id", "w"), "b", three, "not there any more"},
		{"of nothing", three, "toggle", nil, "b", three, "not there any more"},
		{"another text", three, "rename", in("id", "y", "text", " oat \n milk "), "b", todos(t, "x milk", "y oat milk", "z +bread"), ""},
		{"a text that is none", three, "rename", in("id", "y", "text", " \t"), "b", three, "no text"},
		{"a text of as many letters as can be", three, "rename", in("id", "y", "text", long), "b", todos(t, "x milk", "y "+long, "z +bread"), ""},
		{"a text of one more", three, "rename", in("id", "y", "text", long+"ä"), "b", three, "200 letters"},
		{"another text of what has gone", three, "rename", in("id", "w", "text", "x"), "b", three, "not there any more"},
		{"behind another", three, "move", in("id", "x", "behind", "z"), "b", todos(t, "y tea", "z +bread", "x milk"), ""},
		{"to the front", three, "move", in("id", "z"), "b", todos(t, "z +bread", "x milk", "y tea"), ""},
		{"behind what has gone", three, "move", in("id", "z", "behind", "w"), "b", three, "not there any more"},
		{"up", three, "up", in("id", "z"), "b", todos(t, "x milk", "z +bread", "y tea"), ""},
		{"up to the front", three, "up", in("id", "y"), "b", todos(t, "y tea", "x milk", "z +bread"), ""},
		{"up from the front", three, "up", in("id", "x"), "b", three, ""},
		{"up of what has gone", three, "up", in("id", "w"), "b", three, "not there any more"},
		{"down", three, "down", in("id", "x"), "b", todos(t, "y tea", "x milk", "z +bread"), ""},
		{"down from the end", three, "down", in("id", "z"), "b", three, ""},
		{"down of what has gone", three, "down", in("id", "w"), "b", three, "not there any more"},
		{"down in an empty list", app.Todos{}, "down", in("id", "w"), "b", app.Todos{}, "not there any more"},
		{"away", three, "remove", in("id", "y"), "b", todos(t, "x milk", "z +bread"), ""},
		{"away twice", three, "remove", in("id", "w"), "b", three, "not there any more"},
		{"what is done", todos(t, "x +milk", "y tea", "z +bread"), "clear", nil, "b", todos(t, "y tea"), ""},
		{"nothing that is done", todos(t, "y tea"), "clear", nil, "b", todos(t, "y tea"), ""},
		{"one more than there can be", full, "add", in("text", "one more"), "b", full, "1000 items"},
		{"one without a text", three, "add", in("text", ""), "b", three, "no text"},
	})
	added, err := app.Lists().Actions["add"](three, in("text", " <b>new</b>  thing"), state.Call{User: "b", Op: "op-1"})
	if err != nil || added.Len() != 4 {
		t.Fatalf("got %d items, %v", added.Len(), err)
	}
	if id, todo := added.At(3); id != "op-1" || todo != (app.Todo{Text: "<b>new</b> thing", By: "b"}) {
		t.Errorf("got %s %+v at the end", id, todo)
	}
}

// TestAFullListHasRoom: a list of ordinary texts refuses items by their number, not because of its
// bytes.
func TestAFullListHasRoom(t *testing.T) {
	l := app.Todos{}
	for i := range app.MaxItems {
		var err error
		l, err = l.Append(fmt.Sprintf("abcdefghijkl-%d", i), app.Todo{Text: strings.Repeat("ü", app.MaxText), By: strings.Repeat("u", 16)})
		if err != nil {
			t.Fatal(err)
		}
	}
	data, err := app.Lists().Write(l)
	if err != nil || len(data) > app.Lists().MaxData {
		t.Errorf("got %d bytes, %v, want at most %d", len(data), err, app.Lists().MaxData)
	}
}

func TestALogTakesMessages(t *testing.T) {
	say := app.Logs().Actions["say"]
	for _, c := range []struct{ text, want, says string }{
		{"hello", "hello", ""},
		{" two\nlines ", "two\nlines", ""},
		{"not \xff UTF-8", "not  UTF-8", ""},
		{"", "", "no text"},
		{" \n\t", "", "no text"},
		{strings.Repeat("ß", app.MaxMessage), strings.Repeat("ß", app.MaxMessage), ""},
		{strings.Repeat("ß", app.MaxMessage+1), "", "500 letters"},
	} {
		before := app.Talk{N: 7}
		after, err := say(before, state.Fields{"text": {c.text}}, state.Call{User: "me", Op: "op-1"})
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) || after.N != 7 || len(after.Appended()) > 0 {
				t.Errorf("%q: got %+v, %v, want %q", c.text, after, err, c.says)
			}
			continue
		}
		all := after.Appended()
		if err != nil || after.N != 8 || len(all) != 1 || all[0].ID != "op-1" || all[0].M != (app.Message{By: "me", Text: c.want}) {
			t.Errorf("%q: got %+v, %v", c.text, all, err)
		}
		if len(before.Appended()) > 0 {
			t.Errorf("%q: it has changed what it was given", c.text)
		}
	}
}
