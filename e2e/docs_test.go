package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"lockstep/internal/testserver"
)

// The book, in Chromium: as the demo serves it, and as files.

// opensBook opens a page of the book.
func opensBook(t *testing.T, browser context.Context, url string) *page {
	t.Helper()
	p := newPage(t, browser)
	p.strict = true
	p.navigate(url)
	return p
}

// finds waits until the search shows some of the book, and returns what is chosen of it.
func (p *page) finds(what string) (chosen string) {
	p.t.Helper()
	eventually(p.t, what+" to be found", func() error {
		if got := p.evaluate(`document.querySelector('#found').innerText`); !strings.Contains(got, what) {
			return fmt.Errorf("it shows %q", got)
		}
		return nil
	})
	return p.evaluate(`document.querySelector('#found [aria-selected=true] b')?.textContent ?? ''`)
}

// isAt waits until a page is at an address.
func (p *page) isAt(url string) {
	p.t.Helper()
	eventually(p.t, "the page to be "+url, func() error {
		if got := p.evaluate(`location.href`); got != url {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
}

// TestTheBookIsForEverybody has axe-core look at pages of each sort, in both schemes, and has them
// on a phone.
func TestTheBookIsForEverybody(t *testing.T) {
	t.Parallel()
	server := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	p := opensBook(t, newBrowser(t), server.url+"/docs/")
	for _, at := range []string{"", "tutorial/", "concepts/", "howto-form/", "operations/", "comparison/", "adr/", "adr/0009-dependencies/", "project/readme/", "search/?q=replica"} {
		p.size(1280, 900)
		p.navigate(server.url + "/docs/" + at)
		p.looksRightInBoth("/docs/" + at)
		p.fits("/docs/" + at)
		p.looksRight("/docs/" + at + " on a phone")
	}
	p.navigate(server.url + "/docs/")
	p.types("#search", "replica")
	p.finds("replica")
	p.looksRightInBoth("what was found")
}

// slash presses the key as a keyboard does: its letter comes only if the page lets it. chromedp
// sends letters by themselves.
func (p *page) slash() {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, input.DispatchKeyEvent, input.DispatchKeyEventParams{
		Type: input.DispatchKeyEventTypeKeyDown, Key: "/", Code: "Slash", Text: "/",
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// searches has a person search a book at an address, with the keyboard alone.
func searches(p *page, book string) {
	p.t.Helper()
	p.navigate(book + "adr/0009-dependencies/")
	p.slash()
	p.do(chromedp.KeyEvent("exactly onc"))
	if got := p.finds("Exactly once"); got != "" {
		p.t.Errorf("%s is chosen by nobody", got)
	}
	p.do(chromedp.KeyEvent(kb.Escape))
	if got := p.evaluate(`String(document.querySelector('#found').hidden)`); got != "true" {
		p.t.Error("Escape does not close what was found")
	}
	p.do(chromedp.KeyEvent("e"))
	p.finds("Exactly once")
	p.do(chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.ArrowUp))
	first := p.evaluate(`document.querySelector('#found b').textContent`)
	if got := p.finds("Exactly once"); got != first {
		p.t.Errorf("down, down and up lead to %q, and not to %q", got, first)
	}
	to := p.evaluate(`document.querySelector('#found [aria-selected=true]').dataset.to`)
	p.do(chromedp.KeyEvent(kb.Enter))
	p.isAt(to)
	if !strings.HasPrefix(to, book+"exactly-once/") {
		p.t.Errorf("it leads to %s", to)
	}
}

// findsAsTheServer looks for something in the page, and on the server, which answers the form.
func (p *page) findsAsTheServer(asked string) {
	p.t.Helper()
	got := p.evaluate(fmt.Sprintf(`(async (asked) => {
		const input = document.querySelector('#search'), status = document.querySelector('.book-said');
		status.textContent = '';
		input.value = asked;
		input.dispatchEvent(new Event('input'));
		while (!status.textContent) await new Promise(requestAnimationFrame);
		return [...document.querySelectorAll('#found > div')].map((row) => row.dataset.to).join('\n');
	})(%q)`, asked))
	want := p.evaluate(fmt.Sprintf(`(async (asked) => {
		const at = new URL('../search/?q=' + encodeURIComponent(asked), location);
		const [, found] = (await (await fetch(at)).text()).split('book-results');
		return [...found.matchAll(/<li><a href="([^"]*)">/g)].slice(0, 20).map(([, to]) => new URL(to, at).href).join('\n');
	})(%q)`, asked))
	if got != want || !strings.Contains(got, "/docs/") {
		p.t.Errorf("%q: the page finds\n%s\nand the server\n%s", asked, got, want)
	}
}

func TestTheBookIsSearched(t *testing.T) {
	t.Parallel()
	server := start(t, t.TempDir(), "-addr", address(testserver.FreePort(t)))
	browser := newBrowser(t)
	searches(opensBook(t, browser, server.url+"/docs/"), server.url+"/docs/")

	p := opensBook(t, browser, server.url+"/docs/tutorial/")
	for _, asked := range []string{"replica", "exactly once", "html", "state.List", "a"} {
		p.findsAsTheServer(asked)
	}
	p.scripts(false)
	p.reload()
	p.types("#search", "kubernetes\r")
	p.isAt(server.url + "/docs/search/?q=kubernetes")
	p.clickOn(".book-results a")
	p.isAt(server.url + "/docs/operations/#kubernetes")
}

// TestTheBookAsFiles has a plain server of files serve it, below another address.
func TestTheBookAsFiles(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write := exec.CommandContext(t.Context(), "go", "run", "lockstep/tools/site", "-out", filepath.Join(root, "some where"))
	write.Dir = ".." // in the workspace
	if out, err := write.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	srv := httptest.NewServer(http.FileServer(http.Dir(root)))
	t.Cleanup(srv.Close)
	book := srv.URL + "/some%20where/docs/"
	browser := newBrowser(t)
	p := opensBook(t, browser, book)
	p.looksRightInBoth("a page of files")
	p.clickOn(".book-text li a")
	p.isAt(book + "tutorial/") // which a server of files makes of index.html
	searches(p, book)

	p.scripts(false)
	p.reload()
	if got := p.evaluate(`getComputedStyle(document.querySelector('.book-search')).display`); got != "none" {
		t.Errorf("files have a search that nobody answers: %s", got)
	}
}
