package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"lockstep/internal/testserver"
)

// fillIn types into the fields of a sign-up, by their names, as a person does.
func (p *page) fillIn(pairs ...string) {
	p.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		field := "#field-" + pairs[i]
		if pairs[i] == "team" {
			p.do(chromedp.Focus(chromedp.CSS(field)), chromedp.KeyEvent(pairs[i+1])) // a select goes by letters
			continue
		}
		p.do(chromedp.SendKeys(chromedp.CSS(field), pairs[i+1]))
	}
}

// A signupState is what a person sees of a sign-up's page.
type signupState struct {
	people []string
	form   map[string]string // values by name
	errors map[string]string // what is wrong, by name
	said   string            // of the whole page
	busy   bool
}

// readSignup is what the page shows, a line for each thing.
const readSignup = `[
  ...[...document.querySelectorAll('.people li')].map((li) => 'person ' + li.dataset.name),
  ...[...document.querySelectorAll('form.stacked [name]')].map((el) => 'field ' + el.name + '=' + el.value),
  ...[...document.querySelectorAll('form.stacked .error')].filter((el) => el.textContent).map((el) => {
    const marked = document.querySelector('[aria-describedby~="' + el.id + '"]').matches('[aria-invalid=true]');
    return 'error ' + el.id.slice(6) + '=' + el.textContent + (marked ? '' : ' (the field does not say so)');
  }),
  'said ' + (document.querySelector('#notice')?.textContent ?? ''),
  'busy ' + document.querySelector('form.stacked')?.matches('[aria-busy]'),
].join('\n')`

func (p *page) signup() (s signupState) {
	p.t.Helper()
	s.form, s.errors = map[string]string{}, map[string]string{}
	for line := range strings.SplitSeq(p.evaluate(readSignup), "\n") {
		what, text, _ := strings.Cut(line, " ")
		name, value, _ := strings.Cut(text, "=")
		switch what {
		case "person":
			s.people = append(s.people, text)
		case "field":
			s.form[name] = value
		case "error":
			s.errors[name] = value
		case "said":
			s.said = text
		case "busy":
			s.busy = text == "true"
		}
	}
	return s
}

// showsSignup waits until the page is as cond wants it.
func (p *page) showsSignup(what string, cond func(s signupState) bool) {
	p.t.Helper()
	eventually(p.t, what, func() error {
		if s := p.signup(); !cond(s) {
			return fmt.Errorf("it shows %+v", s)
		}
		return nil
	})
}

func has(people ...string) func(s signupState) bool {
	return func(s signupState) bool { return fmt.Sprint(s.people) == fmt.Sprint(people) }
}

// isNew reports whether the form is empty, with nothing wrong and nothing under way.
func isNew(s signupState) bool {
	return s.form["name"] == "" && s.form["email"] == "" && s.form["team"] == "" && len(s.errors) == 0 && !s.busy && s.said == ""
}

const (
	ada      = "ada@example.org"
	signupIn = "/signup/crew"
)

// people waits until the server, asked by its own address, has so many accounts.
func people(t *testing.T, url string, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("the server to have %d accounts", n), func() error {
		code, body := get(t, url+signupIn)
		if got := strings.Count(body, "<li data-name="); code != http.StatusOK || got != n {
			return fmt.Errorf("%d: it has %d", code, got)
		}
		return nil
	})
}

// TestASignUpByDoubleClickIsOneAccount, and has one answer, though the server is killed when it has
// it in the store and the answer is on its way.
func TestASignUpByDoubleClickIsOneAccount(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	proxy := testserver.NewProxy(t, p.addr())
	browser := newBrowser(t)
	tab := visit(t, browser, "http://"+proxy.Addr+signupIn)
	tab.fillIn("name", "Ada", "email", ada, "team", "s")
	proxy.StallAnswers(true)
	tab.do(chromedp.DoubleClick(chromedp.CSS(`[data-action="signup"]`)))
	people(t, p.url, 1)
	if s := tab.signup(); !s.busy || s.form["name"] != "Ada" || len(s.people) > 0 {
		t.Errorf("before the answer it shows %+v", s)
	}
	p.kill()
	proxy.StallAnswers(false)
	proxy.Cut()
	p.restart()
	tab.showsSignup("one account, and a new form", func(s signupState) bool { return has("Ada")(s) && isNew(s) })
	tab.outboxIsEmpty()
	tab.isLive()
	// Nothing comes of the second half of the double click later on.
	tab.reload()
	tab.isLive()
	tab.showsSignup("one account after a reload", func(s signupState) bool { return has("Ada")(s) && isNew(s) })
	if got := tab.evaluate(`JSON.stringify(Object.keys(sessionStorage).filter((key) => key.startsWith('draft')))`); got != "[]" {
		t.Errorf("there are still the drafts %s", got)
	}
	people(t, p.url, 1)
}

// TestWhatIsWrongIsToldBesideItsField: while a person types, and when the form was sent.
func TestWhatIsWrongIsToldBesideItsField(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	browser := newBrowser(t)
	first := visit(t, browser, p.url+signupIn)
	first.fillIn("name", "Ada", "email", ada, "team", "n")
	first.click("signup")
	first.showsSignup("the account", func(s signupState) bool { return has("Ada")(s) && isNew(s) })

	second := newPage(t, browser, chromedp.WithNewBrowserContext()) // another person
	second.navigate(p.url + signupIn)
	second.isLive()
	second.fillIn("name", "aDA")
	second.showsSignup("that the name is taken", func(s signupState) bool { return s.errors["name"] == "this name is taken" && len(s.errors) == 1 })
	second.fillIn("email", "x@y")
	second.showsSignup("that both are wrong", func(s signupState) bool {
		return s.errors["name"] == "this name is taken" && s.errors["email"] == "what is behind the @ is no domain"
	})
	second.fillIn("email", ".org", "team", "w")
	second.showsSignup("that one is mended", func(s signupState) bool { return s.errors["name"] == "this name is taken" && len(s.errors) == 1 })
	if s := first.signup(); !isNew(s) {
		t.Errorf("the other tab shows %+v", s)
	}
	second.click("signup")
	second.showsSignup("why it is refused, and all that was filled in", func(s signupState) bool {
		return !s.busy && s.errors["name"] == "this name is taken" && len(s.errors) == 1 && s.said == "" &&
			s.form["name"] == "aDA" && s.form["email"] == "x@y.org" && s.form["team"] == "west"
	})
	for _, scheme := range []string{"light", "dark"} {
		prefersInChromium(second, scheme)
		second.looksRight("a form with an error, " + scheme)
	}
	eventually(t, "the field to be ready to be mended", func() error {
		if got := second.evaluate(`document.activeElement.id`); got != "field-name" {
			return fmt.Errorf("the focus is at %q", got)
		}
		return nil
	})
	second.fillIn("name", "2")
	second.showsSignup("that nothing is wrong", func(s signupState) bool { return len(s.errors) == 0 && s.form["name"] == "aDA2" })
	second.click("signup")
	second.showsSignup("two accounts", func(s signupState) bool { return has("Ada", "aDA2")(s) && isNew(s) })
	people(t, p.url, 2)
}

// TestWhatIsTypedOutlivesReloadDeployAndMorph, in its tab, until it is sent.
func TestWhatIsTypedOutlivesReloadDeployAndMorph(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	browser := newBrowser(t)
	tab, other := visit(t, browser, p.url+signupIn), visit(t, browser, p.url+signupIn)
	tab.fillIn("name", "Ad", "team", "e")
	typed := func(s signupState) bool {
		return s.form["name"] == "Ad" && s.form["team"] == "east" && len(s.errors) == 0
	}
	tab.reload()
	tab.showsSignup("what was typed, after a reload", typed)
	tab.isLive()
	other.fillIn("name", "Bob", "email", "b@example.org", "team", "n")
	other.click("signup")
	tab.showsSignup("what was typed, after a morph", func(s signupState) bool { return typed(s) && has("Bob")(s) })
	p.term()
	p.restart()
	tab.isLive()
	tab.showsSignup("what was typed, after a deploy", typed)
	tab.navigate(p.url + "/poll/elsewhere")
	tab.navigate(p.url + signupIn)
	tab.showsSignup("what was typed, after another page", typed)
	tab.navigate(p.url + "/signup/other")
	tab.isLive()
	tab.showsSignup("nothing on the page of another list", isNew)
	other.reload()
	other.isLive()
	other.showsSignup("nothing in another tab", isNew)
	tab.navigate(p.url + signupIn)
	tab.isLive()
	tab.fillIn("name", "a", "email", ada)
	tab.click("signup")
	tab.showsSignup("the account", func(s signupState) bool { return has("Bob", "Ada")(s) && isNew(s) })
	tab.reload()
	tab.showsSignup("a new form", isNew)
}

// TestASignUpMadeOfflineIsSentOnce: however often it is pressed, and from a page that is closed.
func TestASignUpMadeOfflineIsSentOnce(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	proxy := testserver.NewProxy(t, p.addr())
	browser := newBrowser(t)
	tab := visit(t, browser, "http://"+proxy.Addr+signupIn)
	proxy.Refuse(true)
	tab.until("to be offline", func(s state) bool { return s.Status == "offline" })
	tab.fillIn("name", "Ada", "email", ada, "team", "s")
	for range 3 {
		tab.click("signup")
	}
	tab.saysOfWaiting("1 click waiting, kept in this browser")
	if got := tab.evaluate(`JSON.stringify(Object.keys(sessionStorage).filter((key) => key.startsWith('draft')))`); got != "[]" {
		t.Errorf("the outbox has it, and there are the drafts %s", got)
	}
	tab.close()
	proxy.Refuse(false)
	late := visit(t, browser, "http://"+proxy.Addr+signupIn)
	late.showsSignup("the account", func(s signupState) bool { return has("Ada")(s) && isNew(s) })
	late.outboxIsEmpty()
	people(t, p.url, 1)
}

// TestARefusalFindsTheNextPage: it was made by a page that is closed when the answer comes. The
// next has what was filled in, and what is wrong.
func TestARefusalFindsTheNextPage(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	proxy := testserver.NewProxy(t, p.addr())
	browser := newBrowser(t)
	first := newPage(t, browser, chromedp.WithNewBrowserContext())
	first.navigate(p.url + signupIn)
	first.isLive()
	tab := visit(t, browser, "http://"+proxy.Addr+signupIn)
	proxy.Refuse(true)
	tab.until("to be offline", func(s state) bool { return s.Status == "offline" })
	tab.fillIn("name", "Ada", "email", "other@example.org", "team", "s")
	tab.click("signup")
	tab.saysOfWaiting("1 click waiting, kept in this browser")
	tab.close()
	first.fillIn("name", "Ada", "email", ada, "team", "n")
	first.click("signup")
	people(t, p.url, 1)
	proxy.Refuse(false)
	late := visit(t, browser, "http://"+proxy.Addr+signupIn)
	late.showsSignup("what was filled in, and what is wrong", func(s signupState) bool {
		return s.errors["name"] == "this name is taken" && s.form["name"] == "Ada" && s.form["email"] == "other@example.org" && s.form["team"] == "south" && !s.busy
	})
	late.reload()
	late.showsSignup("what was filled in, as a draft", func(s signupState) bool { return s.form["name"] == "Ada" && s.form["email"] == "other@example.org" })
	people(t, p.url, 1)
}

func TestASignUpWorksWithoutJavaScript(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	browser := newBrowser(t)
	with := visit(t, browser, p.url+signupIn)
	with.fillIn("name", "Ada", "email", ada, "team", "n")
	with.click("signup")
	with.showsSignup("the account", has("Ada"))
	without := newPage(t, browser, chromedp.WithNewBrowserContext())
	if _, err := chromedp.Call(without.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	without.navigate(p.url + signupIn)
	without.fillIn("name", "ada", "email", "b@example.org", "team", "w")
	without.click("signup")
	wrong := func(s signupState) bool {
		return s.errors["name"] == "this name is taken" && len(s.errors) == 1 && s.form["email"] == "b@example.org" && s.form["team"] == "west"
	}
	without.showsSignup("why it is refused", wrong)
	without.reload() // sends the form again
	without.showsSignup("the same", wrong)
	without.fillIn("name", "2")
	without.do(chromedp.DoubleClick(chromedp.CSS(`[data-action="signup"]`)))
	without.showsSignup("the account", func(s signupState) bool { return has("Ada", "2ada")(s) && isNew(s) })
	with.showsSignup("both", has("Ada", "2ada"))
	people(t, p.url, 2)
}

// TestASignUpInFirefox: drafts, checks, one submission and its errors, as in Chromium.
func TestASignUpInFirefox(t *testing.T) {
	t.Parallel()
	p := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	proxy := testserver.NewProxy(t, p.addr())
	tab := newFirefox(t).newPage(t)
	tab.navigate("http://" + proxy.Addr + signupIn)
	tab.isLive()
	tab.sets("name", "Ada", "team", "south")
	tab.reload()
	tab.isLive()
	tab.showsSignup("the draft", func(s signupState) bool { return s.form["name"] == "Ada" && s.form["team"] == "south" })
	tab.sets("email", "x@y")
	tab.showsSignup("what is wrong", func(s signupState) bool { return s.errors["email"] == "what is behind the @ is no domain" })
	tab.sets("email", ada)
	tab.showsSignup("that it is mended", func(s signupState) bool { return len(s.errors) == 0 })
	proxy.StallAnswers(true)
	tab.click("signup")
	tab.click("signup")
	people(t, p.url, 1)
	p.kill()
	proxy.StallAnswers(false)
	proxy.Cut()
	p.restart()
	tab.showsSignup("the account", func(s signupState) bool { return has("Ada")(s) && isNew(s) })
	tab.isLive()
	tab.sets("name", "ADA", "email", "b@example.org", "team", "west")
	tab.click("signup")
	tab.showsSignup("why it is refused", func(s signupState) bool {
		return s.errors["name"] == "this name is taken" && s.form["name"] == "ADA" && s.form["team"] == "west" && !s.busy
	})
	people(t, p.url, 1)
}

// sets is fillIn by a script.
func (p *page) sets(pairs ...string) {
	p.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		p.evaluate(fmt.Sprintf(`((el) => { el.value = %q; el.dispatchEvent(new Event('input', { bubbles: true })); return ''; })(document.getElementById(%q))`,
			pairs[i+1], "field-"+pairs[i]))
	}
}

// TestATabThatRendersItselfShowsItsSignUpAtOnce: without a connection, and as one account when it
// is back. It is told no addresses.
func TestATabThatRendersItselfShowsItsSignUpAtOnce(t *testing.T) {
	t.Parallel()
	p, browser := startWasm(t)
	link := testserver.NewProxy(t, p.addr())
	plain := visit(t, browser, p.url+signupIn)
	tab := visit(t, browser, "http://"+link.Addr+signupIn)
	tab.switchOn()
	plain.fillIn("name", "Ada", "email", ada, "team", "n")
	plain.click("signup")
	tab.showsSignup("the account", has("Ada"))
	link.Refuse(true)
	tab.isOffline()
	tab.fillIn("name", "Bob", "email", "b@example.org", "team", "s")
	tab.click("signup")
	tab.showsSignup("its own, before the answer", func(s signupState) bool { return has("Ada", "Bob")(s) && s.busy })
	plain.showsSignup("nothing of it", has("Ada"))
	link.Refuse(false)
	tab.showsSignup("both", func(s signupState) bool { return has("Ada", "Bob")(s) && isNew(s) })
	plain.showsSignup("both", has("Ada", "Bob"))
	people(t, p.url, 2)
}
