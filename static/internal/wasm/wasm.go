// Package wasm compiles cmd/wasm for browsers. It is not linked into a server: see wasmbuild.
package wasm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// program is the package that is compiled.
const program = "./cmd/wasm"

// Budget is what the program may weigh, in bytes, compressed with brotli: a
// megabyte is some seconds on a phone. It was 1.11 MB with counters only. States
// of any kind, each click once for days, and the pages of two more kinds made it
// 1.24 MB. Lists and logs with their changes, sign-ups with their checks, and
// boards made it 1.36 MB, and that they are kinds of anybody's 1.41 MB (ADR 45).
const Budget = 1_465_000

// A Program is what runs in a browser.
type Program struct {
	Module []byte // WebAssembly, without names
	Exec   []byte // wasm_exec.js, which belongs to the toolchain
}

// work is the folder, below the module's, for what is made on the way. Several
// processes may use it at once.
const work = "bin/wasm"

// A builder works in the folder of the module lockstep.
type builder struct {
	root    string
	modFile string // leads to the slim copy of templ
}

// Build compiles the program. root is the folder of the module; bin/ in it is
// used for what is made on the way. The same sources and the same toolchain give
// the same bytes. progress, unless it is nil, is called from one goroutine with the
// number of packages that are compiled, of those that must be.
func Build(ctx context.Context, root string, progress func(done, total int)) (p Program, err error) {
	b, err := newBuilder(ctx, root)
	if err != nil {
		return p, err
	}
	if p.Module, err = b.compile(ctx, "-s -w", progress); err != nil {
		return p, err
	}
	goroot, err := b.run(ctx, "env", "GOROOT")
	if err != nil {
		return p, err
	}
	p.Exec, err = os.ReadFile(filepath.Join(strings.TrimSpace(string(goroot)), "lib", "wasm", "wasm_exec.js"))
	return p, err
}

// Packages compiles the program and returns what each package weighs in it.
func Packages(ctx context.Context, root string) ([]Weight, error) {
	b, err := newBuilder(ctx, root)
	if err != nil {
		return nil, err
	}
	module, err := b.compile(ctx, "", nil)
	if err != nil {
		return nil, err
	}
	packages, err := b.run(ctx, "list", "-modfile="+b.modFile, "-deps", program)
	if err != nil {
		return nil, err
	}
	return Weigh(module, append(strings.Fields(string(packages)), "main"))
}

// newBuilder makes the slim copy of templ and the module file that leads to it.
// Its path goes into the program, so it is relative, and its name is a hash of
// what it is made of: it is made once, and stays as it is for all who use it.
func newBuilder(ctx context.Context, root string) (*builder, error) {
	b := &builder{root: root}
	mod, err := os.ReadFile(b.path("go.mod"))
	if err != nil {
		return nil, err
	}
	sums, err := os.ReadFile(b.path("go.sum"))
	if err != nil {
		return nil, err
	}
	// Of a package, and not of the module: that is downloaded where it is missing.
	templ, err := b.run(ctx, "list", "-mod=readonly", "-f", "{{.Module.Dir}}", "github.com/a-h/templ")
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(slices.Concat(mod, sums, templ))
	dir := work + "/" + hex.EncodeToString(sum[:5])
	b.modFile = dir + "/go.mod"
	if _, err := os.Stat(b.path(b.modFile)); err == nil {
		return b, nil
	}
	return b, b.slim(strings.TrimSpace(string(templ)), mod, sums, dir)
}

// slim makes the folder dir as a whole: it is there or not, and another process
// may be the first.
func (b *builder) slim(templ string, mod, sums []byte, dir string) error {
	made, err := b.tempDir()
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(made) }() // it has become dir, or is of no use
	if err := Slim(templ, filepath.Join(made, "templ")); err != nil {
		return err
	}
	mod = append(mod, "\nreplace github.com/a-h/templ => ./"+dir+"/templ\n"...)
	if err := os.WriteFile(filepath.Join(made, "go.mod"), mod, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(made, "go.sum"), sums, 0o644); err != nil {
		return err
	}
	if err := os.Rename(made, b.path(dir)); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// tempDir makes a folder that nobody else uses.
func (b *builder) tempDir() (string, error) {
	if err := os.MkdirAll(b.path(work), 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp(b.path(work), "tmp-")
}

func (b *builder) path(name string) string { return filepath.Join(b.root, filepath.FromSlash(name)) }

// compile returns the program. What differs between machines is left out of it:
// paths, the version control's state. So is the build's id, which differs with
// every comment in a source.
func (b *builder) compile(ctx context.Context, ldflags string, progress func(done, total int)) ([]byte, error) {
	dir, err := b.tempDir()
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what stays behind is in nobody's way
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	flags := []string{"-modfile=" + b.modFile, "-trimpath", "-buildvcs=false", "-ldflags=-buildid= " + ldflags}
	flags = append(flags, inlining()...)
	args := append(append([]string{"list"}, flags...), "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", program)
	stale, err := b.run(ctx, args...)
	if err != nil {
		return nil, err
	}
	out := filepath.Join(dir, "lockstep.wasm")
	cmd := b.command(ctx, append(append([]string{"build", "-v"}, flags...), "-o", out, program)...)
	c := newCounter(strings.Fields(string(stale)), progress)
	cmd.Stderr = c
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("wasm: go build: %w\n%s", err, c.rest.Bytes())
	}
	return os.ReadFile(out)
}

// inlining has no functions copied into others, but for those of the runtime: that
// is a twelfth less to load, and rendering takes as long. Templates and generic
// functions are large, and used in several places.
func inlining() []string {
	return []string{"-gcflags=all=-l", "-gcflags=runtime/...=", "-gcflags=internal/...="}
}

func (b *builder) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := b.command(ctx, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("wasm: go %s: %w\n%s", args[0], err, stderr.Bytes())
	}
	return out, nil
}

// command runs the go command that is there, for this module alone: -modfile can
// not be used in a workspace.
func (b *builder) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.root
	cmd.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "GOWASM=", "GOEXPERIMENT=", "GOFLAGS=-mod=mod", "GOWORK=off")
	return cmd
}

// A counter reads what "go build -v" says, line by line: the packages as it comes
// to them, and what is wrong.
type counter struct {
	stale    map[string]bool // packages that it has not come to
	total    int
	progress func(done, total int) // nil: nobody asks
	line     []byte                // the beginning of one
	rest     bytes.Buffer          // lines that name no package
}

func newCounter(stale []string, progress func(done, total int)) *counter {
	c := &counter{stale: make(map[string]bool), total: len(stale), progress: progress}
	for _, p := range stale {
		c.stale[p] = true
	}
	c.report()
	return c
}

func (c *counter) report() {
	if c.progress != nil {
		c.progress(c.total-len(c.stale), c.total)
	}
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	c.line = append(c.line, p...)
	for {
		line, more, ok := bytes.Cut(c.line, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		if c.stale[string(line)] {
			delete(c.stale, string(line))
			c.report()
		} else {
			c.rest.Write(line)
			c.rest.WriteByte('\n')
		}
		c.line = more
	}
}
