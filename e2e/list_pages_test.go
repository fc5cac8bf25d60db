package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// threeReplicas starts a server with three replicas, and returns their addresses.
func threeReplicas(t *testing.T) (urls []string) {
	t.Helper()
	port := freePorts(t, 4)
	start(t, t.TempDir(), "-addr", address(port), "-replicas", "3")
	for i := range 3 {
		urls = append(urls, "http://"+address(port+1+i))
	}
	return urls
}

// visitWithoutScripts opens a page in a new tab of Chromium that runs no scripts.
func visitWithoutScripts(t *testing.T, browser *page, url string) *page {
	t.Helper()
	p := newPage(t, browser.ctx)
	if _, err := chromedp.Call(p.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	p.navigate(url)
	return p
}

// lists returns what a page shows of a list: the texts of its items, with a + before what is done.
func (p *page) lists() string {
	p.t.Helper()
	return p.evaluate(`[...document.querySelectorAll('#items > li')]
		.map((li) => (li.matches('.done') ? '+' : '') + li.querySelector('span').textContent).join()`)
}

// showsList waits until a page shows items.
func (p *page) showsList(want string) {
	p.t.Helper()
	eventually(p.t, "the list to be "+want, func() error {
		if got := p.lists(); got != want {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
}

// item returns the selector of an item.
func (p *page) item(text string) string {
	p.t.Helper()
	id := p.evaluate(fmt.Sprintf(`[...document.querySelectorAll('#items > li')]
		.find((li) => li.querySelector('span').textContent === %q)?.id ?? ''`, text))
	if id == "" {
		p.t.Fatalf("there is no item %q", text)
	}
	return "#" + id
}

// presses presses a button of an item.
func (p *page) presses(do, text string) {
	p.t.Helper()
	p.clickOn(p.item(text) + ` > [form=` + do + `]`)
}

// types types a text into a field, and presses Enter.
func (p *page) types(selector, text string) {
	p.t.Helper()
	p.do(chromedp.Focus(chromedp.CSS(selector)), chromedp.KeyEvent(text))
}

// hasEmptied waits until a field is empty again.
func (p *page) hasEmptied(selector string) {
	p.t.Helper()
	eventually(p.t, selector+" to be empty", func() error {
		if got := p.evaluate(fmt.Sprintf(`document.querySelector(%q).value`, selector)); got != "" {
			return fmt.Errorf("it has %q", got)
		}
		return nil
	})
}

// adds puts an item at the end of a list, and tells is what a person says in a log.
func (p *page) adds(text string) { p.fillsIn("#add-text", text) }

func (p *page) tells(text string) { p.fillsIn("form[data-do=say] [name=text]", text) }

// fillsIn types a text into a form's only field and sends it, and waits until there is room for the
// next.
func (p *page) fillsIn(selector, text string) {
	p.t.Helper()
	p.types(selector, text+"\r")
	p.hasEmptied(selector)
}

// TestAListIsTheSameInAllTabs of all replicas, with and without JavaScript, and while somebody
// types into an item.
func TestAListIsTheSameInAllTabs(t *testing.T) {
	t.Parallel()
	urls := threeReplicas(t)
	chromium := newBrowser(t)
	one, two := visit(t, chromium, urls[0]+"/list/shop"), visit(t, chromium, urls[1]+"/list/shop")
	one.strict, two.strict = true, true
	plain := visitWithoutScripts(t, one, urls[2]+"/list/shop")
	all := func(want string) {
		t.Helper()
		one.showsList(want)
		two.showsList(want)
		plain.navigate(urls[2] + "/list/shop")
		plain.showsList(want)
	}
	for _, text := range []string{"milk", "tea", "bread"} {
		one.adds(text)
	}
	all("milk,tea,bread")
	two.presses("up", "bread")
	one.showsList("milk,bread,tea")
	one.presses("down", "milk")
	two.showsList("bread,milk,tea")
	two.presses("toggle", "milk")
	all("bread,+milk,tea")
	one.looksRightInBoth("a list")

	// What is being typed stays, and is where the item is.
	one.clickOn(one.item("tea") + " summary")
	field := one.item("tea") + " input[name=text]"
	one.types(field, " bags")
	two.presses("up", "tea")
	two.presses("up", "tea")
	one.showsList("tea,bread,+milk")
	if got := one.evaluate(`document.activeElement.value`); !strings.Contains(got, "bags") {
		t.Errorf("what was typed has become %q", got)
	}
	one.do(chromedp.KeyEvent("\r"))
	name := strings.TrimSpace(one.evaluate(`document.querySelector('` + field + `').value`))
	all(name + ",bread,+milk")
	if got := one.evaluate(`String(document.querySelector('#items details[open]') !== null)`); got != "false" {
		t.Error("the form is still open")
	}

	plain.presses("remove", "bread")
	one.showsList(name + ",+milk")
	two.clickOn("#head button")
	all(name)
	plain.types("#add-text", "jam\r")
	all(name + ",jam")
	visit(t, chromium, urls[2]+"/list/shop").showsList(name + ",jam")
	two.until("to have nothing waiting", func(s state) bool { return !s.Waiting && s.Kept == "0" })
}

// looksRightInBoth has axe-core look at a page that is light, and dark.
func (p *page) looksRightInBoth(what string) {
	p.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		prefersInChromium(p, scheme)
		p.looksRight(what + ", " + scheme)
	}
}

// entries are what a page shows of a log: the texts of its entries, with a ? before what is not
// confirmed.
func (p *page) entries() string {
	p.t.Helper()
	return p.evaluate(`[...document.querySelectorAll('.entries > li')]
		.map((li) => (li.matches('.pending') ? '?' : '') + li.querySelector('span').textContent).join()`)
}

// showsEntries waits until a page shows entries.
func (p *page) showsEntries(want string) {
	p.t.Helper()
	eventually(p.t, "the log to be "+want, func() error {
		if got := p.entries(); got != want {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
}

// numbered are texts from one number to another.
func numbered(from, to int) string {
	var all []string
	for i := from; i <= to; i++ {
		all = append(all, fmt.Sprint("message ", i))
	}
	return strings.Join(all, ",")
}

// TestALogIsTheSameInAllTabs of all replicas, with and without JavaScript, and shows older entries
// on demand.
func TestALogIsTheSameInAllTabs(t *testing.T) {
	t.Parallel()
	urls := threeReplicas(t)
	chromium := newBrowser(t)
	one, two := visit(t, chromium, urls[0]+"/log/talk"), visit(t, chromium, urls[1]+"/log/talk")
	one.strict, two.strict = true, true
	plain := visitWithoutScripts(t, one, urls[2]+"/log/talk")
	const field = "form[data-do=say] [name=text]"
	say := func(p *page, n int) {
		t.Helper()
		p.tells(fmt.Sprint("message ", n))
	}
	say(one, 1)
	two.showsEntries(numbered(1, 1))
	one.showsEntries(numbered(1, 1))
	say(two, 2)
	say(one, 3)
	plain.navigate(urls[2] + "/log/talk")
	for i := 4; i <= 6; i++ {
		plain.types(field, fmt.Sprint("message ", i, "\r"))
		one.showsEntries(numbered(1, i))
		plain.navigate(urls[2] + "/log/talk")
	}
	for _, p := range []*page{one, two, plain} {
		p.showsEntries(numbered(1, 6))
	}
	// One browser is one person: all are their own.
	const sides = `[...new Set([...document.querySelectorAll('.entries > li')].map((li) => getComputedStyle(li.querySelector('span')).justifySelf))].join()`
	if got := one.evaluate(sides); got != "end" {
		t.Errorf("own entries are at the %s", got)
	}
	one.looksRightInBoth("a log")

	for i := 7; i <= 70; i++ {
		one.evaluate(fmt.Sprintf(`document.querySelector('`+field+`').value = 'message %d',
			document.querySelector('form[data-do=say]').requestSubmit(), ''`, i))
	}
	two.showsEntries(numbered(1, 70))
	one.showsEntries(numbered(1, 70))
	late := visit(t, chromium, urls[2]+"/log/talk")
	late.strict = true
	late.showsEntries(numbered(21, 70))

	// Whoever reads further up stays there, and is told what has come.
	two.evaluate(`(document.querySelector('.scroll').scrollTop = 0, '')`)
	say(late, 71)
	eventually(t, "one new entry to be told", func() error {
		if got := two.evaluate(`document.querySelector('[data-unread]:not([hidden])')?.innerText.trim() ?? ''`); got != "1 new" {
			return fmt.Errorf("it says %q", got)
		}
		return nil
	})
	if got := two.evaluate(`String(document.querySelector('.scroll').scrollTop)`); got != "0" {
		t.Errorf("it has scrolled to %s", got)
	}
	two.clickOn("[data-unread]")
	two.showsEntries(numbered(1, 71))
	eventually(t, "the end to be shown", func() error {
		const below = `(({scrollHeight, scrollTop, clientHeight}) => String(scrollHeight - scrollTop - clientHeight < 9))(document.querySelector('.scroll'))`
		if got := two.evaluate(below); got != "true" {
			return fmt.Errorf("it is not")
		}
		return nil
	})

	late.evaluate(`(document.querySelector('.scroll').scrollTop = 0, '')`)
	late.showsEntries(numbered(1, 71))
	plain.navigate(urls[2] + "/log/talk")
	plain.showsEntries(numbered(22, 71))
	plain.clickOn("a.older")
	plain.showsEntries(numbered(1, 21))
}
