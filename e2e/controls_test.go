package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"lockstep/htmx"
	"lockstep/live"
	"lockstep/live/wslive"
	states "lockstep/state"
	"lockstep/static"
)

// A sheet is a page with a form of every kind of control, which all tabs share. What a person
// changes is sent at once. The demo has no such page, but applications do.
type sheet struct {
	url    string
	rooms  *live.Rooms[answers]
	refuse atomic.Bool // what is sent
	// overrule is what somebody else sets in the same moment as each person here; nil: nothing.
	overrule atomic.Pointer[answers]

	mu  sync.Mutex
	now answers
}

// answers are what is in the form: values by the names of its controls. Several are joined by
// commas. They are not changed.
type answers map[string]string

const sheetRoom = "sheet"

var sheetForm = template.Must(template.New("").Funcs(template.FuncMap{
	"has":   func(list, one string) bool { return strings.Contains(","+list+",", ","+one+",") },
	"words": func(text string) []string { return strings.Fields(text) },
}).Parse(`<form id="form" data-topic="sheet" data-do="answer" hx-ws:send hx-trigger="change">
<fieldset id="fieldset" {{if .locked}}disabled{{end}}>
{{$all := .}}{{range words "text search number date range color"}}<input type="{{.}}" name="{{.}}" id="{{.}}" value="{{index $all .}}">
{{end}}<textarea name="textarea" id="textarea">{{.textarea}}</textarea>
<input type="checkbox" name="checkbox" id="checkbox" value="on" {{if .checkbox}}checked{{end}}>
{{range words "a b c"}}<input type="radio" name="radio" id="radio-{{.}}" value="{{.}}" {{if eq . $all.radio}}checked{{end}}>
{{end}}<select name="select" id="select"><option value="">none</option>{{range words "a b c"}}<option {{if eq . $all.select}}selected{{end}}>{{.}}</option>{{end}}</select>
<select name="multiple" id="multiple" multiple>{{range words "a b c"}}<option {{if has $all.multiple .}}selected{{end}}>{{.}}</option>{{end}}</select>
</fieldset></form>
<details id="details" {{if .details}}open{{end}}><summary>more</summary><p>{{.text}}</p></details>
<dialog id="dialog" {{if .dialog}}open{{end}}><p>{{.text}}</p></dialog>
{{if .extra}}<details id="extra"><summary>extra</summary><p>{{.text}}</p></details>{{end}}
<p id="frame">{{.frame}}</p>`))

// Render implements live.Component.
func (a answers) Render(_ context.Context, w io.Writer) error { return sheetForm.Execute(w, a) }

const sheetPage = `<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>sheet</title>
<meta name="htmx-config" content='{"morphIgnore":["data-htmx-powered"],"history":false}'>
<script src="%s" defer></script>
<p id="status" data-state="connecting"></p><main hx-ws:connect="/ws"><div id="live">%s</div></main></html>`

func newSheet(t *testing.T) *sheet {
	t.Helper()
	assets, err := static.New()
	if err != nil {
		t.Fatal(err)
	}
	s := &sheet{now: answers{
		"text": "one", "search": "one", "number": "1", "date": "2026-01-01", "range": "10", "color": "#000000", "textarea": "one",
		"checkbox": "", "radio": "a", "select": "a", "multiple": "a", "frame": "0",
	}}
	rt := live.NewRuntime(nil)
	rt.Start()
	s.rooms = live.NewRooms(rt, nil, live.RoomsOptions[answers]{
		Topic:  func(key string) string { return key },
		Render: func(_ string, a answers) (string, live.Component) { return "#live", a },
	})
	sockets := wslive.NewHandler(rt, func(*http.Request) live.View { return s }, nil)
	mux := http.NewServeMux()
	mux.Handle("/ws", sockets)
	mux.HandleFunc("/static/", func(w http.ResponseWriter, r *http.Request) {
		f, _ := assets.Open(r.URL.Path, "")
		w.Header().Set("Content-Type", f.ContentType)
		_, _ = w.Write(f.Body) // the test sees what is missing
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		var form bytes.Buffer
		_ = s.get().Render(context.Background(), &form)
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, sheetPage, assets.URL("app.js"), form.String())
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		sockets.Close()
		server.Close()
		rt.Stop()
	})
	s.url = server.URL
	return s
}

func (s *sheet) get() answers {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// set changes some answers, and returns the number of the frame that shows that.
func (s *sheet) set(some answers) string {
	s.mu.Lock()
	next := maps.Clone(s.now)
	maps.Copy(next, some)
	var n int
	_, _ = fmt.Sscan(s.now["frame"], &n)
	next["frame"] = fmt.Sprint(n + 1)
	s.now = next
	s.rooms.Commit(sheetRoom, next) // under mu: in their order
	s.mu.Unlock()
	return next["frame"]
}

// Mount implements live.View.
func (s *sheet) Mount(ctx context.Context, tab *live.Session) error {
	err := s.rooms.Join(ctx, tab, sheetRoom)
	s.rooms.Commit(sheetRoom, s.get())
	return err
}

// HandleEvent implements live.View.
func (s *sheet) HandleEvent(_ context.Context, tab *live.Session, e htmx.Event) error {
	if s.refuse.Load() {
		tab.Refuse(e.Op, "no", false)
		return nil
	}
	var in states.Fields
	if err := json.Unmarshal(e.In, &in); err != nil {
		return err
	}
	some := answers{}
	for name := range s.get() {
		if !strings.Contains("frame details dialog locked extra", name) {
			some[name] = strings.Join(in[name], ",")
		}
	}
	if others := s.overrule.Load(); others != nil {
		maps.Copy(some, *others)
	}
	s.set(some)
	s.rooms.Ack(tab, sheetRoom, e.Op)
	return nil
}

// kinds are the controls that have a value.
var kinds = []string{"text", "search", "number", "date", "range", "color", "textarea", "checkbox", "radio", "select", "multiple"}

// readSheet is what a person sees in the form.
const readSheet = `(() => {
  const value = (el) => el.type === 'checkbox' ? (el.checked ? 'on' : '')
    : el.type === 'select-multiple' ? [...el.selectedOptions].map((o) => o.value).join() : el.value;
  const all = { radio: document.querySelector('[name=radio]:checked')?.value ?? '' };
  for (const name of ['text', 'search', 'number', 'date', 'range', 'color', 'textarea', 'checkbox', 'select', 'multiple'])
    all[name] = value(document.getElementById(name));
  for (const name of ['details', 'dialog']) all[name] = document.getElementById(name).open ? 'open' : '';
  all.locked = document.getElementById('text').matches(':disabled') ? 'locked' : '';
  all.frame = document.getElementById('frame').textContent;
  all.waiting = String(document.querySelector('main').post?.waiting().length);
  return JSON.stringify(all);
})()`

// TestControlsAfterAMorph plays each case with a sheet of its own in each kind of browser.
func TestControlsAfterAMorph(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		play func(t *testing.T, s *sheet, open opener)
	}{
		{"the controls of two tabs converge", controlsOfTwoTabsConverge},
		{"what a person is editing stays", whatAPersonIsEditingStays},
		{"what others set in the same moment is shown", whatOthersSetInTheSameMomentIsShown},
		{"the caret stays in a field that others change", theCaretStaysInAFieldThatOthersChange},
		{"what is open is the person's until the server says something new", whatIsOpenIsThePersonsUntilTheServerSaysSomethingNew},
	}
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			open := e.start(t)
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) { c.play(t, newSheet(t), open) })
			}
		})
	}
}

func (s *sheet) visit(t *testing.T, open opener) *page {
	t.Helper()
	p := open(t)
	p.navigate(s.url)
	p.isLive()
	return p
}

func readForm(p *page) (a answers) {
	p.t.Helper()
	if err := json.Unmarshal([]byte(p.evaluate(readSheet)), &a); err != nil {
		p.t.Fatal(err)
	}
	return a
}

// shows waits until a form shows these answers, with nothing waiting.
func showsForm(p *page, want answers) {
	p.t.Helper()
	eventually(p.t, "the form", func() error {
		got := readForm(p)
		if got["waiting"] != "0" {
			return errorOf(got)
		}
		for name, value := range want {
			if got[name] != value {
				return fmt.Errorf("%s shows %q, want %q, in frame %s", name, got[name], value, got["frame"])
			}
		}
		return nil
	})
}

// choose has a control changed as by a person: with events of its own.
func choose(p *page, name, value string) {
	p.t.Helper()
	p.evaluate(fmt.Sprintf(`(() => {
    const name = %q, value = %q;
    const el = document.getElementById(name === 'radio' ? 'radio-' + value : name);
    el.focus();
    if (name === 'radio' || name === 'checkbox') { el.click(); return ''; }
    if (name === 'multiple') for (const o of el.options) o.selected = value.split(',').includes(o.value);
    else el.value = value;
    el.dispatchEvent(new Event('input', { bubbles: true }));
    el.dispatchEvent(new Event('change', { bubbles: true }));
    return '';
  })()`, name, value))
}

// controlsOfTwoTabsConverge: each is changed here and there in turn, three times. Morphing
// alone leaves a tick, a choice and a text as they are once they have been touched.
func controlsOfTwoTabsConverge(t *testing.T, s *sheet, open opener) {
	tabs := []*page{s.visit(t, open), s.visit(t, open)}
	values := map[string][]string{
		"text": {"two", "three", "four"}, "search": {"two", "three", "four"}, "number": {"2", "3", "4"},
		"date": {"2026-02-02", "2026-03-03", "2026-04-04"}, "range": {"20", "30", "40"}, "color": {"#222222", "#333333", "#444444"},
		"textarea": {"two", "three", "four"}, "checkbox": {"on", "", "on"}, "radio": {"b", "c", "b"}, "select": {"b", "c", "b"},
		"multiple": {"a,b", "c", "b,c"},
	}
	for round := range 3 {
		for i, name := range kinds {
			value := values[name][round]
			choose(tabs[(i+round)%2], name, value)
			for _, tab := range tabs {
				showsForm(tab, answers{name: value})
			}
		}
	}
	for _, tab := range tabs {
		showsForm(tab, s.get())
	}
	if got, want := readForm(tabs[0]), readForm(tabs[1]); !maps.Equal(got, want) {
		t.Errorf("one tab shows %v, and the other %v", got, want)
	}
	// What others change, and what a form is reset to, is what the server says.
	last := answers{}
	for name, all := range values {
		last[name] = all[1]
	}
	s.set(last)
	for _, tab := range tabs {
		showsForm(tab, last)
		tab.evaluate(`document.getElementById('form').reset(); ''`)
		showsForm(tab, last)
	}
}

// whatAPersonIsEditingStays, focused or not, with the caret in its place, while others change
// the same; and goes back when it is refused.
func whatAPersonIsEditingStays(t *testing.T, s *sheet, open opener) {
	tab := s.visit(t, open)
	draft := func(name, value string) {
		tab.evaluate(fmt.Sprintf(`(() => {
      const el = document.getElementById(%q);
      el.focus();
      el.value = %q;
      if (el.type === 'text') el.setSelectionRange(2, 3);
      el.dispatchEvent(new Event('input', { bubbles: true }));
      return '';
    })()`, name, value))
	}
	others := answers{"text": "others", "textarea": "others", "select": "c", "range": "90"}
	drafts := answers{"text": "my draft", "textarea": "my draft", "select": "b", "range": "70"}
	for _, name := range []string{"textarea", "select", "range", "text"} {
		draft(name, drafts[name])
	}
	for _, focused := range []bool{true, false} {
		drafts["frame"] = s.set(others)
		showsForm(tab, drafts)
		if focused {
			if got := tab.evaluate(`String([document.activeElement.id, text.selectionStart, text.selectionEnd])`); got != "text,2,3" {
				t.Errorf("got the focus and the caret at %s, want text,2,3", got)
			}
			tab.evaluate(`document.activeElement.blur(); ''`)
		}
		others = answers{"text": "later", "textarea": "later", "select": "a", "range": "80"}
	}
	if got := tab.evaluate(`text.defaultValue`); got != "later" {
		t.Errorf("the form would be reset to %q, want what the server says", got)
	}

	s.refuse.Store(true)
	choose(tab, "checkbox", "on")
	showsForm(tab, answers{"checkbox": "", "select": "a", "range": "80", "text": "my draft", "textarea": "my draft"})
	s.refuse.Store(false)
	tab.evaluate(`document.getElementById('form').reset(); ''`)
	s.set(answers{"text": "end"})
	showsForm(tab, answers{"text": "end", "textarea": "later"})
}

// whatOthersSetInTheSameMomentIsShown, when it was later.
func whatOthersSetInTheSameMomentIsShown(t *testing.T, s *sheet, open opener) {
	tab := s.visit(t, open)
	s.overrule.Store(&answers{"text": "theirs", "select": "c", "multiple": "c", "checkbox": ""})
	for name, value := range map[string]string{"text": "mine", "select": "b", "multiple": "a,b", "checkbox": "on"} {
		choose(tab, name, value)
		showsForm(tab, *s.overrule.Load())
	}
}

// theCaretStaysInAFieldThatOthersChange: nobody has edited it.
func theCaretStaysInAFieldThatOthersChange(t *testing.T, s *sheet, open opener) {
	tab := s.visit(t, open)
	for _, name := range []string{"text", "textarea"} {
		tab.evaluate(name + `.focus(); ` + name + `.setSelectionRange(1, 2); ''`)
		s.set(answers{name: "changed"})
		showsForm(tab, answers{name: "changed"})
		if got := tab.evaluate(fmt.Sprintf(`String([document.activeElement.id, %[1]s.selectionStart, %[1]s.selectionEnd])`, name)); got != name+",1,2" {
			t.Errorf("got the focus and the caret at %s, want %s,1,2", got, name)
		}
	}
}

// whatIsOpenIsThePersonsUntilTheServerSaysSomethingNew.
func whatIsOpenIsThePersonsUntilTheServerSaysSomethingNew(t *testing.T, s *sheet, open opener) {
	tab := s.visit(t, open)
	tab.evaluate(`document.querySelector('summary').click(); dialog.showModal(); ''`)
	showsForm(tab, answers{"details": "open", "dialog": "open", "frame": s.set(answers{"text": "x"})})
	tab.evaluate(`document.querySelector('summary').click(); dialog.close(); ''`)
	showsForm(tab, answers{"details": "", "dialog": "", "frame": s.set(answers{"text": "y"})})
	s.set(answers{"details": "open", "dialog": "open"})
	showsForm(tab, answers{"details": "open", "dialog": "open"})
	tab.evaluate(`dialog.close(); dialog.showModal(); ''`)
	s.set(answers{"details": "", "dialog": ""})
	showsForm(tab, answers{"details": "", "dialog": ""})
	s.set(answers{"extra": "yes"})
	eventually(t, "one more", func() error {
		if got := tab.evaluate(`String(document.getElementById('extra') !== null)`); got != "true" {
			return errorOf(got)
		}
		return nil
	})
	tab.evaluate(`extra.firstElementChild.click(); ''`)
	showsForm(tab, answers{"frame": s.set(answers{"text": "z"})})
	if got := tab.evaluate(`String(extra.open)`); got != "true" {
		t.Error("what was new on the page, and opened by the person, is closed")
	}
	tab.clickOn("#text") // nothing modal is left over it
	s.set(answers{"locked": "locked"})
	showsForm(tab, answers{"locked": "locked"})
	s.set(answers{"locked": ""})
	showsForm(tab, answers{"locked": ""})
}

// TestGoingBackShowsWhatTheServerSays, though the browser loads the page again and puts back what
// was in its form; text that was typed stays.
func TestGoingBackShowsWhatTheServerSays(t *testing.T) {
	t.Parallel()
	s := newSheet(t)
	chromium := newBrowser(t)
	tab := s.visit(t, func(t testing.TB) *page { return newPage(t, chromium) })
	tab.evaluate(`checkbox.checked = true; document.getElementById('radio-b').checked = true; select.value = 'b';
    range.value = 70; text.value = 'my draft'; ''`)
	tab.evaluate(`addEventListener('unload', () => {}); ''`) // such a page is not kept
	tab.navigate(s.url + "/elsewhere")
	tab.do(chromedp.Evaluate[chromedp.Void](`history.back()`))
	tab.until("to be back", func(s state) bool { return s.Open && s.Status == "live" && tab.evaluate(`location.pathname`) == "/" })
	if got := tab.evaluate(`performance.getEntriesByType('navigation')[0].type`); got != "back_forward" {
		t.Fatalf("the page was loaded by %s, want back_forward", got)
	}
	showsForm(tab, answers{"checkbox": "", "radio": "a", "select": "a", "range": "10", "text": "my draft", "frame": s.set(nil)})
}
