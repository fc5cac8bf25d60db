package components_test

import (
	"bytes"
	"context"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"lockstep/components"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

type component interface {
	Render(ctx context.Context, w io.Writer) error
}

func render(t *testing.T, c component) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.Render(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func lobby() components.Counter {
	return components.Counter{Name: "lobby", Topic: "counter:lobby", N: 42, Epoch: 3, Version: 57, Known: true}
}

func page() components.Page {
	return components.Page{
		Counter: lobby(), Socket: "/ws/c/lobby", Plain: "/static/plain.0.js", Replica: "one:8001", State: components.Connecting, Tabs: 3,
		Script: "/static/app.0.js", Style: "/static/app.0.css", Icon: "/static/favicon.0.svg",
		Install: components.Install{Manifest: "/app.webmanifest", Picture: "/static/icon.0.png", Origin: "https://example.org"},
		CSRF:    "token", Ops: [3]string{"op-of-increment-", "op-of-decrement-", "op-of-reset-----"}, Version: "v1.2.3",
		Links:    components.Links{Home: "/", Open: "/c", Click: "/c/lobby/", InBrowser: "/wasm/?name=lobby", InBrowserText: "Run it here"},
		Renderer: components.Renderer{Script: "/static/replica.0.js", Worker: "/static/worker.0.js", Program: "/static/lockstep.0.wasm"},
	}
}

// inBrowser is the same page where the application runs in the browser.
func inBrowser() components.Page {
	return with(page(), func(p *components.Page) {
		p.Socket, p.Links = "socket/lobby", components.Links{Home: "./", Open: "./", Click: "./"}
		p.Plain, p.Renderer, p.CSRF, p.Ops, p.Version = "", components.Renderer{}, "", [3]string{}, ""
	})
}

func boot() components.Boot {
	return components.Boot{
		Style: "../static/app.0.css", Icon: "../static/favicon.0.svg", Start: "../static/wasm.0.js", Worker: "../static/worker.0.js",
		Program: "../static/lockstep.0.wasm", Size: 4321, Script: "../static/app.0.js", Offline: "sw.js", ServerURL: "../",
		Install: components.Install{Manifest: "app.webmanifest", Picture: "../static/icon.0.png"},
	}
}

func problem() components.Problem {
	return components.Problem{
		Status: 404, Title: "Nothing here", Text: "There is no page at this address.",
		Style: "/x/static/app.0.css", Icon: "/x/static/favicon.0.svg", Back: components.Way{To: "/x/c/top", Text: "Back to top"},
	}
}

// hostile is what nobody should be called.
const hostile = `"><img src=x onerror=alert(1)></script><hx-partial hx-target="body">&amp;'` + "`${x}` {{.}} \u202e"

// with returns a copy of v after change.
func with[T any](v T, change func(*T)) T {
	change(&v)
	return v
}

func everything() map[string]component {
	return map[string]component{
		"counter":          components.CounterView(lobby()),
		"counter_unknown":  components.CounterView(with(lobby(), func(c *components.Counter) { c.Known = false })),
		"counter_negative": components.CounterView(with(lobby(), func(c *components.Counter) { c.N = math.MinInt64 })),
		"counter_waiting":  components.CounterView(with(lobby(), func(c *components.Counter) { c.Waiting = 2 })),
		"body_in_browser":  components.CounterBody(inBrowser()),
		"page":             components.CounterPage(page()),
		"page_degraded": components.CounterPage(with(page(), func(p *components.Page) {
			p.State, p.Counter.Known, p.Tabs, p.Version = "degraded", false, 0, ""
		})),
		"page_hostile": components.CounterPage(with(page(), func(p *components.Page) {
			p.Counter.Name, p.Counter.Topic, p.Socket, p.Replica, p.State = hostile, hostile, hostile, hostile, hostile
			p.Install, p.Plain = components.Install{Manifest: hostile, Picture: hostile, Origin: hostile}, hostile
			p.CSRF, p.Ops, p.Version = hostile, [3]string{hostile, hostile, hostile}, hostile
			p.Links = components.Links{Home: hostile, Open: hostile, Click: hostile, InBrowser: hostile, InBrowserText: hostile}
			p.Renderer = components.Renderer{Script: hostile, Worker: hostile, Program: hostile, Progress: hostile}
		})),
		"problem": components.ProblemPage(problem()),
		"problem_hostile": components.ProblemPage(with(problem(), func(p *components.Problem) {
			p.Title, p.Text, p.Back = hostile, hostile, components.Way{To: hostile, Text: hostile}
		})),
		"problem_other": components.ProblemPage(with(problem(), func(p *components.Problem) {
			p.Other = components.Way{To: "/c/kitchen", Text: "Open kitchen"}
		})),
		"problem_again": components.ProblemPage(with(problem(), func(p *components.Problem) {
			p.Again = components.Again{To: "/c/top/increment", CSRF: "token", Op: "op-of-increment-", Made: 1700000000}
		})),
		"page_outcome": components.CounterPage(with(page(), func(p *components.Page) { p.Outcome = "One click was counted." })),
		"page_compiling": components.CounterPage(with(page(), func(p *components.Page) {
			p.Renderer = components.Renderer{Script: "/static/replica.0.js", Progress: "/wasm/progress"}
		})),
		"boot": components.BootPage(boot()),
		"boot_exported": components.BootPage(with(boot(), func(b *components.Boot) {
			b.Policy, b.ServerURL = "default-src 'none'", ""
		})),
		"boot_compiling": components.BootPage(with(boot(), func(b *components.Boot) {
			b.Worker, b.Program, b.Size, b.Progress, b.Text = "", "", 0, "progress", "7 of 200 packages are done."
		})),
		"boot_hostile": components.BootPage(components.Boot{
			Style: hostile, Icon: hostile, Start: hostile, Worker: hostile, Program: hostile, Script: hostile, Offline: hostile,
			ServerURL: hostile, Progress: hostile, Text: hostile,
			Install: components.Install{Manifest: hostile, Picture: hostile},
		}),
		"replica":  components.Replica("one:8001"),
		"tabs_0":   components.Tabs(0),
		"tabs_1":   components.Tabs(1),
		"tabs_250": components.Tabs(250),
	}
}

func TestComponentsLookLikeTheirGoldenFiles(t *testing.T) {
	for name, c := range everything() {
		t.Run(name, func(t *testing.T) {
			// One tag a line, so that a change can be read in review.
			got := strings.ReplaceAll(render(t, c), "><", ">\n<") + "\n"
			file := filepath.Join("testdata", name+".html")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("%v (go test ./components -update writes it)", err)
			}
			if got != string(want) {
				t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
			}
		})
	}
}

func TestHostileTextChangesNothingButText(t *testing.T) {
	for _, c := range []struct{ plain, hostile string }{{"page", "page_hostile"}, {"problem", "problem_hostile"}, {"boot", "boot_hostile"}} {
		want := skeleton(t, render(t, everything()[c.plain]))
		got := skeleton(t, render(t, everything()[c.hostile]))
		if got != want {
			t.Errorf("%s: got the elements\n%s\nwant\n%s", c.hostile, got, want)
		}
	}
}

// skeleton is the tree of elements and the names of their attributes.
func skeleton(t *testing.T, doc string) string {
	t.Helper()
	var b strings.Builder
	for n := range parse(t, doc).Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		b.WriteString(n.Data)
		for _, a := range n.Attr {
			b.WriteString(" " + a.Key)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestALinkIsNoScript(t *testing.T) {
	const script = "javascript:alert(1)//"
	p := with(page(), func(p *components.Page) {
		p.Links = components.Links{Home: script, Open: script, Click: script, InBrowser: script}
	})
	for n := range parse(t, render(t, components.CounterPage(p))).Descendants() {
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Val, "javascript:") {
				t.Errorf("got <%s %s=%q>", n.Data, a.Key, a.Val)
			}
		}
	}
}

func TestTheCountIsForProgramsAndForPeople(t *testing.T) {
	for _, c := range []struct {
		name               string
		n                  int64
		known              bool
		count, text, space string
	}{
		{"zero", 0, true, "0", "0", "3"},
		{"a negative number has a real minus", -5, true, "-5", "−5", "3"},
		{"a number of three digits is not divided", -999, true, "-999", "−999", "5"},
		{"thousands are set apart", 1000, true, "1000", "1,000", "5"},
		{"also of a negative number", -123456, true, "-123456", "−123,456", "10"},
		{"a larger number takes more room", 12345, true, "12345", "12,345", "7"},
		{"the smallest number", math.MinInt64, true, "-9223372036854775808", "−9,223,372,036,854,775,808", "26"},
		{"the largest number", math.MaxInt64, true, "9223372036854775807", "9,223,372,036,854,775,807", "26"},
		{"an unknown number is none", 7, false, "", "—The count is not known yet", "3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := with(lobby(), func(v *components.Counter) { v.N, v.Known = c.n, c.known })
			root := find(t, parse(t, render(t, components.CounterView(v))), "counter")
			if got := attr(root, "data-count"); got != c.count {
				t.Errorf("got data-count %q, want %q", got, c.count)
			}
			if got := attr(root, "data-size"); got != c.space {
				t.Errorf("got data-size %q, want %q", got, c.space)
			}
			for n := range root.Descendants() {
				if attr(n, "class") == "number" && text(n) != c.text {
					t.Errorf("got %q, want %q", text(n), c.text)
				}
			}
		})
	}
}

func TestTheTitleHasTheCount(t *testing.T) {
	p := page()
	p.Counter.N = 1234
	if got, want := p.Title(), "1,234 · lobby · Lockstep"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	p.Counter.Known = false
	if got, want := p.Title(), "lobby · Lockstep"; got != want {
		t.Errorf("got %q, want %q of a count that is not known", got, want)
	}
}

// A change is spoken of by voice.js, now and then: not by the number itself, each time.
func TestTheNumberIsNotALiveRegion(t *testing.T) {
	root := parse(t, render(t, components.CounterPage(page())))
	for n := range find(t, root, "live").Descendants() {
		if attr(n, "aria-live") != "" || attr(n, "role") == "status" {
			t.Errorf("<%s class=%q> is spoken of with each change", n.Data, attr(n, "class"))
		}
	}
	if said := find(t, root, "said"); attr(said, "role") != "status" {
		t.Error("there is no place for what is said of the count")
	}
}

// TestAResetIsAskedFor: the button that resets is in a question, which another opens.
func TestAResetIsAskedFor(t *testing.T) {
	root := parse(t, render(t, components.CounterPage(page())))
	ask := find(t, root, "ask")
	asked, opens := false, false
	for n := range root.Descendants() {
		opens = opens || attr(n, "popovertarget") == "ask" && attr(n, "popovertargetaction") == "" && attr(n, "type") == "button"
	}
	for n := range ask.Descendants() {
		asked = asked || attr(n, "data-action") == "reset"
	}
	if !asked || !opens {
		t.Errorf("reset in the question: %v, a button that opens it: %v", asked, opens)
	}
}

func TestThePageKeepsItsContract(t *testing.T) {
	root := parse(t, render(t, components.CounterPage(page())))
	for _, c := range []struct{ id, attribute, want string }{
		{"counter", "data-topic", "counter:lobby"},
		{"counter", "data-count", "42"},
		{"counter", "data-version", "57"},
		{"counter", "data-epoch", "3"},
		{"status", "data-state", "connecting"},
		{"status", "role", "status"},
		{"notice", "role", "status"},
	} {
		if got := attr(find(t, root, c.id), c.attribute); got != c.want {
			t.Errorf("#%s: got %s %q, want %q", c.id, c.attribute, got, c.want)
		}
	}
	for id, want := range map[string]string{"replica": "one:8001", "tabs": "3 tabs here", "notice": ""} {
		if got := text(find(t, root, id)); got != want {
			t.Errorf("#%s: got %q, want %q", id, got, want)
		}
	}
	var sockets, actions []string
	for n := range root.Descendants() {
		if s := attr(n, "hx-ws:connect"); s != "" {
			sockets = append(sockets, s)
		}
		if a := attr(n, "data-action"); a != "" {
			actions = append(actions, a)
		}
	}
	if got := strings.Join(sockets, " "); got != "/ws/c/lobby" {
		t.Errorf("got the sockets %q, want exactly /ws/c/lobby", got)
	}
	if got := strings.Join(actions, " "); got != "decrement increment reset" {
		t.Errorf("got the actions %q", got)
	}
}

func TestEveryFormWorksWithoutJavaScript(t *testing.T) {
	root := parse(t, render(t, components.CounterPage(page())))
	ops := map[string]string{"increment": "op-of-increment-", "decrement": "op-of-decrement-", "reset": "op-of-reset-----"}
	for n := range root.Descendants() {
		if n.Data != "form" || attr(n, "method") != "post" {
			continue
		}
		values := map[string]string{}
		for in := range n.Descendants() {
			if in.Data == "input" {
				values[attr(in, "name")] = attr(in, "value")
			}
		}
		action := values["action"]
		if want := "/c/lobby/" + action; attr(n, "action") != want || attr(n, "autocomplete") != "off" {
			t.Errorf("%s: got action %q, autocomplete %q, want %q, off", action, attr(n, "action"), attr(n, "autocomplete"), want)
		}
		if values["_csrf"] != "token" || values["_op"] != ops[action] {
			t.Errorf("%s: got the values %v", action, values)
		}
		delete(ops, action)
	}
	if len(ops) > 0 {
		t.Errorf("no form for %v", ops)
	}
}

func TestOnlyTheCounterIsInsideWhatChangesMorph(t *testing.T) {
	live := find(t, parse(t, render(t, components.CounterPage(page()))), "live")
	for n := range live.Descendants() {
		switch n.Data {
		case "form", "input", "button":
			t.Errorf("#live contains a %s, which a morph could reset", n.Data)
		}
	}
}
