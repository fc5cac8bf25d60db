package e2e_test

import (
	"bytes"
	"context"
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

// A devCheckout is a copy of the checkout with "make dev" at work in it.
type devCheckout struct {
	t    *testing.T
	dir  string
	url  string
	cmd  *exec.Cmd
	out  *syncBuffer
	done <-chan struct{}
}

// newDevCheckout copies what is, or could be, committed, and starts dev there.
func newDevCheckout(t *testing.T) *devCheckout {
	t.Helper()
	d := &devCheckout{t: t, dir: t.TempDir(), out: &syncBuffer{}}
	d.dir = filepath.Join(d.dir, "copy")
	files := commandIn(t, "..", "git", "ls-files", "-co", "--exclude-standard", "--deduplicate")
	for name := range strings.Lines(files) {
		copyFile(t, filepath.Join("..", strings.TrimSpace(name)), filepath.Join(d.dir, strings.TrimSpace(name)))
	}
	for _, tool := range []string{"templ", "esbuild"} { // which "make dev" would build, and "make test" has
		name := filepath.Join("bin", tool)
		if _, err := os.Stat(filepath.Join("..", name)); err != nil {
			t.Fatalf("%v: make generate builds it", err)
		}
		copyFile(t, filepath.Join("..", name), filepath.Join(d.dir, name))
	}
	commandIn(t, d.dir, "git", "init", "-q")
	d.commit()
	program := filepath.Join(t.TempDir(), "dev")
	commandIn(t, d.dir, "go", "build", "-o", program, "./tools/dev")
	addr := address(testserver.FreePort(t))
	d.url = "http://" + addr
	d.cmd = exec.Command(program, "-addr", addr, "--", "-store", "mem:")
	d.cmd.Dir, d.cmd.Stdout, d.cmd.Stderr = d.dir, d.out, d.out
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

func (d *devCheckout) commit() {
	d.t.Helper()
	commandIn(d.t, d.dir, "git", "add", "-A")
	commandIn(d.t, d.dir, "git", "-c", "user.name=test", "-c", "user.email=test@example", "commit", "-qm", "test")
}

// edit replaces the first old in a file, or appends to it if there is no old.
func (d *devCheckout) edit(name, old, text string) {
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
func (d *devCheckout) interrupt() int {
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
func (d *devCheckout) shows(tab *page, what, script, want string) {
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
	within(t, buildPatience, "a page", func() error {
		if code, body := get(t, d.url); code != 200 {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
	tab := visit(t, newBrowser(t), d.url)
	tab.click("increment")
	tab.showsCount(1)

	d.edit("components/counter.templ", "{ c.Name }</h1>", "{ c.Name } edited</h1>")
	d.shows(tab, "a template", `document.querySelector('#counter-name').textContent`, "edited")
	d.edit("static/app.css", "", ":root { --edited: style; }\n")
	d.shows(tab, "a style sheet", `getComputedStyle(document.documentElement).getPropertyValue('--edited')`, "style")
	d.edit("static/live.js", "", "document.documentElement.dataset.edited = 'script';\n")
	d.shows(tab, "a script", `document.documentElement.dataset.edited ?? ''`, "script")
	d.edit("components/components.go", `label: "Reset"`, `label: "Anew"`)
	d.shows(tab, "a Go file", `document.querySelector('[data-action=reset]').textContent`, "Anew")

	const problem = `document.querySelector('#dev-problem')?.textContent ?? 'none'`
	d.edit("components/components.go", "", "func x() { nowhere() }\n")
	d.shows(tab, "what does not build", problem, "undefined: nowhere")
	d.edit("components/components.go", "nowhere()", "")
	d.shows(tab, "that it builds", problem, "none")
	tab.isLive()
	tab.click("increment")
	tab.until("to count", func(s state) bool { return s.Count != "0" })

	d.edit("components/counter.templ", " edited</h1>", " edited again</h1>")
	if code := d.interrupt(); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
	d.commit()
	commandIn(t, d.dir, "make", "generate")
	if changed := commandIn(t, d.dir, "git", "status", "--porcelain"); changed != "" {
		t.Errorf("dev leaves what is not as generated:\n%s", changed)
	}
	if text, err := os.ReadFile(filepath.Join(d.dir, "components/counter_templ.go")); err != nil || !bytes.Contains(text, []byte("edited again")) {
		t.Errorf("the last change is not generated: %v", err)
	}
}
