package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep/internal/testserver"
)

// buildPatience is how long a step of "make dev" may take, which compiles: far
// more than it does, because the machine may be busy.
const buildPatience = 5 * time.Minute

// A devFolder is one with "lockstep dev" at work in it.
type devFolder struct {
	t    *testing.T
	dir  string
	url  string
	cmd  *exec.Cmd
	out  *syncBuffer
	done <-chan struct{}
}

// newDevCheckout copies what is, or could be, committed, and does there what "make dev" does.
func newDevCheckout(t *testing.T) *devFolder {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "copy")
	files := commandIn(t, "..", "git", "ls-files", "-co", "--exclude-standard", "--deduplicate")
	for name := range strings.Lines(files) {
		copyFile(t, filepath.Join("..", strings.TrimSpace(name)), filepath.Join(dir, strings.TrimSpace(name)))
	}
	for _, tool := range []string{"templ", "esbuild"} { // which "make dev" would build, and "make test" has
		name := filepath.Join("bin", tool)
		if _, err := os.Stat(filepath.Join("..", name)); err != nil {
			t.Fatalf("%v: make generate builds it", err)
		}
		copyFile(t, filepath.Join("..", name), filepath.Join(dir, name))
	}
	commandIn(t, dir, "git", "init", "-q")
	commitAll(t, dir)
	// A make that was started by another, as in "make test", would name its folder in further lines.
	_, args, ok := strings.Cut(commandIn(t, dir, "make", "--no-print-directory", "-n", "dev"), "bin/lockstep ")
	if !ok {
		t.Fatal("make dev runs something else")
	}
	return develop(t, dir, append(strings.Fields(strings.ReplaceAll(args, "\\\n", " ")), "--", "-store", "mem:")...)
}

// lockstepCommand builds the command lockstep, as it is in a checkout.
func lockstepCommand(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "lockstep")
	commandIn(t, "..", "go", "build", "-o", program, "./cmd/lockstep")
	return program
}

// develop runs the command lockstep in a folder, with arguments.
func develop(t *testing.T, dir string, args ...string) *devFolder {
	t.Helper()
	addr := address(testserver.FreePort(t))
	d := &devFolder{t: t, dir: dir, out: &syncBuffer{}, url: "http://" + addr, cmd: exec.Command(lockstepCommand(t), args...)}
	d.cmd.Dir, d.cmd.Stdout, d.cmd.Stderr = d.dir, d.out, d.out
	d.cmd.Env = append(os.Environ(), "ADDR="+addr)
	done, err := testserver.Launch(d.cmd)
	if err != nil {
		t.Fatal(err)
	}
	d.done = done
	t.Cleanup(func() {
		d.interrupt()
		if t.Failed() {
			t.Logf("output of dev:\n%s", d.out)
		}
	})
	within(t, buildPatience, "a page", func() error {
		if code, body := get(t, d.url); code != 200 {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
	return d
}

// copyFile copies a file, unless it was deleted and that is not committed yet.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if os.IsNotExist(err) {
		return
	}
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o755)
	}
	if err == nil {
		err = os.WriteFile(to, text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// commandIn runs a command in a folder and returns what it writes.
func commandIn(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), buildPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, &out, &errs)
	}
	return out.String()
}

func commitAll(t *testing.T, dir string) {
	t.Helper()
	commandIn(t, dir, "git", "add", "-A")
	commandIn(t, dir, "git", "-c", "user.name=test", "-c", "user.email=test@example", "commit", "-qm", "test")
}

// edit replaces the first old in a file, or appends to it if there is no old.
func (d *devFolder) edit(name, old, text string) {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	was, err := os.ReadFile(path)
	if err != nil {
		d.t.Fatal(err)
	}
	is := string(was) + text
	if old != "" {
		is = strings.Replace(string(was), old, text, 1)
	}
	if is == string(was) {
		d.t.Fatalf("%s has no %q", name, old)
	}
	if err := os.WriteFile(path, []byte(is), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

// interrupt is Ctrl-C. It waits until dev has ended, and returns its exit code.
func (d *devFolder) interrupt() int {
	d.t.Helper()
	_ = d.cmd.Process.Signal(syscall.SIGINT) // it may have ended
	select {
	case <-d.done:
	case <-time.After(buildPatience):
		_ = d.cmd.Process.Kill() // as above
		d.t.Errorf("dev does not end")
	}
	return d.cmd.ProcessState.ExitCode()
}

// shows waits until a script says in a tab what is wanted.
func (d *devFolder) shows(tab *page, what, script, want string) {
	d.t.Helper()
	begun := time.Now()
	within(d.t, buildPatience, "the tab to show "+what, func() error {
		ctx, cancel := context.WithTimeout(tab.ctx, 5*time.Second)
		defer cancel()
		got, err := tab.tab.evaluate(ctx, script)
		if err == nil && !strings.Contains(got, want) {
			err = fmt.Errorf("it shows %q", got)
		}
		return err
	})
	d.t.Logf("%s after %v", what, time.Since(begun).Round(time.Millisecond))
}

// TestAnOpenTabShowsEachChangeOfASource edits a copy of the checkout while
// "make dev" is at work, and wants one open tab to follow. In the end all that
// is generated is as "make generate" writes it.
func TestAnOpenTabShowsEachChangeOfASource(t *testing.T) {
	t.Parallel()
	d := newDevCheckout(t)
	tab := visit(t, newBrowser(t), d.url)
	tab.click("increment")
	tab.showsCount(1)

	d.edit("app/pages/counter.templ", "{ c.Name }</h1>", "{ c.Name } edited</h1>")
	d.shows(tab, "a template", `document.querySelector('#counter-name').textContent`, "edited")
	d.edit("static/app.css", "", ":root { --edited: style; }\n")
	d.shows(tab, "a style sheet", `getComputedStyle(document.documentElement).getPropertyValue('--edited')`, "style")
	d.edit("static/live.js", "", "document.documentElement.dataset.edited = 'script';\n")
	d.shows(tab, "a script", `document.documentElement.dataset.edited ?? ''`, "script")
	d.edit("app/pages/pages.go", `label: "Reset"`, `label: "Anew"`)
	d.shows(tab, "a Go file", `document.querySelector('[data-action=reset]').textContent`, "Anew")

	const problem = `document.querySelector('#dev-problem')?.textContent ?? 'none'`
	d.edit("app/pages/pages.go", "", "func x() { nowhere() }\n")
	d.shows(tab, "what does not build", problem, "undefined: nowhere")
	d.edit("app/pages/pages.go", "nowhere()", "")
	d.shows(tab, "that it builds", problem, "none")
	tab.isLive()
	tab.click("increment")
	tab.until("to count", func(s state) bool { return s.Count != "0" })

	d.edit("components/button.templ", "<button", "<button data-edited") // of another module
	d.edit("app/pages/counter.templ", " edited</h1>", " edited again</h1>")
	if code := d.interrupt(); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
	commitAll(t, d.dir)
	commandIn(t, d.dir, "make", "generate")
	if changed := commandIn(t, d.dir, "git", "status", "--porcelain"); changed != "" {
		t.Errorf("dev leaves what is not as generated:\n%s", changed)
	}
	for name, want := range map[string]string{"app/pages/counter_templ.go": "edited again", "components/button_templ.go": "data-edited"} {
		if text, err := os.ReadFile(filepath.Join(d.dir, name)); err != nil || !bytes.Contains(text, []byte(want)) {
			t.Errorf("%s is not of the last change: %v", name, err)
		}
	}
}

// siteStyle and siteMore are what the test adds to an app: a style sheet, which is in the program,
// and what a person may do something to.
const (
	siteStyle = "main { min-height: 4000px }\n:root { --edited: no }\n"
	siteMore  = `<details><summary>More</summary><p>of it</p></details>
		<label>Note <textarea name="note"></textarea></label>
		@tally`
)

// A leftState is what a person has done to a page of the app.
type leftState struct {
	Note, Focus    string
	From, To, Down int
	Open           bool
	Count, Mark    string
}

const readLeft = `JSON.stringify({
	Note: document.querySelector('[name=note]').value, Focus: document.activeElement.localName,
	From: document.activeElement.selectionStart ?? -1, To: document.activeElement.selectionEnd ?? -1,
	Down: Math.round(scrollY), Open: document.querySelector('details').open,
	Count: document.querySelector('output').textContent, Mark: window.mark ?? '',
})`

// TestAnAppOutsideShowsEachChangeAndKeepsWhatWasTyped has "lockstep dev" at work in an app that
// "lockstep new" has made. A tab follows, and what its person has done stays.
func TestAnAppOutsideShowsEachChangeAndKeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "myapp")
	commandIn(t, "..", lockstepCommand(t), "new", dir)
	edit := (&devFolder{t: t, dir: dir}).edit
	if err := os.WriteFile(filepath.Join(dir, "style.css"), []byte(siteStyle), 0o600); err != nil {
		t.Fatal(err)
	}
	edit("main.go", `	"net/http"`, "\t_ \"embed\" // of the style sheet\n\t\"io\"\n\t\"net/http\"")
	edit("main.go", "func main()", "//go:embed style.css\nvar style string\n\nfunc main()")
	edit("main.go", "	return s, mux", `	mux.HandleFunc("/style.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css")
		_, _ = io.WriteString(w, style)
	})
	return s, mux`)
	edit("main.go", `PageOptions{`, `PageOptions{Styles: []string{"/style.css"}, `)
	edit("page.templ", "@tally", siteMore)

	d := develop(t, dir, "dev")
	tab := visit(t, newBrowser(t), d.url)
	tab.clickOn("main form button")
	eventually(t, "the click to count", func() error {
		if got := tab.evaluate(`document.querySelector('output').textContent`); got != "1" {
			return fmt.Errorf("it shows %s", got)
		}
		return nil
	})
	tab.clickOn("summary")
	tab.types("[name=note]", "half a sentence")
	tab.evaluate(`document.activeElement.setSelectionRange(5, 6); scrollTo(0, 1234); window.mark = 'the same page'`)
	want := leftState{"half a sentence", "textarea", 5, 6, 1234, true, "1", ""}
	kept := func(what string) {
		t.Helper()
		eventually(t, "the page to be as its person left it after "+what, func() (err error) {
			var got leftState
			if err = json.Unmarshal([]byte(tab.evaluate(readLeft)), &got); err == nil && got != want {
				err = fmt.Errorf("it is %+v instead of %+v", got, want)
			}
			return err
		})
	}

	d.edit("style.css", "--edited: no", "--edited: style")
	d.shows(tab, "a style sheet", `getComputedStyle(document.documentElement).getPropertyValue('--edited')`, "style")
	want.Mark = "the same page"
	kept("a style sheet")
	tab.isLive()
	if got := tab.evaluate(`String(document.querySelectorAll('link[href*="style.css"]').length)`); got != "1" {
		t.Errorf("the page has %s of the style sheet", got)
	}

	want.Mark = ""
	d.edit("page.templ", "<h1>myapp</h1>", "<h1>edited</h1><label>Before it <textarea></textarea></label>")
	d.shows(tab, "a template", `document.querySelector('h1').textContent`, "edited")
	kept("a template")
	tab.isLive()

	const problem = `document.querySelector('#dev-problem')?.textContent ?? 'none'`
	d.edit("main.go", "", "func x() { nowhere() }\n")
	d.shows(tab, "what does not build", problem, "undefined: nowhere")
	if code, body := get(t, d.url); code != 200 || !strings.Contains(body, "edited") {
		t.Errorf("the old server is gone: %d %s", code, body)
	}
	d.edit("main.go", "nowhere()", "println()")
	d.shows(tab, "that it builds", problem, "none")
	d.edit("main.go", `return Tally{N: t.N + 1`, `return Tally{N: t.N + 41`)
	d.edit("main.go", `Title: "myapp"`, `Title: "new"`)
	d.shows(tab, "a Go file", "document.title", "new")
	tab.isLive()
	kept("a Go file")
	tab.clickOn("main form button")
	want.Count, want.Focus, want.From, want.To = "42", "button", -1, -1
	eventually(t, "another click to count as the new program says", func() error {
		if got := tab.evaluate(`document.querySelector('output').textContent`); got != want.Count {
			return fmt.Errorf("it shows %s", got)
		}
		return nil
	})
	if code := d.interrupt(); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
}
