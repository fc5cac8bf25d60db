package pages_test

import (
	"bytes"
	"context"
	"flag"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/a-h/templ"
	"golang.org/x/net/html"

	"lockstep/app/pages"
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

func lobby() pages.Counter {
	return pages.Counter{Name: "lobby", Topic: "counter:lobby", N: 42, Epoch: 3, Version: 57, Known: true}
}

func page() pages.Page {
	return pages.Page{
		Kind: "counter", Name: "lobby", Sum: "42", Socket: "/ws/rooms?in=counter%3Alobby&of=s&t=token", Grants: `{"counter:lobby":"grant"}`, User: "someone", Former: "someone-before",
		Plain: "/static/plain.0.js", Others: "/static/others.0.js", Replica: "one:8001", State: pages.Connecting, Tabs: 3,
		Script: "/static/app.0.js", Style: "/static/app.0.css", Icon: "/static/favicon.0.svg",
		Install: pages.Install{Manifest: "/app.webmanifest", Picture: "/static/icon.0.png", Origin: "https://example.org"},
		Lane:    "lane.0", Version: "v1.2.3",
		Links: pages.Links{
			Home: "/", Open: "/c", Do: "/c/lobby/", Elsewhere: []pages.Link{{To: "/poll/lobby", Text: "A poll"}, {To: "/wasm/?topic=counter%3Alobby", Text: "Run it here"}},
		},
		Renderer: pages.Renderer{Script: "/static/replica.0.js", Worker: "/static/worker.0.js", Program: "/static/lockstep.0.wasm"},
	}
}

// inBrowser is the same page where the application runs in the browser.
func inBrowser() pages.Page {
	return with(page(), func(p *pages.Page) {
		p.Socket, p.Links = "socket/lobby", pages.Links{Home: "./", Open: "./", Do: "./"}
		p.Plain, p.Others, p.Renderer, p.Version, p.Grants, p.User, p.Former = "", "", pages.Renderer{}, "", "", "", ""
		p.Lane = ""
	})
}

func boot() pages.Boot {
	return pages.Boot{
		Style: "../static/app.0.css", Icon: "../static/favicon.0.svg", Start: "../static/wasm.0.js", Worker: "../static/worker.0.js",
		Program: "../static/lockstep.0.wasm", Size: 4321, Script: "../static/app.0.js", More: `{"list.js":"../static/list.0.js"}`, Offline: "sw.js", ServerURL: "../",
		Install: pages.Install{Manifest: "app.webmanifest", Picture: "../static/icon.0.png"},
	}
}

func problem() pages.Problem {
	return pages.Problem{
		Status: 404, Title: "Nothing here", Text: "There is no page at this address.",
		Style: "/x/static/app.0.css", Icon: "/x/static/favicon.0.svg", Back: pages.Way{To: "/x/c/top", Text: "Back to top"},
	}
}

// hostile is what nobody should be called.
const hostile = `"><img src=x onerror=alert(1)></script><hx-partial hx-target="body">&amp;'` + "`${x}` {{.}} \u202e"

// hostilePage is a page that has nothing but hostile text.
func hostilePage() pages.Page {
	return with(page(), func(p *pages.Page) {
		p.Name, p.Kind, p.Sum, p.Socket, p.Replica, p.State, p.Grants, p.User, p.Former = hostile, hostile, hostile, hostile, hostile, hostile, hostile, hostile, hostile
		p.Install = pages.Install{Manifest: hostile, Picture: hostile, Origin: hostile}
		p.Plain, p.Others = hostile, hostile
		p.Lane, p.Version = hostile, hostile
		p.Links = pages.Links{Home: hostile, Open: hostile, Do: hostile, Newest: hostile, Before: hostile, Elsewhere: []pages.Link{{To: hostile, Text: hostile}, {To: hostile, Text: hostile}}}
		p.Renderer = pages.Renderer{Script: hostile, Worker: hostile, Program: hostile, Progress: hostile}
	})
}

// with returns a copy of v after change.
func with[T any](v T, change func(*T)) T {
	change(&v)
	return v
}

// split is a page on three replicas.
func split() pages.Split {
	s := pages.Split{
		Name: "lobby", Apart: true, Home: "/", Newest: "/c/top", Style: "/static/app.0.css", Icon: "/static/favicon.0.svg",
		Styles: []string{"/static/around.0.css", "/static/split.0.css"},
	}
	for _, port := range []string{"8001", "8002", "8003"} {
		at := "http://localhost:" + port + "/c/top"
		s.Views = append(s.Views, pages.View{Name: "one:" + port, Small: at + "?view=small", Whole: at})
	}
	return s
}

// broken is what is broken on purpose: all that can be.
func broken() pages.Breakage {
	return pages.Breakage{
		Replicas: []pages.Breakable{
			{Name: "one:8001"}, {Name: "two:8002", Fault: "kill", N: 7, Left: 4}, {Name: "three:8003", Fault: "drop", N: 8, Left: 11},
			{Name: "four:8004", Fault: "cut", N: 9, Left: 15}, {Name: "five:8005", Fault: "freeze", N: 10, Left: 1},
		},
		Report: pages.Report{
			Since: time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC), Clicks: 12480, Faults: 31, WorstMS: 180, IllMS: 10240,
			Tabs: 12, Connected: 8, Open: 20, Waiting: 3, Loose: 1,
		},
		Bursting: true,
		Form: func(do string, fields ...string) pages.Component {
			return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
				children := templ.GetChildren(ctx)
				if _, err := io.WriteString(w, `<form class="act" method="post" data-do="`+do+`" data-of="`+strings.Join(fields, " ")+`">`); err != nil {
					return err
				}
				if err := children.Render(templ.ClearChildren(ctx), w); err != nil {
					return err
				}
				_, err := io.WriteString(w, "</form>")
				return err
			})
		},
	}
}

func everything() map[string]component {
	return map[string]component{
		"counter":          pages.CounterView(lobby()),
		"counter_unknown":  pages.CounterView(with(lobby(), func(c *pages.Counter) { c.Known = false })),
		"counter_negative": pages.CounterView(with(lobby(), func(c *pages.Counter) { c.N = math.MinInt64 })),
		"counter_waiting":  pages.CounterView(with(lobby(), func(c *pages.Counter) { c.Waiting = 2 })),
		"body_in_browser":  pages.CounterBody(inBrowser(), lobby()),
		"page":             pages.CounterPage(page(), lobby()),
		"page_degraded": pages.CounterPage(with(page(), func(p *pages.Page) {
			p.State, p.Sum, p.Tabs, p.Version = "degraded", "", 0, ""
		}), with(lobby(), func(c *pages.Counter) { c.Known = false })),
		"page_hostile": pages.CounterPage(hostilePage(), with(lobby(), func(c *pages.Counter) { c.Name, c.Topic = hostile, hostile })),
		"page_break": pages.CounterPage(with(page(), func(p *pages.Page) {
			p.Links.Newest, p.Links.Break = "/", "/?break=1"
		}), lobby()),
		"page_broken": pages.CounterPage(with(page(), func(p *pages.Page) {
			p.Links.Newest, p.Links.Break, p.Links.History, p.Panel = "/", "/?break=1", "/break/history", pages.BreakView(broken())
		}), lobby()),
		"page_small": pages.CounterPage(with(page(), func(p *pages.Page) { p.Small = true }), lobby()),
		"split":      pages.SplitPage(split()),
		"split_one":  pages.SplitPage(with(split(), func(s *pages.Split) { s.Apart, s.Views = false, s.Views[:1] })),
		"split_hostile": pages.SplitPage(with(split(), func(s *pages.Split) {
			s.Name, s.Home, s.Newest, s.Style, s.Icon, s.Styles = hostile, hostile, hostile, hostile, hostile, []string{hostile}
			s.Views = []pages.View{{Name: hostile, Small: hostile, Whole: hostile}}
		})),
		"break":             pages.BreakView(broken()),
		"break_lost":        pages.BreakView(with(broken(), func(b *pages.Breakage) { b.Report.Lost, b.Report.Twice, b.Report.Broken = 1, 2, 1 })),
		"break_new":         pages.BreakView(with(broken(), func(b *pages.Breakage) { b.Report, b.Bursting = pages.Report{}, false })),
		"break_hostile":     pages.BreakView(with(broken(), func(b *pages.Breakage) { b.Replicas[0].Name, b.Replicas[1].Fault = hostile, hostile })),
		"poll":              pages.PollView(lunch()),
		"poll_unknown":      pages.PollView(unknownPoll()),
		"poll_waiting":      pages.PollView(with(lunch(), func(p *pages.Poll) { p.Waiting = 1 })),
		"poll_page":         pages.PollPage(pollPage(), lunch()),
		"poll_page_unknown": pages.PollPage(with(pollPage(), func(p *pages.Page) { p.State, p.Sum = "degraded", "" }), unknownPoll()),
		"poll_page_hostile": pages.PollPage(hostilePage(), with(lunch(), func(p *pages.Poll) {
			p.Name, p.Topic = hostile, hostile
			for i := range p.Options {
				p.Options[i].Name = hostile + strconv.Itoa(i)
			}
		})),
		"bank":              pages.BankView(vault()),
		"bank_unknown":      pages.BankView(unknownBank()),
		"bank_waiting":      pages.BankView(with(vault(), func(b *pages.Bank) { b.Waiting = 3 })),
		"bank_page":         pages.BankPage(bankPage(), vault()),
		"bank_page_unknown": pages.BankPage(with(bankPage(), func(p *pages.Page) { p.State, p.Sum = "degraded", "" }), unknownBank()),
		"bank_page_hostile": pages.BankPage(hostilePage(), with(vault(), func(b *pages.Bank) { b.Name, b.Topic = hostile, hostile })),
		"item":              pages.Item(todo().Items[0]),
		"item_done":         pages.Item(todo().Items[1]),
		"list":              pages.ListView(todo()),
		"list_empty":        pages.ListView(with(todo(), func(l *pages.List) { l.Items = nil })),
		"list_unknown":      pages.ListView(unknownList()),
		"list_waiting":      pages.ListView(with(todo(), func(l *pages.List) { l.Waiting = 2 })),
		"list_head":         pages.ListHead(todo().Count()),
		"list_page":         pages.ListPage(listPage(), todo()),
		"list_page_unknown": pages.ListPage(with(listPage(), func(p *pages.Page) { p.State, p.Sum = "degraded", "" }), unknownList()),
		"list_page_rename": pages.ListPage(listPage(), with(todo(), func(l *pages.List) {
			l.Edit = pages.ListItem{ID: "a-1", Text: "oat milk"}
		})),
		"list_page_hostile": pages.ListPage(with(hostilePage(), func(p *pages.Page) { p.Scripts, p.Styles = []string{hostile}, []string{hostile} }), with(todo(), func(l *pages.List) {
			l.Name, l.Topic = hostile, hostile
			for i := range l.Items {
				l.Items[i].Text = hostile
			}
		})),
		"entry":         pages.Entry(talk().Entries[0]),
		"entry_waiting": pages.Entry(with(talk().Entries[0], func(e *pages.LogEntry) { e.N = 0 })),
		"log_older":     pages.OlderEntries(logPage(), talk()),
		"log_page":      pages.LogPage(logPage(), talk()),
		"log_page_all":  pages.LogPage(logPage(), with(talk(), func(l *pages.Log) { l.Before = 0 })),
		"log_page_past": pages.LogPage(logPage(), with(talk(), func(l *pages.Log) { l.Past = true })),
		"log_page_unknown": pages.LogPage(with(logPage(), func(p *pages.Page) { p.State = "degraded" }), with(talk(), func(l *pages.Log) {
			l.Known, l.Entries, l.Before, l.Epoch, l.Version = false, nil, 0, 0, 0
		})),
		"log_page_hostile": pages.LogPage(with(hostilePage(), func(p *pages.Page) { p.Scripts, p.Styles = []string{hostile, hostile}, []string{hostile} }), with(talk(), func(l *pages.Log) {
			l.Name, l.Topic = hostile, hostile
			for i := range l.Entries {
				l.Entries[i].Text, l.Entries[i].By = hostile, hostile
			}
		})),
		"board_page": pages.BoardPage(boardPage(), pages.Board{Name: "studio", Topic: "soft:studio"}),
		"board_page_hostile": pages.BoardPage(with(hostilePage(), func(p *pages.Page) {
			p.Scripts, p.Styles, p.Renderer = []string{hostile}, []string{hostile}, pages.Renderer{}
		}), pages.Board{Name: hostile, Topic: hostile}),
		"signup":              pages.SignupView(crew()),
		"signup_unknown":      pages.SignupView(unknownSignup()),
		"signup_waiting":      pages.SignupView(with(crew(), func(s *pages.Signup) { s.Waiting = 1 })),
		"signup_page":         pages.SignupPage(signupPage(), crew()),
		"signup_page_plain":   pages.SignupPage(with(signupPage(), func(p *pages.Page) { p.Upload = "" }), crew()),
		"signup_page_unknown": pages.SignupPage(with(signupPage(), func(p *pages.Page) { p.State, p.Sum = "degraded", "" }), unknownSignup()),
		"signup_page_filled":  pages.SignupPage(filledPage("Ada", "this name is taken"), crew()),
		"signup_page_hostile": pages.SignupPage(with(filledPage(hostile, hostile), func(p *pages.Page) { p.Upload = hostile }),
			with(crew(), func(s *pages.Signup) {
				s.Name, s.Topic, s.People[0].Name, s.People[0].By = hostile, hostile, hostile, hostile
				s.People[1].Picture, s.Teams[0] = hostile, hostile
			})),
		"problem": pages.ProblemPage(problem()),
		"problem_hostile": pages.ProblemPage(with(problem(), func(p *pages.Problem) {
			p.Title, p.Text, p.Back = hostile, hostile, pages.Way{To: hostile, Text: hostile}
		})),
		"problem_other": pages.ProblemPage(with(problem(), func(p *pages.Problem) {
			p.Other = pages.Way{To: "/c/kitchen", Text: "Open kitchen"}
		})),
		"problem_again": pages.ProblemPage(with(problem(), func(p *pages.Problem) {
			p.Again = pages.Again{To: "/bank/top/transfer?lane=lane.0", Fields: []pages.Field{
				{Name: "from", Value: "1"}, {Name: "to", Value: "2"}, {Name: "note", Value: hostile},
			}}
		})),
		"page_outcome": pages.CounterPage(with(page(), func(p *pages.Page) { p.Outcome = "That was done." }), lobby()),
		"page_compiling": pages.CounterPage(with(page(), func(p *pages.Page) {
			p.Renderer = pages.Renderer{Script: "/static/replica.0.js", Progress: "/wasm/progress"}
		}), lobby()),
		"boot": pages.BootPage(boot()),
		"boot_exported": pages.BootPage(with(boot(), func(b *pages.Boot) {
			b.Policy, b.ServerURL = "default-src 'none'", ""
		})),
		"boot_compiling": pages.BootPage(with(boot(), func(b *pages.Boot) {
			b.Worker, b.Program, b.Size, b.Progress, b.Text = "", "", 0, "progress", "7 of 200 packages are done."
		})),
		"boot_hostile": pages.BootPage(pages.Boot{
			Style: hostile, Icon: hostile, Start: hostile, Worker: hostile, Program: hostile, Script: hostile, More: hostile, Offline: hostile,
			ServerURL: hostile, Progress: hostile, Text: hostile,
			Install: pages.Install{Manifest: hostile, Picture: hostile},
		}),
		"replica":  pages.Replica("one:8001"),
		"tabs_0":   pages.Tabs(0),
		"tabs_1":   pages.Tabs(1),
		"tabs_250": pages.Tabs(250),
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
				t.Fatalf("%v (go test ./app/pages -update writes it)", err)
			}
			if got != string(want) {
				t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
			}
		})
	}
}

func TestHostileTextChangesNothingButText(t *testing.T) {
	for _, c := range []struct{ plain, hostile string }{
		{"page", "page_hostile"}, {"poll_page", "poll_page_hostile"}, {"bank_page", "bank_page_hostile"},
		{"list_page", "list_page_hostile"}, {"log_page", "log_page_hostile"},
		{"signup_page_filled", "signup_page_hostile"},
		{"problem", "problem_hostile"}, {"boot", "boot_hostile"},
		{"board_page", "board_page_hostile"}, {"problem", "problem_hostile"}, {"boot", "boot_hostile"},
	} {
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
	p := with(page(), func(p *pages.Page) {
		p.Links = pages.Links{Home: script, Open: script, Do: script, Newest: script, Before: script, Elsewhere: []pages.Link{{To: script, Text: script}}}
	})
	for _, c := range []component{
		pages.CounterPage(p, lobby()), pages.PollPage(p, lunch()), pages.BankPage(p, vault()), pages.ListPage(p, todo()),
		pages.LogPage(p, talk()), pages.LogPage(p, with(talk(), func(l *pages.Log) { l.Past = true })),
		pages.ProblemPage(pages.Problem{Again: pages.Again{To: script}, Back: pages.Way{To: script, Text: "x"}}),
	} {
		for n := range parse(t, render(t, c)).Descendants() {
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Val, "javascript:") {
					t.Errorf("got <%s %s=%q>", n.Data, a.Key, a.Val)
				}
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
			v := with(lobby(), func(v *pages.Counter) { v.N, v.Known = c.n, c.known })
			root := find(t, parse(t, render(t, pages.CounterView(v))), "counter")
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

func TestTheTitleHasTheSum(t *testing.T) {
	counter := with(lobby(), func(c *pages.Counter) { c.N = 1234 })
	for want, sum := range map[string]string{
		"1,234 · lobby · Lockstep":   counter.Sum(),
		"lobby · Lockstep":           with(counter, func(c *pages.Counter) { c.Known = false }).Sum(),
		"3 votes · lobby · Lockstep": lunch().Sum(),
		"1 vote · lobby · Lockstep":  with(lunch(), func(p *pages.Poll) { p.Voters = 1 }).Sum(),
		"1,200 · lobby · Lockstep":   vault().Sum(),
	} {
		p := with(page(), func(p *pages.Page) { p.Sum = sum })
		if got := p.Title(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for name, sum := range map[string]string{"poll": unknownPoll().Sum(), "bank": unknownBank().Sum()} {
		if sum != "" {
			t.Errorf("got the sum %q of a %s that is not known", sum, name)
		}
	}
}

// A change is spoken of by voice.js, now and then: not by the number itself, each time.
func TestTheNumberIsNotALiveRegion(t *testing.T) {
	root := parse(t, render(t, pages.CounterPage(page(), lobby())))
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
	root := parse(t, render(t, pages.CounterPage(page(), lobby())))
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
	root := parse(t, render(t, pages.CounterPage(page(), lobby())))
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
	if got := strings.Join(actions(root), " "); got != "decrement increment reset" {
		t.Errorf("got the actions %q", got)
	}
}

// actions are those of a page's buttons, in their order.
func actions(root *html.Node) (all []string) {
	for n := range root.Descendants() {
		if a := attr(n, "data-action"); a != "" && n.Data == "button" {
			all = append(all, a)
		}
	}
	return all
}

// A page has one socket, whatever is on it, and says there whose it is and what it was given.
func TestAPageHasOneSocket(t *testing.T) {
	for name, p := range map[string]pages.Page{"page": page(), "poll_page": pollPage(), "bank_page": bankPage(), "list_page": listPage(), "log_page": logPage(), "page_degraded": page()} {
		var sockets []*html.Node
		for n := range parse(t, render(t, everything()[name])).Descendants() {
			if attr(n, "hx-ws:connect") != "" {
				sockets = append(sockets, n)
			}
		}
		if len(sockets) != 1 {
			t.Errorf("%s: got %d sockets, want one", name, len(sockets))
			continue
		}
		for attribute, want := range map[string]string{
			"hx-ws:connect": p.Socket, "data-grants": p.Grants, "data-user": "someone", "data-former": "someone-before",
			"data-plain": "/static/plain.0.js", "data-others": "/static/others.0.js",
		} {
			if got := attr(sockets[0], attribute); got != want {
				t.Errorf("%s: got %s %q, want %q", name, attribute, got, want)
			}
		}
	}
}

// A form without JavaScript has the identity of its op in its address, and nothing but what the
// person filled in among its fields.
func TestEveryFormWorksWithoutJavaScript(t *testing.T) {
	for name, want := range map[string][]string{
		"page":      {"counter:lobby decrement lane.0", "counter:lobby increment lane.0", "counter:lobby reset lane.0"},
		"poll_page": {"poll:lunch vote lane.0 option"},
		"list_page": {
			"list:todos add lane.0 text", "list:todos clear lane.0", "list:todos down lane.0 id", "list:todos remove lane.0 id",
			"list:todos toggle lane.0 id", "list:todos up lane.0 id",
		},
		"list_page_rename": {
			"list:todos add lane.0 text", "list:todos clear lane.0", "list:todos down lane.0 id", "list:todos remove lane.0 id",
			"list:todos rename lane.0 id text", "list:todos toggle lane.0 id", "list:todos up lane.0 id",
		},
		"log_page": {"log:lobby say lane.0 text"},
	} {
		var got []string
		root := parse(t, render(t, everything()[name]))
		for n := range root.Descendants() {
			if n.Data != "form" || attr(n, "method") != "post" {
				continue
			}
			topic, do := attr(n, "data-topic"), attr(n, "data-do")
			address, lane, _ := strings.Cut(attr(n, "action"), "?lane=")
			kind, key, _ := strings.Cut(topic, ":")
			if kind == "counter" {
				kind = "c"
			}
			if want := "/" + kind + "/" + key + "/" + do; address != want || attr(n, "autocomplete") != "off" || !has(n, "hx-ws:send") {
				t.Errorf("%s: got %v, want that it posts to %s, is not restored, and is sent by live.js", name, n.Attr, want)
			}
			form := append([]string{topic, do, lane}, fieldNames(root, n)...)
			got = append(got, strings.Join(form, " "))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got the forms %q, want %q", name, got, want)
		}
	}
}

// fieldNames are those of a form, sorted, each once, and of what belongs to it elsewhere in the
// page.
func fieldNames(root, form *html.Node) []string {
	names := map[string]bool{}
	for n := range form.Descendants() {
		if name := attr(n, "name"); name != "" {
			names[name] = true
		}
	}
	for n := range root.Descendants() {
		if id := attr(form, "id"); id != "" && attr(n, "form") == id && attr(n, "name") != "" {
			names[attr(n, "name")] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// has reports whether an element has an attribute, be it empty.
func has(n *html.Node, name string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
}

// A problem may offer the same form again: with the same identity and fields.
func TestAFormIsOfferedAgainAsItWas(t *testing.T) {
	for n := range parse(t, render(t, everything()["problem_again"])).Descendants() {
		if n.Data != "form" {
			continue
		}
		var fields []pages.Field
		for in := range n.Descendants() {
			if in.Data == "input" {
				fields = append(fields, pages.Field{Name: attr(in, "name"), Value: attr(in, "value")})
			}
		}
		want := []pages.Field{{Name: "from", Value: "1"}, {Name: "to", Value: "2"}, {Name: "note", Value: hostile}}
		if attr(n, "action") != "/bank/top/transfer?lane=lane.0" || attr(n, "method") != "post" || !slices.Equal(fields, want) {
			t.Errorf("got %v with %v, want %v", n.Attr, fields, want)
		}
		return
	}
	t.Error("there is no form")
}

func TestOnlyTheStateIsInsideWhatChangesMorph(t *testing.T) {
	for _, name := range []string{"page", "poll_page", "bank_page"} {
		live := find(t, parse(t, render(t, everything()[name])), "live")
		for n := range live.Descendants() {
			switch n.Data {
			case "form", "input", "button":
				t.Errorf("%s: #live contains a %s, which a morph could reset", name, n.Data)
			}
		}
	}
}
