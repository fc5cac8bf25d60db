package pages_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"lockstep/app/pages"
)

func lunch() pages.Poll {
	return pages.Poll{
		Name: "lunch", Topic: "poll:lunch", Epoch: 3, Version: 7, Known: true, Voters: 3,
		Options: []pages.PollOption{{Name: "spring", Votes: 2}, {Name: "summer"}, {Name: "autumn", Votes: 1}, {Name: "winter"}},
	}
}

func unknownPoll() pages.Poll {
	return with(lunch(), func(p *pages.Poll) {
		p.Known, p.Voters, p.Epoch, p.Version = false, 0, 0, 0
		for i := range p.Options {
			p.Options[i].Votes = 0
		}
	})
}

func pollPage() pages.Page { return pageOf("poll", "lunch", lunch().Sum()) }

// pageOf is page of another topic.
func pageOf(kind, name, sum string) pages.Page {
	return with(page(), func(p *pages.Page) {
		p.Kind, p.Name, p.Sum = kind, name, sum
		p.Socket, p.Grants = "/ws/rooms?in="+kind+"%3A"+name+"&of=s&t=token", `{"`+kind+":"+name+`":"grant"}`
		p.Links.Open, p.Links.Do = "/"+kind, "/"+kind+"/"+name+"/"
		p.Links.Elsewhere = []pages.Link{{To: "/", Text: "A counter"}, {To: "/wasm/?topic=" + kind + "%3A" + name, Text: "Run it here"}}
	})
}

func vault() pages.Bank {
	b := pages.Bank{Name: "vault", Topic: "bank:vault", Epoch: 3, Version: 9, Known: true}
	for range 12 {
		b.Balances = append(b.Balances, 100)
	}
	b.Balances[0], b.Balances[11] = 0, 200
	return b
}

func unknownBank() pages.Bank {
	return with(vault(), func(b *pages.Bank) { b.Known, b.Balances, b.Epoch, b.Version = false, make([]int64, 12), 0, 0 })
}

func bankPage() pages.Page {
	return pageOf("bank", "vault", vault().Sum())
}

func todo() pages.List {
	return pages.List{
		Name: "todos", Topic: "list:todos", Epoch: 3, Version: 11, Known: true,
		Items: []pages.ListItem{{ID: "a-1", Text: "milk"}, {ID: "b_C-2", Text: "bread & butter", Done: true}, {ID: "c-3", Text: "tea"}},
	}
}

func unknownList() pages.List {
	return with(todo(), func(l *pages.List) { l.Known, l.Items, l.Epoch, l.Version = false, nil, 0, 0 })
}

func listPage() pages.Page {
	return with(pageOf("list", "todos", todo().Sum()), func(p *pages.Page) {
		p.Scripts, p.Styles = []string{"/static/list.0.js"}, []string{"/static/lists.0.css"}
	})
}

func talk() pages.Log {
	at := time.Date(2026, 11, 29, 9, 41, 44, 0, time.UTC)
	return pages.Log{
		Name: "lobby", Topic: "log:lobby", Epoch: 3, Version: 12, Known: true, Before: 41,
		Entries: []pages.LogEntry{
			{ID: "k-1", N: 41, At: at, By: "someone", Text: "Is anybody here?"},
			{ID: "k-2", N: 42, At: at.Add(time.Hour), By: "another", Text: "I am <here>."},
		},
	}
}

func crew() pages.Signup {
	return pages.Signup{
		Name: "crew", Topic: "signup:crew", Epoch: 3, Version: 5, Known: true, Teams: []string{"north", "south"},
		People: []pages.Person{
			{Name: "Ada", Team: "north", By: "u1"},
			{Name: "Bob", Team: "south", By: "u2", Picture: "abcdefghijklmnopqrstuvwxyz"},
		},
	}
}

func logPage() pages.Page {
	return with(pageOf("log", "lobby", talk().Sum()), func(p *pages.Page) {
		p.Links.Newest, p.Links.Before = "/log/lobby", "/log/lobby?before="
		p.Scripts, p.Styles = []string{"/static/list.0.js", "/static/log.0.js"}, []string{"/static/lists.0.css"}
	})
}

// boardPage is the page of what has no state.
func boardPage() pages.Page {
	return with(pageOf("soft", "studio", ""), func(p *pages.Page) {
		p.Kind, p.Renderer = "board", pages.Renderer{}
		p.Scripts, p.Styles = []string{"/static/soft.0.js"}, []string{"/static/soft.0.css"}
	})
}

func unknownSignup() pages.Signup {
	return with(crew(), func(s *pages.Signup) { s.Known, s.People, s.Epoch, s.Version = false, nil, 0, 0 })
}

func signupPage() pages.Page {
	return with(pageOf("signup", "crew", crew().Sum()), func(p *pages.Page) {
		p.Scripts, p.Styles, p.Upload = []string{"/static/forms.0.js"}, []string{"/static/forms.0.css"}, "/uploads/"
	})
}

// filledPage is one whose form was not accepted.
func filledPage(name, problem string) pages.Page {
	return with(signupPage(), func(p *pages.Page) {
		p.Filled = map[string]pages.Filled{
			"name": {Value: name, Error: problem}, "email": {Value: "ada@example.org"}, "team": {Value: "south"},
		}
	})
}

// TestWhatIsWrongStandsBesideItsField, and is said of it.
func TestWhatIsWrongStandsBesideItsField(t *testing.T) {
	doc := parse(t, render(t, everything()["signup_page_filled"]))
	for _, c := range []struct{ id, attribute, want string }{
		{"field-name", "aria-invalid", "true"},
		{"field-name", "value", "Ada"},
		{"field-email", "aria-invalid", ""},
		{"field-email", "value", "ada@example.org"},
	} {
		if got := attr(find(t, doc, c.id), c.attribute); got != c.want {
			t.Errorf("#%s: got %s %q, want %q", c.id, c.attribute, got, c.want)
		}
	}
	if by := attr(find(t, doc, "field-name"), "aria-describedby"); !strings.HasPrefix(by, "error-name") {
		t.Errorf("the field is described by %q", by)
	}
	if got := find(t, doc, "error-name").FirstChild; got == nil || got.Data != "this name is taken" {
		t.Errorf("got %v beside the name", got)
	}
	if got := find(t, doc, "error-email").FirstChild; got != nil {
		t.Errorf("got %v beside the address", got.Data)
	}
}

// TestThePagesOfOtherKindsKeepTheirContract: what tests and tools read.
func TestThePagesOfOtherKindsKeepTheirContract(t *testing.T) {
	for _, c := range []struct{ page, id, attribute, want string }{
		{"poll_page", "poll", "data-topic", "poll:lunch"},
		{"poll_page", "poll", "data-epoch", "3"},
		{"poll_page", "poll", "data-version", "7"},
		{"poll_page", "poll", "data-sum", "3 votes"},
		{"poll_page", "option-spring", "data-votes", "2"},
		{"poll_page", "option-winter", "data-votes", "0"},
		{"poll_page_unknown", "poll", "data-version", "0"},
		{"poll_page_unknown", "poll", "data-sum", ""},
		{"poll_page_unknown", "option-spring", "data-votes", ""},
		{"poll_waiting", "poll", "data-waiting", "1"},
		{"bank_page", "bank", "data-topic", "bank:vault"},
		{"bank_page", "bank", "data-epoch", "3"},
		{"bank_page", "bank", "data-version", "9"},
		{"bank_page", "bank", "data-sum", "1,200"},
		{"bank_page", "account-1", "data-balance", "0"},
		{"bank_page", "account-12", "data-balance", "200"},
		{"bank_page", "total", "data-total", "1200"},
		{"bank_page_unknown", "bank", "data-sum", ""},
		{"board_page", "board", "data-topic", "soft:studio"},
		{"board_page", "board", "data-version", ""},
		{"bank_page_unknown", "account-1", "data-balance", ""},
		{"bank_waiting", "bank", "data-waiting", "3"},
		{"list_page", "list", "data-topic", "list:todos"},
		{"list_page", "list", "data-epoch", "3"},
		{"list_page", "list", "data-version", "11"},
		{"list_page", "toggle", "data-do", "toggle"},
		{"list_waiting", "list", "data-waiting", "2"},
		{"log_page", "log-room", "data-topic", "log:lobby"},
		{"log_page", "log-room", "data-epoch", "3"},
		{"log_page", "log-room", "data-version", "12"},
		{"log_page", "m-k-2", "data-n", "42"},
		{"log_page", "m-k-2", "data-by", "another"},
		{"log_page_unknown", "log-room", "data-version", "0"},
		{"signup_page", "signup", "data-topic", "signup:crew"},
		{"signup_page", "signup", "data-version", "5"},
		{"signup_page", "signup", "data-sum", "2 accounts"},
		{"signup_page_unknown", "signup", "data-sum", ""},
	} {
		if got := attr(find(t, parse(t, render(t, everything()[c.page])), c.id), c.attribute); got != c.want {
			t.Errorf("%s: #%s: got %s %q, want %q", c.page, c.id, c.attribute, got, c.want)
		}
	}
	for page, want := range map[string]string{
		"poll_page": "[vote vote vote vote]", "bank_page": "[transfer]", "log_page": "[say]", "signup_page": "[signup]",
	} {
		if got := fmt.Sprint(actions(parse(t, render(t, everything()[page])))); got != want {
			t.Errorf("%s: got the actions %s, want %s", page, got, want)
		}
	}
}

func TestABarIsAsLongAsItsShare(t *testing.T) {
	for _, c := range []struct{ votes, voters, want int }{{0, 0, 0}, {0, 3, 0}, {1, 3, 33}, {3, 3, 100}, {1000, 1000, 100}, {1, 1000, 0}} {
		p := pages.Poll{Known: true, Voters: c.voters, Options: []pages.PollOption{{Name: "x", Votes: c.votes}}}
		for n := range parse(t, render(t, pages.PollView(p))).Descendants() {
			if n.Data == "progress" && attr(n, "value") != strconv.Itoa(c.want) {
				t.Errorf("%d of %d: got %s, want %d", c.votes, c.voters, attr(n, "value"), c.want)
			}
		}
	}
}

// TestAnItemIsTheSameForEverybody: it is rendered once, and sent to all.
func TestAnItemIsTheSameForEverybody(t *testing.T) {
	for _, name := range []string{"list_page", "log_page"} {
		html := render(t, everything()[name])
		for personal, what := range map[string]string{"lane.": "the identity of a form", "grant": "a grant", `"someone"`: "whose page it is"} {
			for _, item := range strings.Split(html, "<li ")[1:] {
				item, _, _ = strings.Cut(item, "</li>")
				if strings.Contains(item, personal) && !strings.Contains(item, "data-by") {
					t.Errorf("%s: an item has %s: %s", name, what, item)
				}
			}
		}
	}
}

// TestTheButtonsOfAnItemSayWhichItIs, to those who hear one after the other.
func TestTheButtonsOfAnItemSayWhichItIs(t *testing.T) {
	root := parse(t, render(t, everything()["list_page"]))
	want := map[string]string{"toggle": "milk", "up": "Move up: milk", "down": "Move down: milk", "remove": "Remove milk", "": "Save"}
	got := make(map[string]string)
	for n := range find(t, root, "i-a-1").Descendants() {
		if n.Data != "button" {
			continue
		}
		words := []string{text(n)}
		for id := range strings.FieldsSeq(attr(n, "aria-labelledby")) {
			words = append(words, text(find(t, root, id)))
		}
		got[attr(n, "form")] = strings.TrimSpace(strings.Join(words, " "))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTheSumOfAList(t *testing.T) {
	for _, c := range []struct {
		known       bool
		items, done int
		want        string
	}{
		{false, 0, 0, ""}, {true, 0, 0, "Nothing to do"}, {true, 3, 1, "2 to do"}, {true, 3, 3, "All done"}, {true, 1234, 0, "1,234 to do"},
	} {
		if got := (pages.ListSum{Known: c.known, Items: c.items, Done: c.done}).Text(); got != c.want {
			t.Errorf("%+v: got %q", c, got)
		}
	}
}

// TestAnItemIsShort: it is sent with each change of it.
func TestAnItemIsShort(t *testing.T) {
	const most = 1024 - 270 // bytes; what a frame and JSON add may take the rest
	item := pages.ListItem{ID: strings.Repeat("x", 12) + "-zz", Text: "Bread and butter", Done: true}
	if got := len(render(t, pages.Item(item))); got > most {
		t.Errorf("got %d bytes, want %d at most", got, most)
	}
}

// TestAnEntryIsShort: ten thousand tabs are sent it.
func TestAnEntryIsShort(t *testing.T) {
	const most = 400 - 150 // bytes; what a frame adds may take the rest
	e := pages.LogEntry{
		ID: strings.Repeat("x", 12) + "-zz", N: 123456, At: time.Date(2026, 11, 29, 9, 41, 44, 0, time.UTC),
		By: strings.Repeat("b", 16), Text: strings.Repeat("word ", 12),
	}
	if got := len(render(t, pages.Entry(e))); got > most {
		t.Errorf("got %d bytes, want %d at most", got, most)
	}
}
