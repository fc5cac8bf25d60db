package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// wellFormed is what a module may be called: elements of letters, digits and
// a little punctuation, none of which begins or ends with a dot.
var wellFormed = regexp.MustCompile(`^[A-Za-z0-9_~-]+(\.[A-Za-z0-9_~-]+)*(/[A-Za-z0-9_~-]+(\.[A-Za-z0-9_~-]+)*)*$`)

// moduleLine is the one of a go.mod file.
var moduleLine = regexp.MustCompile(`(?m)^module[ \t]+(\S+)`)

// skipped is what is fetched, built or kept by Git, in the root of the tree.
var skipped = []string{".git", "bin", "data", "node_modules", "tmp"}

// rename gives the module whose go.mod is in root the path to. It returns how
// many files it changed: none when the module is called that already.
func rename(ctx context.Context, root, to string) (int, error) {
	if !wellFormed.MatchString(to) {
		return 0, fmt.Errorf("%q can't be the path of a module", to)
	}
	from, err := modulePath(root)
	if err != nil || from == to {
		return 0, err
	}
	files, err := textFiles(root)
	if err != nil {
		return 0, err
	}
	edit := newEditor(from, to, folders(root, files))
	changed := 0
	for _, file := range files {
		did, err := edit.file(ctx, file)
		if err != nil {
			return changed, err
		}
		if did {
			changed++
		}
	}
	return changed, nil
}

func modulePath(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return "", err
	}
	m := moduleLine.FindSubmatch(text)
	if m == nil {
		return "", errors.New("go.mod has no module line")
	}
	return string(m[1]), nil
}

// textFiles returns the paths of all files below root that are not skipped.
func textFiles(root string) (files []string, err error) {
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && filepath.Dir(path) == filepath.Clean(root) && path != root && slices.Contains(skipped, e.Name()):
			return fs.SkipDir
		case e.Type().IsRegular():
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

// folders returns the names of the folders in root that have Go code or
// modules somewhere in them: what can follow the module's path and a slash.
func folders(root string, files []string) []string {
	var names []string
	for _, file := range files {
		inside, err := filepath.Rel(root, file)
		if err != nil {
			continue
		}
		top, rest, ok := strings.Cut(filepath.ToSlash(inside), "/")
		if ok && (strings.HasSuffix(rest, ".go") || strings.HasSuffix(rest, "go.mod")) {
			names = append(names, top)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// An editor puts one module path in the place of another. It leaves alone
// what only looks like the path: a word of a sentence, a folder of that name,
// the path of another module that ends in it.
type editor struct {
	from, to string
	paths    []*regexp.Regexp // the second group is the old path
}

func newEditor(from, to string, folders []string) *editor {
	for i, f := range folders {
		folders[i] = regexp.QuoteMeta(f) + `\b`
	}
	const before = `(^|[^A-Za-z0-9_./@:%~-])`
	old := "(" + regexp.QuoteMeta(from) + ")"
	e := &editor{from: from, to: to}
	for _, pattern := range []string{
		before + old + `(/(?:` + strings.Join(append(folders, `\.\.\.`), "|") + `))`, // a package, or all of them
		before + old + `([ \t]+(?:v[0-9]|=>))`,                                       // what go.mod and go.work require and replace
		before + old + `(@v[0-9]|@latest|=\.{1,2}(?:/|\s|$))`,                        // arguments of the go command
		`(^module[ \t]+)` + old + `(/|\s|$)`,
		`(\bmodule[ \t]*:?=[ \t]*")` + old + `(")`,   // a constant or variable of that name
		`(^[ \t]*(?:import[ \t]+)?")` + old + `("$)`, // an import of the root in a template, or in a text that has Go
	} {
		e.paths = append(e.paths, regexp.MustCompile(`(?m)`+pattern))
	}
	return e
}

// file changes one file, and reports whether it had to.
func (e *editor) file(ctx context.Context, path string) (bool, error) {
	was, err := os.ReadFile(path)
	if err != nil || !utf8.Valid(was) || bytes.IndexByte(was, 0) >= 0 {
		return false, err
	}
	is := e.text(was)
	if filepath.Ext(path) == ".go" {
		is = e.rootImport(is)
	}
	if bytes.Equal(was, is) {
		return false, nil
	}
	if formatted, err := format.Source(is); err == nil && filepath.Ext(path) == ".go" {
		is = formatted // imports are in the order of their paths
	}
	if err := os.WriteFile(path, is, 0); err != nil { // it is there, and keeps its mode
		return false, err
	}
	if filepath.Ext(path) == ".mod" {
		return true, sortRequirements(ctx, path)
	}
	return true, nil
}

func (e *editor) text(text []byte) []byte {
	for _, path := range e.paths {
		text = path.ReplaceAll(text, []byte("${1}"+e.to+"${3}"))
	}
	return text
}

// rootImport changes the import of the package in the root, whose path may be
// no more than a word.
func (e *editor) rootImport(source []byte) []byte {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "", source, parser.ImportsOnly)
	if err != nil {
		return source // broken on purpose: no compiler reads it
	}
	old := strconv.Quote(e.from)
	for _, spec := range slices.Backward(file.Imports) {
		if spec.Path.Value == old {
			at := set.Position(spec.Path.Pos()).Offset
			source = slices.Concat(source[:at], []byte(strconv.Quote(e.to)), source[at+len(old):])
		}
	}
	return source
}

// sortRequirements brings the blocks of a go.mod file in the order that "go
// mod tidy" wants.
func sortRequirements(ctx context.Context, path string) error {
	out, err := exec.CommandContext(ctx, "go", "mod", "edit", "-fmt", path).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", path, err, out)
	}
	return nil
}
