package web_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"lockstep/app"
)

var (
	itemElement  = regexp.MustCompile(`<li id="i-([^"]+)"( class="done")?>.*?<span id="t-[^"]*">(.*?)</span>`)
	entryElement = regexp.MustCompile(`<li id="m-[^"]+" data-n="(\d+)" data-by="([^"]*)">.*?<span>(.*?)</span>`)
	olderElement = regexp.MustCompile(`<a class="older" href="([^"]+)"`)
)

// itemsOn are the texts of the items on a page, with a + before what is done, and their ids.
func itemsOn(body string) (texts []string, ids map[string]string) {
	ids = make(map[string]string)
	for _, m := range itemElement.FindAllStringSubmatch(body, -1) {
		text := m[3]
		ids[text] = m[1]
		if m[2] != "" {
			text = "+" + text
		}
		texts = append(texts, text)
	}
	return texts, ids
}

// TestAListWorksWithoutJavaScript: all that can be done to it.
func TestAListWorksWithoutJavaScript(t *testing.T) {
	base, store := serving(t)
	c := browser(t)
	url := base + "/list/x"
	act := func(do string, fields ...string) (texts []string, ids map[string]string) {
		t.Helper()
		resp, body := press(t, c, base+open(t, c, url).forms[do], fields...)
		if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/list/x" {
			t.Fatalf("%s %q: got %d to %q: %s", do, fields, resp.StatusCode, resp.Header.Get("Location"), body)
		}
		return itemsOn(open(t, c, url).body)
	}
	var ids map[string]string
	for _, text := range []string{"milk", "tea", "<b>bread</b>"} {
		_, ids = act("add", "text", text)
	}
	const bread = "&lt;b&gt;bread&lt;/b&gt;"
	for _, step := range []struct {
		do   string
		in   []string
		want string
	}{
		{"up", []string{"id", ids[bread]}, "milk," + bread + ",tea"},
		{"down", []string{"id", ids["milk"]}, bread + ",milk,tea"},
		{"toggle", []string{"id", ids["milk"]}, bread + ",+milk,tea"},
		{"remove", []string{"id", ids["tea"]}, bread + ",+milk"},
		{"clear", nil, bread},
	} {
		if texts, _ := act(step.do, step.in...); strings.Join(texts, ",") != step.want {
			t.Errorf("%s %q: got %q, want %s", step.do, step.in, texts, step.want)
		}
	}
	if got := stateOf(t, store, app.Lists(), "x"); got.Len() != 1 {
		t.Errorf("got %d items in the store, want one", got.Len())
	}
	resp, body := press(t, c, base+open(t, c, url).forms["remove"], "id", ids["tea"])
	if resp.StatusCode != http.StatusConflict || !strings.Contains(body, "this is not there any more") {
		t.Errorf("got %d for what has gone: %s", resp.StatusCode, body)
	}
}

// TestAnItemIsRenamedWithoutJavaScript: the form in it has no identity, so it leads to a page with
// one that has, and changes nothing by itself.
func TestAnItemIsRenamedWithoutJavaScript(t *testing.T) {
	base, _ := serving(t)
	c := browser(t)
	url := base + "/list/x"
	if _, ok := open(t, c, url).forms["rename"]; ok {
		t.Error("a page renames something that nobody has asked for")
	}
	press(t, c, base+open(t, c, url).forms["add"], "text", "milk")
	_, ids := itemsOn(open(t, c, url).body)
	p := open(t, c, url+"?id="+ids["milk"]+"&text=%22oat%22+milk")
	if texts, _ := itemsOn(p.body); strings.Join(texts, ",") != "milk" || !strings.Contains(p.body, `value="&#34;oat&#34; milk"`) {
		t.Errorf("got %q on the page that asks, want milk, and the text in a field", texts)
	}
	resp, _ := press(t, c, base+p.forms["rename"], "id", ids["milk"], "text", `"oat" milk`)
	if texts, _ := itemsOn(open(t, c, url).body); resp.StatusCode != http.StatusSeeOther || strings.Join(texts, ",") != "&#34;oat&#34; milk" {
		t.Errorf("got %d and %q", resp.StatusCode, texts)
	}
	for _, query := range []string{"?id=nothing&text=x", "?id=&text=x", "?id=" + ids["milk"] + "x", "?text=x"} {
		if _, ok := open(t, c, url+query).forms["rename"]; ok {
			t.Errorf("%s: the page renames what is not there", query)
		}
	}
}

// numbersOn are the numbers of the entries on a page, the first and the last.
func numbersOn(body string) string {
	all := entryElement.FindAllStringSubmatch(body, -1)
	if len(all) == 0 {
		return "none"
	}
	return fmt.Sprintf("%s-%s of %d", all[0][1], all[len(all)-1][1], len(all))
}

func TestALogIsReadWithoutJavaScript(t *testing.T) {
	base, _ := serving(t)
	c := browser(t)
	url := base + "/log/x"
	say := func(text string) {
		t.Helper()
		resp, body := press(t, c, base+open(t, c, url).forms["say"], "text", text, "by", "eve")
		if resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/log/x" {
			t.Fatalf("got %d to %q: %s", resp.StatusCode, resp.Header.Get("Location"), body)
		}
	}
	if got := numbersOn(open(t, c, url).body); got != "none" {
		t.Errorf("got %s of what nobody has written", got)
	}
	say("<i>first</i>")
	p := open(t, c, url)
	if m := entryElement.FindStringSubmatch(p.body); m == nil || m[1] != "1" || m[2] != p.user || m[3] != "&lt;i&gt;first&lt;/i&gt;" {
		t.Errorf("got the entry %q, want the first, of %s", m, p.user)
	}
	for i := range 119 {
		say(fmt.Sprint("message ", i))
	}
	var got []string
	for at := "/log/x"; at != "" && len(got) < 9; {
		body := open(t, c, base+at).body
		got = append(got, numbersOn(body))
		m := olderElement.FindStringSubmatch(body)
		if m == nil {
			break
		}
		at = m[1]
	}
	if want := "71-120 of 50, 21-70 of 50, 1-20 of 20"; strings.Join(got, ", ") != want {
		t.Errorf("got the pages %q, want %s", got, want)
	}
	for before, want := range map[string]string{
		"1": "none", "2": "1-1 of 1", "0": "71-120 of 50", "-1": "71-120 of 50", "x": "71-120 of 50", "": "71-120 of 50",
		"121": "71-120 of 50", "18446744073709551615": "71-120 of 50", "18446744073709551616": "71-120 of 50",
	} {
		if got := numbersOn(open(t, c, url+"?before="+before).body); got != want {
			t.Errorf("before %s: got %s, want %s", before, got, want)
		}
	}
	if p := open(t, c, url+"?before=50"); len(p.forms) != 0 || !strings.Contains(p.body, `href="/log/x"`) {
		t.Errorf("got the forms %v on a page of older entries, want none, and the way to the newest", p.forms)
	}
}

// TestOlderEntriesCanBeHadAlone, for a page that puts them above its own.
func TestOlderEntriesCanBeHadAlone(t *testing.T) {
	base, _ := serving(t)
	c := browser(t)
	for range 3 {
		press(t, c, base+open(t, c, base+"/log/x").forms["say"], "text", "hello")
	}
	asked := http.Header{"HX-Request": {"true"}}
	resp, body := do(t, c, "GET", base+"/log/x?before=3", nil, asked)
	if !strings.HasPrefix(body, "<li id=") || numbersOn(body) != "1-2 of 2" || !strings.Contains(resp.Header.Get("Vary"), "HX-Request") {
		t.Errorf("got %s, with Vary %q", body, resp.Header.Values("Vary"))
	}
	for _, path := range []string{"/log/x", "/list/x", "/log/x?before=y"} {
		if _, body := do(t, c, "GET", base+path, nil, asked); !strings.HasPrefix(body, "<!doctype html>") {
			t.Errorf("%s: got a part: %.80s", path, body)
		}
	}
}
