package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// newBrowser starts Chromium, without a window on a screen, until the test
// ends. A machine without it skips the test, unless LOCKSTEP_TEST_REQUIRE=1.
func newBrowser(t testing.TB) context.Context {
	t.Helper()
	ctx, stop := openBrowser(t, t.TempDir())
	t.Cleanup(stop)
	return ctx
}

// openBrowser starts Chromium with a profile, which may be that of one that was closed; stop closes
// it as a person does, so that its cookies are kept.
func openBrowser(t testing.TB, profile string) (_ context.Context, stop func()) {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("LOCKSTEP_TEST_REQUIRE") == "1" {
			t.Fatal("chromium is not installed (Debian package chromium)")
		}
		t.Skip("chromium is not installed (Debian package chromium)")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(profile),
		chromedp.Env("TMPDIR="+shortDir(t)), // it leaves folders there
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true))
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(alloc)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		stopAlloc()
		t.Fatalf("chromium: %v", err)
	}
	return ctx, func() {
		soon, end := context.WithTimeout(ctx, patience)
		_ = chromedp.Cancel(soon) // it may have ended
		end()
		cancel()
		stopAlloc()
	}
}

// shortDir returns a folder for the test whose path is short: Chromium puts a
// unix socket there, of at most 107 bytes, and t.TempDir's path has the name
// of the test in it.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e") //nolint:usetesting // too long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// newPage opens a tab of Chromium and watches its console until the test ends.
func newPage(t testing.TB, browser context.Context, opts ...chromedp.ContextOption) *page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, opts...)
	return pageOf(ctx, t, newChromiumTab(ctx, cancel))
}

// A chromiumTab is a tab of Chromium.
type chromiumTab struct {
	ctx    context.Context
	cancel context.CancelFunc

	read    sync.WaitGroup // the readers, which end with ctx
	console []string       // owned by its reader until read is done
}

func newChromiumTab(ctx context.Context, cancel context.CancelFunc) *chromiumTab {
	c := &chromiumTab{ctx: ctx, cancel: cancel}
	messages := chromedp.Console(ctx)
	c.read.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			c.console = append(c.console, fmt.Sprintf("%s: %s", m.Type, m.Text))
		}
	})
	// Whoever is asked whether to leave a page with clicks that are not kept leaves it.
	dialogs := chromedp.Events(ctx, cdppage.JavascriptDialogOpening)
	c.read.Go(func() {
		for dialog, err := range dialogs {
			if err != nil {
				return
			}
			if dialog.Type == cdppage.DialogTypeBeforeunload {
				_, _ = chromedp.Call(ctx, cdppage.HandleJavaScriptDialog, cdppage.HandleJavaScriptDialogParams{Accept: true}) // ctx may have ended
			}
		}
	})
	return c
}

func (c *chromiumTab) navigate(ctx context.Context, url string) error {
	return chromedp.Do(ctx, chromedp.Navigate(url))
}

func (c *chromiumTab) reload(ctx context.Context) error { return chromedp.Do(ctx, chromedp.Reload()) }

func (c *chromiumTab) evaluate(ctx context.Context, script string) (string, error) {
	return chromedp.Run(ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
}

func (c *chromiumTab) click(ctx context.Context, selector string) error {
	for {
		err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(selector)))
		if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "Could not find node with given id") {
			return err
		} // else the page has made it anew between a look at it and the click, which did not happen
	}
}

func (c *chromiumTab) press(ctx context.Context, k key) error {
	if k == keyBack {
		return chromedp.Do(ctx, chromedp.KeyEvent("\t", chromedp.KeyModifiers(chromedp.ModifierShift)))
	}
	return chromedp.Do(ctx, chromedp.KeyEvent(map[key]string{keyTab: "\t", keyEnter: "\r", keySpace: " "}[k]))
}

func (c *chromiumTab) close() []string {
	c.cancel()
	c.read.Wait()
	return c.console
}

// do runs steps of chromedp: in Chromium only.
func (p *page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	p.try(func(ctx context.Context) error { return chromedp.Do(ctx, steps...) })
}

// hide minimises the window of a page, or shows it again.
func (p *page) hide(yes bool) {
	p.t.Helper()
	c := chromedp.FromContext(p.ctx)
	window, err := cdp.Call(p.ctx, c.Browser, browser.GetWindowForTarget, browser.GetWindowForTargetParams{TargetID: c.Target.TargetID})
	if err != nil {
		p.t.Fatal(err)
	}
	bounds := browser.WindowStateNormal
	if yes {
		bounds = browser.WindowStateMinimized
	}
	_, err = cdp.Call(p.ctx, c.Browser, browser.SetWindowBounds, browser.SetWindowBoundsParams{
		WindowID: window.WindowID, Bounds: &browser.Bounds{WindowState: bounds},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.until(fmt.Sprintf("to be hidden: %v", yes), func(s state) bool { return s.Hidden == yes })
}

// prefersInChromium has a page like light or dark.
func prefersInChromium(p *page, scheme string) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// beforeScripts has a script run in each document of a page before any other.
func (p *page) beforeScripts(script string) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: script})
	if err != nil {
		p.t.Fatal(err)
	}
}
