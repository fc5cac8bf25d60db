package lockstep_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/a-h/templ"

	"lockstep"
)

// rendered returns what a component renders in a page, or the error.
func rendered(t *testing.T, page *lockstep.Page, c templ.Component) (string, error) {
	t.Helper()
	var b strings.Builder
	err := c.Render(lockstep.WithPage(templ.WithChildren(t.Context(), html("<button>Do</button>")), page), &b)
	return b.String(), err
}

func TestRoomsAndFormsInAPage(t *testing.T) {
	a := newApp()
	var sh *lockstep.Shared[int]
	var list *lockstep.List[int]
	err := start(t, a, func(a *lockstep.App) {
		sh = lockstep.Share(a, "x", func(int) templ.Component { return html("<b>none</b>") })
		lockstep.On(sh, "add", add)
		list = lockstep.Listing(a, "l", func(lockstep.Item[int]) templ.Component { return html("") })
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		c    templ.Component
		want []string
		err  string
	}{
		"a room": {sh.At("a"), []string{`<div `, `id="r-x_a"`, `data-topic="x:a"`, `data-version="0"`, `<b>none</b>`}, ""},
		"a list": {list.At("a"), []string{`<ul `, `id="r-l_a"`, `data-list`}, ""},
		"a room of another element": {
			sh.At("a").With("section", templ.Attributes{"class": "big"}), []string{`<section `, `class="big"`, `id="r-x_a"`}, "",
		},
		"a form": {
			sh.At("a").Form("add", "id", `"1"`), []string{
				`method="post"`, `data-topic="x:a"`, `data-do="add"`, `hx-ws:send`, `action="/to/x:a/add"`,
				`name="id" value="&#34;1&#34;"`, `<button>Do</button>`,
			}, "",
		},
		"a form with attributes":        {sh.At("a").Form("add").With(templ.Attributes{"data-reset": true}), []string{`data-reset`}, ""},
		"no room":                       {lockstep.Room{}, nil, "the zero Room has nothing to show"},
		"no form":                       {lockstep.Room{}.Form("add"), nil, "the zero Room has no forms"},
		"a room of a key that can't be": {sh.At("a/b"), nil, "there is no such topic"},
		"a form of no action":           {sh.At("a").Form("explode"), nil, `x:a has no action "explode"`},
		"a form with half a field":      {sh.At("a").Form("add", "id"), nil, "a field without a value"},
	} {
		t.Run(name, func(t *testing.T) {
			page := &lockstep.Page{To: func(topic, action string, _ ...string) string { return "/to/" + topic + "/" + action }}
			got, err := rendered(t, page, c.c)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("got %s\nwithout %s", got, want)
				}
			}
		})
	}
}

func TestAPageKnowsWhatItShows(t *testing.T) {
	a := newApp()
	var sh *lockstep.Shared[int]
	var chat *lockstep.Log[int]
	err := start(t, a, func(a *lockstep.App) {
		sh = lockstep.Share(a, "x", showNumber)
		chat = lockstep.Logging(a, "l", 0, func(lockstep.Entry[int]) templ.Component { return html("") })
	})
	if err != nil {
		t.Fatal(err)
	}
	page := new(lockstep.Page)
	for _, r := range []lockstep.Room{sh.At("b"), chat.At("a"), sh.At("b")} {
		if _, err := rendered(t, page, r); err != nil {
			t.Fatal(err)
		}
	}
	if got := page.Topics(); !slices.Equal(got, []string{"x:b", "l:a"}) {
		t.Errorf("got the topics %v", got)
	}
	if got := page.Scripts(); !slices.Equal(got, []string{"list.js", "log.js"}) {
		t.Errorf("got the scripts %v", got)
	}
	if err := page.Err(); err != nil {
		t.Error(err)
	}
}

// TestAFormHasThePageLoadWhatSeesToIt: also where nothing else on the page needs it.
func TestAFormHasThePageLoadWhatSeesToIt(t *testing.T) {
	for attribute, want := range map[string]string{
		"data-once": "forms.js", "data-reset": "list.js", "data-preview": "list.js", "data-drop": "drag.js", "class": "",
	} {
		a := newApp()
		sh := lockstep.Share(a, "x", showNumber)
		lockstep.On(sh, "add", add)
		page := new(lockstep.Page)
		if _, err := rendered(t, page, sh.At("a").Form("add").With(templ.Attributes{attribute: "x"})); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(page.Scripts(), " "); got != want {
			t.Errorf("%s: got the scripts %q, want %q", attribute, got, want)
		}
	}
}

// TestARoomBeforeTheStartSaysWhy: a page that is served too early is an error, and no crash.
func TestARoomBeforeTheStartSaysWhy(t *testing.T) {
	page := new(lockstep.Page)
	if _, err := rendered(t, page, lockstep.Share(newApp(), "x", showNumber).At("a")); err != nil {
		t.Fatal(err)
	}
	if err := page.Err(); err == nil || !strings.Contains(err.Error(), "has not been started") {
		t.Errorf("got %v", err)
	}
}

func TestIDsOfTwoRoomsDiffer(t *testing.T) {
	a := newApp()
	sh := lockstep.ShareWith(a, lockstep.SharedOptions[int]{ValidKey: func(string) bool { return true }})
	seen := make(map[string]string)
	for _, key := range []string{"a", "A", "a b", "a_b", "ä", "", "a:b", "-"} {
		id := sh.At(key).ID()
		if other, ok := seen[id]; ok {
			t.Errorf("%q and %q have the id %s", key, other, id)
		}
		seen[id] = key
		if strings.ContainsAny(id, " :.#") {
			t.Errorf("%q has the id %q, which is no selector", key, id)
		}
	}
}
