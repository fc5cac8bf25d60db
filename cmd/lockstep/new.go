package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
)

//go:embed skeleton
var skeleton embed.FS

// validName is what an app may be called: it names its module, its program and its page.
var validName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,38}$`)

// An app is what its files are made of.
type app struct{ Name string }

// begin makes an app in a folder that is not there, or empty.
func begin(ctx context.Context, dir string, stdout io.Writer) error {
	a := app{filepath.Base(filepath.Clean(dir))}
	if !validName.MatchString(a.Name) {
		return fmt.Errorf("%w: an app is called by 1 to 39 of a-z, 0-9 and -, and begins with a letter; not %q", errUsage, a.Name)
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	checkout, err := modules(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := a.write(dir); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), a.module(checkout), 0o644); err != nil {
		return err
	}
	for _, command := range [][]string{
		{"go", "get", "-tool", templCommand}, {"go", "tool", "templ", "generate"}, {"go", "mod", "tidy"},
	} {
		if err := in(ctx, dir, command...); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(stdout, "%s is there. Now:\n\n  cd %s\n  go test ./...\n  go run .\n\nor, to have open tabs show what you change:\n\n  go tool lockstep dev\n", a.Name, dir)
	return err
}

// templCommand makes Go of templ files.
const templCommand = "github.com/a-h/templ/cmd/templ@v0.3.1118"

// write writes the files that are made of templates: "main.go.txt" becomes main.go, and
// "gitignore.txt" .gitignore.
func (a app) write(dir string) error {
	files, err := skeleton.ReadDir("skeleton")
	if err != nil {
		return err
	}
	for _, f := range files {
		text, err := skeleton.ReadFile("skeleton/" + f.Name())
		if err != nil {
			return err
		}
		t, err := template.New(f.Name()).Parse(string(text))
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := t.Execute(&b, a); err != nil {
			return err
		}
		name := strings.TrimSuffix(f.Name(), ".txt")
		if name == "gitignore" {
			name = ".gitignore"
		}
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// A module is one of the kit's, and where it is.
type module struct{ path, dir string }

// modules returns the modules of the kit, as the current folder's module or workspace sees them.
func modules(ctx context.Context) (all []module, err error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Path}} {{.Dir}}", "all")
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.New("this is run in a checkout of Lockstep, or in a module that uses it: go list finds no modules here")
	}
	for line := range strings.Lines(string(out)) {
		path, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		if (path == root || strings.HasPrefix(path, root+"/")) && dir != "" {
			all = append(all, module{path, dir})
		}
	}
	if len(all) == 0 {
		return nil, errors.New("this is run in a checkout of Lockstep, or in a module that uses it: there is no module " + root + " here")
	}
	return all, nil
}

// root is the path of the kit's first module.
const root = "lockstep"

// module returns the go.mod of an app, which finds the kit in its folders.
func (a app) module(kit []module) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "module %s\n\ngo 1.26.0\n\nreplace (\n", a.Name)
	for _, m := range kit {
		fmt.Fprintf(&b, "\t%s => %s\n", m.path, m.dir)
	}
	fmt.Fprintf(&b, ")\n\nrequire (\n")
	for _, path := range []string{root, root + "/components", root + "/livetest", root + "/run", root + "/serve"} {
		fmt.Fprintf(&b, "\t%s v0.0.0\n", path)
	}
	fmt.Fprintf(&b, ")\n\ntool %s/cmd/lockstep\n", root)
	return b.Bytes()
}

// in runs a command in a folder, outside of any workspace. Its error is what it said.
func in(ctx context.Context, dir string, command ...string) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
