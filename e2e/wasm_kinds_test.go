package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"lockstep/internal/testserver"
)

// reads waits until a page's room says a text, whatever white space is in it.
func (p *page) reads(want string) {
	p.t.Helper()
	eventually(p.t, "the room to say "+want, func() error {
		got := p.evaluate(`(document.querySelector('[data-topic][data-version]')?.textContent ?? '').replace(/\s+/g, ' ')`)
		if !strings.Contains(got, want) {
			return fmt.Errorf("it says %s", got)
		}
		return nil
	})
}

// votes has a person choose on the page of a poll.
func (p *page) votes(option string) {
	p.t.Helper()
	p.clickOn(`button[name=option][value=` + option + `]`)
}

// transfers has a person fill in the form of a bank, from the first account to
// the second.
func (p *page) transfers(amount int) {
	p.t.Helper()
	p.evaluate(fmt.Sprintf(`(document.querySelector('[name=amount]').value = %d, '')`, amount))
	p.clickOn("[data-action=transfer]")
}

// refuses waits until the page says why something was refused.
func (p *page) refuses(why string) {
	p.t.Helper()
	p.until("to say "+why, func(s state) bool { return strings.Contains(strings.ToLower(s.Notice), strings.ToLower(why)) })
}

// TestEachKindRunsInTheBrowser, in two tabs that are in step without a server, and
// of which one has been closed meanwhile.
func TestEachKindRunsInTheBrowser(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	visit(t, browser, p.url+"/wasm/").isKept()
	p.kill()
	both := func(query string, do func(one, two *page)) {
		one, two := visit(t, browser, p.url+"/wasm/"+query), visit(t, browser, p.url+"/wasm/"+query)
		do(one, two)
		one.close()
		two.close()
	}
	both("?topic=poll:lunch", func(one, two *page) {
		one.votes("summer")
		two.reads("summer1")
		two.votes("winter") // the same person
		one.reads("summer0 autumn0 winter1")
		one.until("to have nothing waiting", func(s state) bool { return !s.Waiting })
	})
	both("?kind=bank&name=%20Vault%20", func(one, two *page) {
		one.transfers(30)
		two.reads("Account 1 70Account 2 130")
		two.transfers(71)
		two.refuses("account 1 has only 70")
		one.reads("Account 1 70Account 2 130")
	})
	both("?topic=list:shop", func(one, two *page) {
		one.adds("milk")
		one.adds("tea")
		two.showsList("milk,tea")
		two.presses("up", "tea")
		one.showsList("tea,milk")
		one.presses("toggle", "milk")
		two.showsList("tea,+milk")
	})
	both("?topic=log:lobby", func(one, two *page) {
		one.tells("hello")
		two.showsEntries("hello")
		two.tells("and hello")
		one.showsEntries("hello,and hello")
		one.evaluate(`(() => {
			const link = document.querySelector('a.older');
			link.href = link.href.replace(/before=\d+/, 'before=2');
			link.hidden = false;
			link.click();
			return '';
		})()`)
		one.showsEntries("hello")
	})
	both("?topic=signup:crew", func(one, two *page) {
		one.fillIn("name", "Ada", "email", ada)
		one.reload()
		one.isLive()
		one.showsSignup("what was typed, after a reload", func(s signupState) bool { return s.form["name"] == "Ada" && s.form["email"] == ada })
		two.fillIn("name", "Ada", "email", ada, "team", "s")
		two.clickOn(`[data-action="signup"]`)
		one.showsSignup("one account, and that it is there", func(s signupState) bool {
			return has("Ada")(s) && s.form["name"] == "Ada"
		})
		one.fillIn("team", "e")
		one.clickOn(`[data-action="signup"]`)
		one.showsSignup("what is wrong, beside its field", func(s signupState) bool {
			return s.errors["name"] == "this name is taken" && s.said == ""
		})
		if got := one.evaluate(`getComputedStyle(document.querySelector('form.stacked')).display`); got != "grid" && got != "flex" {
			t.Errorf("the form is laid out as %s: its style sheet is missing", got)
		}
	})
	board := newPage(t, browser)
	board.navigate(p.url + "/wasm/?topic=soft:lobby")
	eventually(t, "the page to say that boards need a server", func() error {
		if got := board.evaluate(`document.querySelector('#failure')?.textContent ?? ''`); !strings.Contains(got, "a server has them") {
			return fmt.Errorf("it says %q", got)
		}
		return nil
	})
	late := visit(t, browser, p.url+"/wasm/?topic=bank:vault")
	late.reads("Account 1 70Account 2 130")
	late.evaluate(`(document.querySelector('#open-name').value = 'other', '')`)
	late.clickOn(".opener button")
	late.isLive()
	late.reads("other")
	late.reads("Account 1 100Account 2 100")
	if got := late.evaluate(`document.querySelector('.elsewhere a:last-child').getAttribute('href')`); got != "../bank/other" {
		t.Errorf("the way to the server leads to %s", got)
	}
}

// TestATabRendersEachKindItself: what its person does shows at once, in the order
// in which it will count, and what will be refused does not.
func TestATabRendersEachKindItself(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	for path, c := range map[string]struct {
		online, offline func(tab *page)
		counted, ahead  string // what others see meanwhile, and what the tab shows
	}{
		"/poll/lunch": {
			online:  func(tab *page) { tab.votes("summer") },
			offline: func(tab *page) { tab.votes("winter"); tab.votes("autumn") },
			counted: "summer1 autumn0 winter0", ahead: "summer0 autumn1 winter0",
		},
		"/bank/vault": {
			online:  func(tab *page) { tab.transfers(60) },
			offline: func(tab *page) { tab.transfers(30); tab.transfers(11); tab.transfers(10) },
			counted: "Account 1 40Account 2 160", ahead: "Account 1 0Account 2 200",
		},
		"/list/shop": {
			online: func(tab *page) { tab.adds("milk") },
			offline: func(tab *page) {
				tab.adds("tea")
				tab.showsList("milk,tea")
				tab.presses("up", "tea")
			},
			counted: "milk Save1 to do", ahead: "tea Savemilk Save2 to do",
		},
	} {
		t.Run(path, func(t *testing.T) {
			link := testserver.NewProxy(t, p.addr())
			other, tab := visit(t, browser, p.url+path), visit(t, browser, "http://"+link.Addr+path)
			tab.switchOn()
			c.online(tab)
			other.reads(c.counted)
			tab.reads(c.counted)
			link.Refuse(true)
			tab.isOffline()
			c.offline(tab)
			tab.reads(c.ahead)
			other.reads(c.counted)
			link.Refuse(false)
			other.reads(c.ahead)
			tab.reads(c.ahead)
			tab.until("to have nothing waiting", func(s state) bool { return !s.Waiting && s.Kept == "0" })
		})
	}
}

// TestATabRendersALogItself: it is sent what is appended, shows at once what its person says, and
// has the same entries as others in the end, those that it was away for, too.
func TestATabRendersALogItself(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	link := testserver.NewProxy(t, p.addr())
	const path = "/log/lobby"
	other, tab := visit(t, browser, p.url+path), visit(t, browser, "http://"+link.Addr+path)
	other.tells("one")
	tab.showsEntries("one")
	tab.switchOn()
	other.tells("two")
	tab.showsEntries("one,two")
	tab.tells("three")
	other.showsEntries("one,two,three")
	tab.showsEntries("one,two,three")
	tab.evaluate(`(document.querySelector('#log li').mark = 'kept', '')`)
	link.Refuse(true)
	tab.isOffline()
	tab.tells("five")
	tab.tells("six")
	tab.showsEntries("one,two,three,?five,?six")
	other.tells("four")
	other.showsEntries("one,two,three,four")
	link.Refuse(false)
	tab.showsEntries("one,two,three,four,five,six")
	other.showsEntries("one,two,three,four,five,six")
	tab.until("to have nothing waiting", func(s state) bool { return !s.Waiting && s.Kept == "0" })
	if got := tab.evaluate(`document.querySelector('#log li').mark ?? ''`); got != "kept" {
		t.Error("the first entry was made anew")
	}
	tab.switchOff()
	other.tells("seven")
	tab.showsEntries("one,two,three,four,five,six,seven")
}
