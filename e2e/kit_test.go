package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"lockstep/internal/testserver"
)

// What others build of the kit, in Chromium: the examples, and the gallery of the components.

// newText is where a person types what is to be added.
const newText = "[data-reset] input[name=text]"

// exampleDir is the folder of the examples' programs, built once.
var exampleDir = sync.OnceValues(func() (string, error) {
	dir, err := buildDir()
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "examples") + string(filepath.Separator) // of several programs
	cmd := exec.Command("go", "build", "-o", dir, "lockstep/examples/...")
	cmd.Dir = ".." // in the workspace, with the versions that it has
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

// startExample runs a program of the examples once for every address, with flags.
func startExample(t *testing.T, name string, n int, flags ...string) (ps []*process) {
	t.Helper()
	dir, err := exampleDir()
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		p := &process{
			t: t, dir: t.TempDir(), path: filepath.Join(dir, name), env: []string{"LOCKSTEP_SECRET=" + testSecret},
			args: append([]string{"-addr", address(freePorts(t, 4))}, flags...),
		}
		p.run()
		ps = append(ps, p)
	}
	return ps
}

// cards are what a page shows of a board: the texts of each column.
func (p *page) cards() string {
	p.t.Helper()
	return p.evaluate(`[...document.querySelectorAll('main section')].map((s) =>
		[...s.querySelectorAll('li')].map((li) => li.firstChild.textContent.trim()).join()).join(' | ')`)
}

// showsCards waits until a page shows a board.
func (p *page) showsCards(want string) {
	p.t.Helper()
	eventually(p.t, "the board to be "+want, func() error {
		if got := p.cards(); got != want {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
}

// fits is that nothing of a page is wider than a phone.
func (p *page) fits(what string) {
	p.t.Helper()
	p.size(360, 780)
	if got := p.evaluate(`String(document.documentElement.scrollWidth <= innerWidth)`); got != "true" {
		p.t.Errorf("%s is wider than a phone", what)
	}
}

// TestABoardIsInStepThoughItsReplicasAreKilled has two people move cards of an example, each at
// the replica of a process that is killed while they do.
func TestABoardIsInStepThoughItsReplicasAreKilled(t *testing.T) {
	t.Parallel()
	brokers(t, func(t *testing.T, broker string) {
		ps := startExample(t, "kanban", 2, "-url", broker)
		proxies := [2]*testserver.Proxy{
			testserver.NewProxy(t, ps[0].addr(), ps[1].addr()), testserver.NewProxy(t, ps[1].addr(), ps[0].addr()),
		}
		chromium := newBrowser(t)
		ann, bob := visit(t, chromium, "http://"+proxies[0].Addr), visit(t, chromium, "http://"+proxies[1].Addr)
		ann.fillsIn(newText, "write")
		ann.fillsIn(newText, "test")
		bob.showsCards("write,test |  | ")
		bob.clickOn("button[aria-label='Right write']")
		ann.showsCards("test | write | ")
		for i, p := range []*page{ann, bob} {
			ps[i].kill()
			p.fillsIn(newText, []string{"plan", "ship"}[i]) // waits for the other replica
			p.clickOn("button[aria-label='Right write']")
			ps[i].restart()
			p.isLive()
			want := []string{"test,plan |  | write", "test,plan,ship |  | write"}[i]
			ann.showsCards(want)
			bob.showsCards(want)
			if i == 0 {
				bob.clickOn("button[aria-label='Left write']")
				ann.showsCards("test,plan | write | ")
			}
		}
	})
}

// examples are all of them.
func examples() []string {
	return []string{"hits", "chat", "poll", "checklist", "kanban", "signup", "job", "tokens"}
}

// acts does what an example is for, with a text if there is one to type.
func (p *page) acts(example, text string) {
	p.t.Helper()
	switch example {
	case "chat", "checklist", "kanban":
		p.fillsIn(newText, text)
	case "signup":
		p.types("[name=name]", text)
		p.types("[name=email]", text+"@example.org\r")
	case "job":
		p.evaluate(`fetch('/webhook', {method: 'POST', body: new URLSearchParams({id: '` + text + `', steps: '3'})}).then((r) => r.statusText)`)
		eventually(p.t, "the job to be done", func() error {
			if got := p.content(); !strings.Contains(got, "3 of 3") {
				return fmt.Errorf("the page has %q", got)
			}
			return nil
		})
	case "tokens":
		p.fillsIn(newText, text)
		p.hasAnswer()
	case "cursors":
		p.types("[name=x]", kb.ArrowRight)
		eventually(p.t, "a cursor to be seen", func() error {
			if p.evaluate(`String(document.querySelector('main svg g') !== null)`) != "true" {
				return errors.New("there is none")
			}
			return nil
		})
	default:
		p.clickOn("main form button")
	}
}

// content is what a person reads on a page: texts, and what fields have.
func (p *page) content() string {
	p.t.Helper()
	return p.evaluate(`[document.querySelector('main').innerText,
		...[...document.querySelectorAll('main input')].map((i) => i.value)].join('\n')`)
}

// readsAs waits until a page has a content.
func (p *page) readsAs(want string) {
	p.t.Helper()
	eventually(p.t, "the page to be as another is", func() error {
		if got := p.content(); got != want {
			return fmt.Errorf("it has %q instead of %q", got, want)
		}
		return nil
	})
}

// settled returns the content of a page once it is another than before, and nobody types any more.
func (p *page) settled(before string) (content string) {
	p.t.Helper()
	eventually(p.t, "what was done to be seen", func() error {
		if content = p.content(); content == before || strings.Contains(content, "typing…") {
			return fmt.Errorf("the page has %q", content)
		}
		return nil
	})
	return content
}

// TestExamplesRunOnEveryBackend has two tabs of two replicas in step on each, and a late one after
// a restart where the backend keeps anything.
func TestExamplesRunOnEveryBackend(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(t *testing.T) string{
		"memory":   func(*testing.T) string { return "" },
		"file":     func(t *testing.T) string { return "file:" + filepath.Join(t.TempDir(), "data") },
		"Redis":    func(t *testing.T) string { return testserver.Redis(t).URL },
		"Postgres": func(t *testing.T) string { return testserver.Postgres(t).URL },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chromium := newBrowser(t)
			for _, example := range examples() {
				ofExample(t, chromium, example, url(t))
			}
			cursorsOf(t, chromium, url(t))
		})
	}
}

func ofExample(t *testing.T, chromium context.Context, example, url string) {
	t.Helper()
	server := startExample(t, example, 1, "-replicas", "3", "-url", url)[0]
	ann, bob := visit(t, chromium, server.url), visit(t, chromium, server.url)
	before := bob.content()
	ann.acts(example, "milk")
	content := ann.settled(before)
	bob.readsAs(content)
	if url == "" {
		return
	}
	if code := server.term(); code != 0 {
		t.Errorf("%s ended with %d", example, code)
	}
	server.restart()
	visit(t, chromium, server.url).readsAs(content)
}

// cursorsOf has one person seen by another who is at another replica, and forgotten: no store has
// what is soft, so nothing is left of it for later.
func cursorsOf(t *testing.T, chromium context.Context, url string) {
	t.Helper()
	server := startExample(t, "cursors", 1, "-replicas", "3", "-url", url)[0]
	ann, bob := visit(t, chromium, server.url), visit(t, chromium, server.url)
	seen := func(yes bool) error {
		if got := bob.evaluate(`String(document.querySelector('main svg g') !== null)`); got != fmt.Sprint(yes) {
			return fmt.Errorf("that a cursor is there is %s", got)
		}
		return nil
	}
	eventually(t, "somebody else's cursor to be seen", func() error {
		ann.acts("cursors", "") // again: it is forgotten soon, and a cast may be lost
		return seen(true)
	})
	eventually(t, "the cursor to be forgotten", func() error { return seen(false) })
}

// TestExamplesAreForEverybody has axe-core look at every example, in both schemes.
func TestExamplesAreForEverybody(t *testing.T) {
	t.Parallel()
	chromium := newBrowser(t)
	for _, name := range append(examples(), "cursors") {
		p := visit(t, chromium, startExample(t, name, 1)[0].url)
		p.acts(name, "milk")
		p.looksRightInBoth(name)
		p.fits(name)
	}
}

// TestTheGalleryNeedsNoServer opens what is exported as a person does who has the folder.
func TestTheGalleryNeedsNoServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.Command("go", "run", "./tools/site", "-out", dir)
	cmd.Dir = ".." // in the workspace, with the versions that it has
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("export: %v\n%s", err, out)
	}
	p := newPage(t, newBrowser(t))
	p.strict = true
	p.navigate("file://" + filepath.Join(dir, "gallery", "index.html"))
	p.fits("the exported gallery")
	p.clickOn(".ls-theme label:has([value=dark])")
	got := p.evaluate(`[document.documentElement.dataset.theme, getComputedStyle(document.body).colorScheme,
		document.querySelectorAll('.ls-copy[hidden]').length].join()`)
	if got != "dark,dark,0" {
		t.Errorf("got theme, colours and hidden buttons %s", got)
	}
}

// TestTheGalleryIsForEverybody has axe-core look at all components, in both schemes.
func TestTheGalleryIsForEverybody(t *testing.T) {
	t.Parallel()
	server := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	p := visit(t, newBrowser(t), server.url+"/gallery")
	p.looksRightInBoth("the gallery")
	p.clickOn("#live form[action*='do=click'] button")
	p.clickOn("#live form[action*='do=vote'] button")
	p.fillsIn(newText, "hello")
	p.hasMessage("hello")
	p.looksRightInBoth("the gallery after somebody was there")
	p.fits("the gallery")
	if text := p.evaluate(`document.body.innerText`); !strings.Contains(text, "Button") {
		t.Errorf("the gallery has no button: %s", text)
	}
}

// TestADialogGivesTheFocusBack to the button that has opened it. It takes it at first, and so does
// a question.
func TestADialogGivesTheFocusBack(t *testing.T) {
	t.Parallel()
	server := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	p := newPage(t, newBrowser(t))
	p.navigate(server.url + "/gallery")
	for _, dialog := range []string{"dialog.ls-dialog:not(.ls-confirm)", "dialog.ls-confirm"} {
		is := func(want string) {
			t.Helper()
			where := fmt.Sprintf(`(() => {
				const dialog = document.querySelector(%q), at = document.activeElement;
				if (dialog.contains(at)) return 'in it';
				return at.getAttribute('popovertarget') === dialog.id ? 'at its button' : at.outerHTML;
			})()`, dialog)
			eventually(t, "the focus to be "+want, func() error {
				if got := p.evaluate(where); got != want {
					return fmt.Errorf("it is %s", got)
				}
				return nil
			})
		}
		p.evaluate(fmt.Sprintf(`document.querySelector('[popovertarget="' + document.querySelector(%q).id + '"]').focus(); ''`, dialog))
		is("at its button")
		p.press(keyEnter)
		is("in it")
		p.do(chromedp.KeyEvent(kb.Escape))
		is("at its button")
	}
}
