package e2e_test

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"lockstep/internal/history"
	"lockstep/internal/testserver"
)

// The application is the same wherever it runs and in every browser: each case
// is played in each mode in each of them. Modes have browsers of their own, so that they are played
// at the same time: in one browser only one page has the focus.

// An engine is a kind of browser.
type engine struct {
	name  string
	start func(testing.TB) opener
	// prefers has a page like light or dark; nil: it is always light.
	prefers func(p *page, scheme string)
}

// An opener opens tabs of one running browser.
type opener func(testing.TB) *page

func engines() []engine {
	return []engine{
		{name: "chromium", prefers: prefersInChromium, start: func(t testing.TB) opener {
			browser := newBrowser(t)
			return func(t testing.TB) *page { return newPage(t, browser) }
		}},
		{name: "firefox", start: func(t testing.TB) opener { return newFirefox(t).newPage }},
	}
}

// A mode is where the application runs, and who renders it.
type mode struct {
	name    string
	path    string // of the page of a counter, without the name
	html    bool   // the first HTML is the counter's page
	renders bool   // the tab renders itself
}

func modes() []mode {
	return []mode{
		{name: "server", path: "/c/", html: true},
		{name: "A", path: "/wasm/?topic=counter:"},
		{name: "B", path: "/c/", html: true, renders: true},
	}
}

// A stage is where one case is played: one mode in one browser, and a counter
// that nobody else uses.
type stage struct {
	*testing.T
	engine engine
	open   opener
	mode   mode
	name   string // of the counter
	url    string // of its page
}

// topic is the counter's.
func (s *stage) topic() string { return "counter:" + s.name }

// load opens the counter in a new tab.
func (s *stage) load() *page {
	s.Helper()
	p := s.open(s.T)
	p.strict = true
	p.navigate(s.url)
	return p
}

// visit opens the counter in a new tab and waits until it is as the mode wants
// it.
func (s *stage) visit() *page {
	s.Helper()
	p := s.load()
	s.isUp(p)
	return p
}

// isUp waits until a page is live, and has it rendered as the mode wants it.
func (s *stage) isUp(p *page) {
	s.Helper()
	p.isLive()
	if s.mode.renders {
		p.clickOn("#renderer")
		s.isAsBefore(p)
	}
}

// isAsBefore waits until a page that was reloaded is live again, rendered as
// it was.
func (s *stage) isAsBefore(p *page) {
	s.Helper()
	p.until("to be live, rendered as the mode wants it", func(now state) bool {
		return now.Status == "live" && now.Open && now.Renders == s.mode.renders
	})
}

// hasCounted waits until the page shows n, and every click in it has been
// answered: a tab that renders itself shows them before.
func (p *page) hasCounted(n int) {
	p.t.Helper()
	p.until(fmt.Sprintf("to show %d with every click answered", n), func(now state) bool {
		return now.Count == fmt.Sprint(n) && now.Kept == "0" && !now.Waiting
	})
}

// visits opens n tabs.
func (s *stage) visits(n int) (pages []*page) {
	s.Helper()
	for range n {
		pages = append(pages, s.visit())
	}
	return pages
}

func TestEveryModeIsTheSameInEveryBrowser(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		play func(*stage)
	}{
		{"the buttons count", theButtonsCount},
		{"a late joiner is right at once", aLateJoinerIsRightAtOnce},
		{"two tabs stay in step", twoTabsStayInStep},
		{"a repeated op counts once", aRepeatedOpCountsOnce},
		{"a reload loses nothing", aReloadLosesNothing},
		{"sixty clicks at once are sixty", sixtyClicksAtOnceAreSixty},
		{"the keyboard is enough", theKeyboardIsEnough},
		{"a refused message changes nothing", aRefusedMessageChangesNothing},
		{"everybody can use it", everybodyCanUseIt},
	}
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			for _, m := range modes() {
				t.Run(m.name, func(t *testing.T) {
					t.Parallel()
					open := e.start(t)
					for i, c := range cases {
						name := strings.ToLower(fmt.Sprintf("%s-%s-%d", e.name, m.name, i))
						t.Run(c.name, func(t *testing.T) {
							c.play(&stage{T: t, engine: e, open: open, mode: m, name: name, url: p.url + m.path + name})
						})
					}
				})
			}
			t.Run("a problem", func(t *testing.T) { t.Parallel(); everybodyCanReadOfProblems(t, e, e.start(t), p) })
		})
	}
}

func theButtonsCount(s *stage) {
	one := s.visit()
	one.hasCounted(0)
	for i, action := range []string{"increment", "increment", "decrement", "decrement", "decrement"} {
		one.click(action)
		one.hasCounted([]int{1, 2, 1, 0, -1}[i])
	}
	one.click("reset")
	one.hasCounted(0)
	if now, err := one.state(); err != nil || now.Replica == "" || now.Buttons != 3 || now.Notice != "" || now.Hidden {
		s.Errorf("got %+v, %v; want three buttons, a replica and nothing to notice", now, err)
	}
	has := func(p *page, tabs string) {
		p.until("to have "+tabs, func(now state) bool { return now.Tabs == tabs })
	}
	has(one, "1 tab here")
	two := s.visit()
	has(two, "2 tabs here")
	has(one, "2 tabs here")
	two.close()
	has(one, "1 tab here")
}

func aLateJoinerIsRightAtOnce(s *stage) {
	one := s.visit()
	for range 3 {
		one.click("increment")
	}
	one.hasCounted(3)
	if s.mode.html {
		if code, body := get(s, s.url); code != http.StatusOK || !strings.Contains(body, `data-count="3"`) {
			s.Errorf("the first HTML, status %d, has not the count 3: %s", code, body)
		}
	}
	late := s.load()
	var first string
	late.until("to show a count", func(now state) bool {
		first = now.Count
		return first != ""
	})
	if first != "3" {
		s.Errorf("the first count of a late joiner: got %s, want 3", first)
	}
	s.isUp(late)
	late.hasCounted(3)
}

func twoTabsStayInStep(s *stage) {
	pages := s.visits(2)
	for i, action := range []string{"increment", "increment", "increment", "decrement", "reset", "decrement"} {
		pages[i%2].click(action)
		for _, p := range pages {
			p.hasCounted([]int{1, 2, 3, 2, 0, -1}[i])
		}
	}
}

// socketOf is the page's own socket.
const socketOf = `document.querySelector('[hx-ws\\:connect]')._htmx.ws.connection.socket`

// says sends messages through the page's own socket.
func (p *page) says(messages ...object) {
	p.t.Helper()
	list, err := json.Marshal(messages)
	if err != nil {
		p.t.Fatal(err)
	}
	p.evaluate(`for (const m of ` + string(list) + `) ` + socketOf + `.send(JSON.stringify(m)); ''`)
}

// listens keeps what the page's own socket receives from now on.
func (p *page) listens() {
	p.t.Helper()
	p.evaluate(`window.answers = [], ` + socketOf + `.addEventListener('message', (e) => answers.push(JSON.parse(e.data))), ''`)
}

// isAcked waits until an op has been acknowledged n times in all.
func (p *page) isAcked(op wireOp, n int) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%d acknowledgements", n), func() error {
		var acked []opID
		if err := json.Unmarshal([]byte(p.evaluate(`JSON.stringify(answers.flatMap((m) => m.ack ?? []))`)), &acked); err != nil {
			return err
		}
		got := 0
		for _, a := range acked {
			if history.ID(a) == op.ID {
				got++
			}
		}
		if got != n {
			return fmt.Errorf("got %v, want %v", acked, op.ID)
		}
		return nil
	})
}

func aRepeatedOpCountsOnce(s *stage) {
	pages := s.visits(2)
	one, two := pages[0], pages[1]
	one.listens()
	two.listens()
	slow, quick := newOpOn(s.topic()), newOpOn(s.topic())
	one.says(slow.object())
	one.isAcked(slow, 1)
	one.says(slow.object())
	one.isAcked(slow, 2)
	two.says(slow.object())
	two.isAcked(slow, 1)
	one.says(quick.object(), quick.object())
	two.says(quick.object())
	one.isAcked(quick, 2)
	two.isAcked(quick, 1)
	for _, p := range pages {
		p.hasCounted(2)
	}
	// The next click is the third, and nothing comes late.
	two.click("increment")
	for _, p := range pages {
		p.hasCounted(3)
		if now, err := p.state(); err != nil || now.Notice != "" {
			s.Errorf("got %+v, %v; want no notice", now, err)
		}
	}
}

func aReloadLosesNothing(s *stage) {
	pages := s.visits(2)
	one := pages[0]
	shows := func(n int) {
		s.Helper()
		for _, p := range pages {
			p.hasCounted(n)
		}
	}
	one.click("increment")
	one.click("increment")
	shows(2)
	one.reload()
	s.isAsBefore(one)
	shows(2)
	one.click("increment")
	shows(3)
	for i := range 3 {
		one.click("increment")
		one.reload()
		s.isAsBefore(one)
		shows(4 + i)
	}
	pages[1].click("increment")
	shows(7)
}

func sixtyClicksAtOnceAreSixty(s *stage) {
	pages := s.visits(3)
	parallel(pages, func(p *page) { p.clickFast(20) })
	for _, p := range pages {
		p.hasCounted(60)
	}
	pages[0].click("increment") // none is late, none too many
	for _, p := range pages {
		p.hasCounted(61)
	}
}

// reach presses a key that moves the focus until it is on an element.
func (p *page) reach(selector string, k key) {
	p.t.Helper()
	// In fewer than this, or it has left the page: browsers differ in what they
	// have there.
	const most = 10
	for range most {
		p.press(k)
		if p.evaluate(`String(document.hasFocus() && document.activeElement.matches('`+selector+`'))`) == "true" {
			return
		}
	}
	p.t.Fatalf("%s does not lead to %s", k, selector)
}

func theKeyboardIsEnough(s *stage) {
	p := s.load()
	p.isLive()
	if s.mode.renders {
		p.reach("#renderer", keyTab)
		p.press(keySpace)
		s.isAsBefore(p)
	} else {
		p.reach(".asker", keyTab)
	}
	p.reach("[data-action=increment]", keyBack)
	for i, k := range []key{keyEnter, keySpace, keyEnter, keySpace} {
		p.press(k) // the focus stays where it is
		p.hasCounted(i + 1)
	}
	p.reach("[data-action=decrement]", keyBack)
	p.press(keySpace)
	p.hasCounted(3)
	// Twice Enter is no reset: it opens the question, and keeps the count.
	p.reach(".asker", keyTab)
	p.press(keyEnter)
	p.press(keyEnter)
	p.hasCounted(3)
	p.press(keyEnter)
	p.reach("[data-action=reset]", keyTab)
	p.press(keyEnter)
	p.hasCounted(0)
	if got := p.evaluate(`document.activeElement.className`); got != "asker" {
		s.Errorf("after the answer the focus is on %q, want the button that asked", got)
	}
}

func aRefusedMessageChangesNothing(s *stage) {
	pages := s.visits(2)
	one := pages[0]
	is := func(p *page, count, notice string) {
		s.Helper()
		p.until("to show "+count+" and say "+strconv.Quote(notice), func(now state) bool {
			return now.Count == count && now.Notice == notice
		})
	}
	one.click("increment")
	is(one, "1", "")
	is(pages[1], "1", "")
	form := func(do, to string) {
		one.evaluate(`document.querySelector('form[data-do=` + do + `]').dataset.do = '` + to + `', ''`)
	}
	form("increment", "explode")
	one.click("increment")
	form("explode", "increment")
	is(one, "1", "unknown action")
	one.looksRight("the page with a notice")
	// The next click counts, and takes the notice away.
	one.click("increment")
	is(one, "2", "")
	is(pages[1], "2", "")
}
