package main

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// add copies components, and what they are made of, into the folder components of the module in the
// current folder. Files that are there already stay as they are.
func add(ctx context.Context, names []string, stdout io.Writer) error {
	from, err := kitOf(ctx)
	if err != nil {
		return err
	}
	kit := os.DirFS(from)
	all, err := componentsIn(kit)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		_, err := fmt.Fprintln(stdout, strings.Join(slices.Sorted(maps.Keys(all)), "\n"))
		return err
	}
	for _, name := range names {
		if all[name] == "" {
			return fmt.Errorf("%w: there is no component %q; \"lockstep add\" lists them", errUsage, name)
		}
	}
	if err := os.MkdirAll("components", 0o755); err != nil {
		return err
	}
	files, err := needed(kit, names)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		to := filepath.Join("components", name)
		if _, err := os.Stat(to); err == nil {
			_, _ = fmt.Fprintln(stdout, "kept", to) // a closed pipe has no reader to tell
			continue
		}
		if err := os.WriteFile(to, files[name], 0o644); err != nil {
			return err
		}
		_, _ = fmt.Fprintln(stdout, "wrote", to)
	}
	return nil
}

// kitOf returns the folder of the kit's components, as the module of the current folder has it.
func kitOf(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", root+"/components").Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		return "", errors.New("this module does not use " + root + "/components: go get it first")
	}
	return dir, nil
}

// componentsIn returns the file of each component, by its name.
func componentsIn(kit fs.FS) (map[string]string, error) {
	files, err := fs.Glob(kit, "*.templ")
	if err != nil {
		return nil, err
	}
	all := make(map[string]string, len(files))
	for _, f := range files {
		all[strings.TrimSuffix(f, ".templ")] = f
	}
	return all, nil
}

// needed returns the files that components are made of, by their names: those of what they use, and
// the style sheet and the script.
func needed(kit fs.FS, names []string) (map[string][]byte, error) {
	sources, err := parse(kit)
	if err != nil {
		return nil, err
	}
	taken := make(map[string]bool)
	var take func(file string)
	take = func(file string) {
		if taken[file] {
			return
		}
		taken[file] = true
		for _, name := range sources.uses[file] {
			if of := sources.owner[name]; of != "" {
				take(of)
			}
		}
	}
	take("components.go")
	for _, name := range names {
		take(name + generated)
	}
	files := make(map[string][]byte)
	for _, file := range append(slices.Collect(maps.Keys(taken)), "lockstep.css", "lockstep.js") {
		for _, name := range []string{file, strings.TrimSuffix(file, generated) + ".templ"} {
			if name != file && !strings.HasSuffix(file, generated) {
				continue
			}
			if files[name], err = fs.ReadFile(kit, name); err != nil {
				return nil, err
			}
		}
	}
	files["components.go"] = directive.ReplaceAll(files["components.go"], nil)
	return files, nil
}

// generated is what the names of files end in that templ has made.
const generated = "_templ.go"

// directive says how the kit makes them.
var directive = regexp.MustCompile(`(?m)^//go:generate .*\n\n?`)

// sources are the Go files of the kit.
type sources struct {
	owner map[string]string   // file, by the name of what it declares
	uses  map[string][]string // names, by file
}

func parse(kit fs.FS) (all sources, err error) {
	all = sources{make(map[string]string), make(map[string][]string)}
	files, err := fs.Glob(kit, "*.go")
	if err != nil {
		return all, err
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := fs.ReadFile(kit, name)
		if err != nil {
			return all, err
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			return all, err
		}
		all.add(name, f)
	}
	return all, nil
}

func (s sources) add(name string, f *ast.File) {
	for _, d := range f.Decls {
		for _, id := range namesOf(d) {
			s.owner[id] = name
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			s.uses[name] = append(s.uses[name], id.Name)
		}
		return true
	})
}

// namesOf returns what a declaration declares; of methods it is nothing.
func namesOf(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				names = append(names, spec.Name.Name)
			case *ast.ValueSpec:
				for _, id := range spec.Names {
					names = append(names, id.Name)
				}
			}
		}
	}
	return names
}
