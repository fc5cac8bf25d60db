package wasm_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"lockstep/internal/short"
	"lockstep/static/internal/wasm"
)

// root is the folder of the module.
const root = "../../.."

// copyModule copies what a build needs into a folder of the test.
func copyModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && slices.Contains([]string{".git", "bin", "data", "bench", "e2e", "docs", "dist"}, d.Name()):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(dir, name), 0o755)
		case filepath.Ext(name) != ".go" && !strings.HasPrefix(name, "go."):
			return nil
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), body, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func slow(t *testing.T) {
	t.Helper()
	short.Skip(t, "compiles the program")
}

// What is released must be what everybody's build gives.
func TestTheSameSourcesGiveTheSameProgramInAnyFolder(t *testing.T) {
	slow(t)
	var programs []wasm.Program
	for range 2 {
		p, err := wasm.Build(t.Context(), copyModule(t), nil)
		if err != nil {
			t.Fatal(err)
		}
		programs = append(programs, p)
	}
	if !bytes.Equal(programs[0].Module, programs[1].Module) || !bytes.Equal(programs[0].Exec, programs[1].Exec) {
		t.Error("two folders give two programs")
	}
	if !bytes.HasPrefix(programs[0].Module, []byte("\x00asm")) || !bytes.Contains(programs[0].Exec, []byte("class")) {
		t.Error("got no WebAssembly, or no script to run it")
	}
}

// TestTwoBuildsInOneFolderDoNotDisturbEachOther, the first ones there as well, and leave behind
// only what the next one uses.
func TestTwoBuildsInOneFolderDoNotDisturbEachOther(t *testing.T) {
	slow(t)
	dir := copyModule(t)
	programs, errs := make([]wasm.Program, 2), make([]error, 2)
	var both sync.WaitGroup
	for i := range programs {
		both.Go(func() { programs[i], errs[i] = wasm.Build(t.Context(), dir, nil) })
	}
	both.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(programs[0].Module, programs[1].Module) {
		t.Error("got two programs")
	}
	left, err := os.ReadDir(filepath.Join(dir, "bin", "wasm"))
	if err != nil || len(left) != 1 || strings.HasPrefix(left[0].Name(), "tmp-") {
		t.Errorf("got %v, %v; want one folder", left, err)
	}
}

// TestProgressCountsWhatIsCompiled, and an error says what is wrong and nothing of that.
func TestProgressCountsWhatIsCompiled(t *testing.T) {
	slow(t)
	dir := copyModule(t)
	change := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "htmx", "change.go"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	change("package htmx\n\n// NewToAll is new to every cache.\nconst NewToAll = \"" + rand.Text() + "\"\n")
	var got [][2]int
	if _, err := wasm.Build(t.Context(), dir, func(done, total int) { got = append(got, [2]int{done, total}) }); err != nil {
		t.Fatal(err)
	}
	if first, last := got[0], got[len(got)-1]; first[0] != 0 || last[0] != last[1] || last[1] < 2 || last[1] > 20 {
		t.Errorf("got %v, want htmx and what imports it, one after the other", got)
	}
	change("package htmx\n\nvar wrong int = \"\"\n")
	if _, err := wasm.Build(t.Context(), dir, nil); err == nil || !strings.Contains(err.Error(), "change.go:3") || strings.Contains(err.Error(), "\nlockstep/htmx\n") {
		t.Errorf("got %v, want the place and no progress", err)
	}
}

// What nobody calls in a browser must not get in unnoticed: each of these is
// large, and a client of a broker or an HTTP server has no business there.
func TestNothingOfServersIsInTheProgram(t *testing.T) {
	slow(t)
	weights, err := wasm.Packages(t.Context(), copyModule(t))
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[string]int)
	for _, w := range weights {
		there[w.Package] = w.Bytes
	}
	for _, want := range []string{"lockstep/app", "lockstep/app/pages", "lockstep/live", "lockstep/state/idbstate", "runtime", "(data)"} {
		if there[want] == 0 {
			t.Errorf("%s weighs nothing", want)
		}
	}
	for _, unwanted := range []string{
		"net", "net/http", "crypto/tls", "html/template", "text/template", "regexp", "encoding/gob", "database/sql", "os/exec",
		"github.com/labstack/echo/v4", "github.com/coder/websocket", "github.com/redis/go-redis/v9", "github.com/jackc/pgx/v5",
	} {
		if n := there[unwanted]; n > 0 {
			t.Errorf("%s weighs %d bytes", unwanted, n)
		}
	}
}

func TestWhatIsNoModuleWithNamesIsAnError(t *testing.T) {
	for name, module := range map[string]string{
		"nothing":                 "",
		"text":                    "<!doctype html>",
		"no sections":             "\x00asm\x01\x00\x00\x00",
		"a section that is cut":   "\x00asm\x01\x00\x00\x00\x0a\x20\x01",
		"an endless length":       "\x00asm\x01\x00\x00\x00\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"more functions than are": "\x00asm\x01\x00\x00\x00\x0a\x01\x7f",
	} {
		if w, err := wasm.Weigh([]byte(module), nil); err == nil {
			t.Errorf("%s: got %v and no error", name, w)
		}
	}
}

// TestTemplIsDownloadedWhereItIsMissing, as in the build of an image from nothing. There is no
// program here: that is what is wrong, and nothing before it.
func TestTemplIsDownloadedWhereItIsMissing(t *testing.T) {
	short.Skip(t, "unpacks a module")
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile("../../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cache := t.TempDir()
	t.Cleanup(func() { // modules are read-only
		_ = exec.Command("chmod", "-R", "u+w", cache).Run() // the folder says so, if it can't go
	})
	t.Setenv("GOMODCACHE", cache)
	t.Setenv("GOPROXY", "file://"+filepath.Join(strings.TrimSpace(string(out)), "cache", "download"))
	t.Setenv("GOSUMDB", "off") // go.sum has it
	if _, err := wasm.Build(t.Context(), root, nil); err == nil || strings.Contains(err.Error(), "slim") || !strings.Contains(err.Error(), "cmd/wasm") {
		t.Errorf("got %v, want that there is no cmd/wasm", err)
	}
}
