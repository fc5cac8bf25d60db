// Package wasm compiles cmd/wasm for browsers. It is not linked into a server:
// what it makes is committed and embedded.
package wasm

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// toolchain compiles the program, whichever Go runs this one: another gives
// other bytes. The go command fetches it where it is not installed.
const toolchain = "go1.26.8"

// program is the package that is compiled.
const program = "./cmd/wasm"

// Budget is what the program may weigh, in bytes, compressed with brotli: a
// megabyte is some seconds on a phone.
const Budget = 1_100_000

// A Program is what runs in a browser.
type Program struct {
	Module []byte // WebAssembly, without names
	Exec   []byte // wasm_exec.js, which belongs to the toolchain
}

// work is the folder, below the module's, for what is made on the way.
const work = "bin/wasm"

// modFile leads to the slim copy of templ. Its path goes into the program, so it
// is relative and always the same.
const modFile = work + "/go.mod"

// A builder works in the folder of the module lockstep.
type builder struct{ root string }

// Build compiles the program. root is the folder of the module; bin/ in it is
// used for what is made on the way. The same sources give the same bytes.
func Build(ctx context.Context, root string) (p Program, err error) {
	b, err := newBuilder(ctx, root)
	if err != nil {
		return p, err
	}
	if p.Module, err = b.compile(ctx, "-s -w"); err != nil {
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
	module, err := b.compile(ctx, "")
	if err != nil {
		return nil, err
	}
	packages, err := b.run(ctx, "list", "-modfile="+modFile, "-deps", program)
	if err != nil {
		return nil, err
	}
	return Weigh(module, append(strings.Fields(string(packages)), "main"))
}

// newBuilder makes the slim copy of templ and the module file that leads to it.
func newBuilder(ctx context.Context, root string) (*builder, error) {
	b := &builder{root}
	if err := os.RemoveAll(b.path(work)); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(b.path(work), 0o755); err != nil {
		return nil, err
	}
	dir, err := b.run(ctx, "list", "-m", "-f", "{{.Dir}}", "github.com/a-h/templ")
	if err != nil {
		return nil, err
	}
	if err := Slim(strings.TrimSpace(string(dir)), b.path(work+"/templ")); err != nil {
		return nil, err
	}
	mod, err := os.ReadFile(b.path("go.mod"))
	if err != nil {
		return nil, err
	}
	mod = append(mod, "\nreplace github.com/a-h/templ => ./"+work+"/templ\n"...)
	if err := os.WriteFile(b.path(modFile), mod, 0o644); err != nil {
		return nil, err
	}
	return b, copyFile(b.path("go.sum"), b.path(work+"/go.sum"))
}

func (b *builder) path(name string) string { return filepath.Join(b.root, filepath.FromSlash(name)) }

// compile returns the program. What differs between machines is left out of it:
// paths, the version control's state. So is the build's id, which differs with
// every comment in a source.
func (b *builder) compile(ctx context.Context, ldflags string) ([]byte, error) {
	const out = work + "/lockstep.wasm"
	_, err := b.run(ctx, "build", "-modfile="+modFile, "-trimpath", "-buildvcs=false", "-ldflags=-buildid= "+ldflags, "-o", out, program)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(b.path(out))
}

func (b *builder) run(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.root
	cmd.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "GOWASM=", "GOEXPERIMENT=", "GOFLAGS=-mod=mod", "GOTOOLCHAIN="+toolchain, "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("wasm: go %s: %w\n%s", args[0], err, stderr.Bytes())
	}
	return out, nil
}
