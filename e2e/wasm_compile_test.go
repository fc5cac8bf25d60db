package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/testserver"
)

// cloneTree copies the files of the repository, changed ones as they are, and nothing that has been
// built.
func cloneTree(t *testing.T) (dir string) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		body, err := os.ReadFile(filepath.Join("..", name))
		if os.IsNotExist(err) {
			continue // removed, and not yet committed
		}
		path := filepath.Join(dir, name)
		if err != nil || os.MkdirAll(filepath.Dir(path), 0o755) != nil || os.WriteFile(path, body, 0o600) != nil {
			t.Fatalf("copy %s: %v", name, err)
		}
	}
	return dir
}

// goEnv are the caches of the go command, for a process with a home of its own. Nothing can be
// downloaded.
func goEnv(t *testing.T) []string {
	t.Helper()
	env := []string{"GOPROXY=off", "GOFLAGS=-buildvcs=false"}
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} {
		out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		env = append(env, name+"="+strings.TrimSpace(string(out)))
	}
	return env
}

// slowGo returns a folder with a go command that waits until there is the file "go on" beside it.
func slowGo(t *testing.T) (dir string) {
	t.Helper()
	path, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	script := "#!/bin/sh\nwhile [ ! -e \"" + dir + "/go on\" ]; do sleep 0.05; done\nexec \"" + path + "\" \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// plainBuild builds the server without the program for browsers.
func plainBuild(t *testing.T, source string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "web")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./cmd/web")
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// saysAt waits until a part of the page has a text.
func (p *page) saysAt(selector, want string) {
	p.t.Helper()
	eventually(p.t, selector+" to say "+want, func() error {
		if got := p.evaluate(`document.querySelector('` + selector + `')?.textContent ?? ''`); !strings.Contains(got, want) {
			return fmt.Errorf("it says %q", got)
		}
		return nil
	})
}

// TestAServerFromAClone, where nothing has been built, compiles the application. An installed
// server, whose source has gone, does not.
func TestAServerFromAClone(t *testing.T) {
	source := cloneTree(t)
	path := plainBuild(t, source)
	t.Run("and it works", func(t *testing.T) { cloneCompiles(t, path) })
	t.Run("unless it ends before", func(t *testing.T) { cloneEnds(t, path) })
	wantOnly(t, source, "bin")
	if err := os.RemoveAll(source); err != nil {
		t.Fatal(err)
	}
	t.Run("and without its source it says what helps", func(t *testing.T) { installedSays(t, path) })
}

// cloneCompiles: the pages say so, and go on by themselves when it is there; the service worker
// that one of them has goes on when the server starts again and has none. No file is left behind.
func cloneCompiles(t *testing.T, path string) {
	browser, temp, bin := newBrowser(t), t.TempDir(), slowGo(t)
	on := filepath.Join(bin, "go on")
	p := &process{
		t: t, dir: t.TempDir(), args: []string{"-addr", address(testserver.FreePort(t))},
		path: path, env: append(goEnv(t), "TMPDIR="+temp, "PATH="+bin+":"+os.Getenv("PATH")),
	}
	p.run()
	if code, body := get(t, p.url+"/wasm/"); code != http.StatusOK || !strings.Contains(body, "The server compiles the application") {
		t.Fatalf("got %d %s", code, body)
	}
	tab, other := newPage(t, browser), newPage(t, browser)
	other.navigate(p.url)
	other.isLive()
	other.clickOn("#renderer")
	other.saysAt("#renderer", "Compiling: ")
	tab.navigate(p.url + "/wasm/")
	tab.saysAt("#loading", "The server compiles the application")
	if err := os.WriteFile(on, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	compiles(t, p)
	tab.isLive()
	tab.click("increment")
	tab.showsCount(1)
	other.until("to render itself", func(s state) bool { return s.Renders })
	other.click("increment")
	other.hasCounted(1)
	other.saysAt("#renderer", "Render in this tab")
	tab.isKept()

	p.term()
	if err := os.Remove(on); err != nil {
		t.Fatal(err)
	}
	p.restart()
	tab.reload() // while the server compiles it again
	tab.isLive()
	tab.click("increment")
	tab.showsCount(2)
	p.term()
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("%v are left behind (%v)", left, err)
	}
}

// compiles waits until the server has the application, which takes longer than anything else when
// the machine is busy: it is compiled when nobody else wants to run.
func compiles(t *testing.T, p *process) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for again := time.NewTicker(100 * time.Millisecond); ; {
		if _, body := get(t, p.url+"/wasm/progress"); strings.Contains(body, `"ready"`) {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("the application is not compiled\n%s", p.out)
		}
	}
}

// wantOnly wants a copy of the tree to have nothing new but a folder.
func wantOnly(t *testing.T, source, folder string) {
	t.Helper()
	there, err := os.ReadDir(source)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range there {
		if _, err := os.Stat(filepath.Join("..", e.Name())); err != nil && e.Name() != folder {
			t.Errorf("%s is new", e.Name())
		}
	}
}

// cloneEnds: a server that ends while it compiles leaves nothing running, and no file.
func cloneEnds(t *testing.T, path string) {
	temp := t.TempDir()
	p := &process{
		t: t, dir: t.TempDir(), args: []string{"-addr", address(testserver.FreePort(t))},
		path: path, env: append(goEnv(t), "TMPDIR="+temp),
	}
	p.run()
	eventually(t, "the compiler to work", func() error {
		if there, _ := filepath.Glob(temp + "/lockstep-compile-*/*"); len(there) == 0 {
			return os.ErrNotExist
		}
		return nil
	})
	if code := p.term(); code != 0 {
		t.Errorf("got exit code %d", code)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("%v are left behind (%v)", left, err)
	}
	eventually(t, "what it has started to end", func() error { return nobodyWorksIn(temp) })
}

// nobodyWorksIn returns an error that names a process with a folder in its environment.
func nobodyWorksIn(dir string) error {
	all, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return err
	}
	for _, path := range all {
		env, _ := os.ReadFile(path) // it may have ended, or is a zombie without one
		if strings.Contains(string(env), "TMPDIR="+dir) {
			return fmt.Errorf("%s works", filepath.Dir(path))
		}
	}
	return nil
}

// installedSays: what helps is said in one sentence, on the page and at the switch, and for
// -export.
func installedSays(t *testing.T, path string) {
	const sentence = "This server was built without the application for browsers: " +
		"start it with “go run ./cmd/web” in a checkout, or build it with “make dist”."
	p := &process{t: t, dir: t.TempDir(), args: []string{"-addr", address(testserver.FreePort(t))}, path: path}
	p.run()
	tab := visit(t, newBrowser(t), p.url)
	tab.clickOn("#renderer")
	tab.saysAt("#notice", sentence)
	tab.click("increment")
	tab.showsCount(1)
	tab.navigate(p.url + "/wasm/")
	tab.saysAt("main", sentence)

	dir := filepath.Join(t.TempDir(), "export")
	out, err := exec.CommandContext(t.Context(), path, "-export", dir).CombinedOutput()
	if err == nil || string(out) != "web: -export: "+sentence+"\n" {
		t.Errorf("got %v, %q", err, out)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the folder was made")
	}
}
