package docs_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	generated = regexp.MustCompile(`-generate ([^\s=]+)`)
	directive = regexp.MustCompile(`(?m)^//go:generate `)
	fmtTempl  = regexp.MustCompile(`(?m)^\t\$\(TEMPL\) fmt (.+)$`)
)

// A template below no folder that "make dev" names is made by no generator while one edits it, and
// "make fmt" leaves one alone that is below none of its own.
func TestMakeKnowsEachFolderOfTemplates(t *testing.T) {
	text, err := os.ReadFile(inRoot("Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	makefile := strings.ReplaceAll(string(text), "\\\n", "")
	_, dev, _ := strings.Cut(makefile, "\ndev:")
	dev, _, _ = strings.Cut(dev, "\n\n")
	var generators []string
	for _, m := range generated.FindAllStringSubmatch(dev, -1) {
		generators = append(generators, m[1])
		if !hasDirective(t, m[1]) {
			t.Errorf("make dev has go generate work on %s, where no file tells it what to do", m[1])
		}
	}
	var formatted []string
	if m := fmtTempl.FindStringSubmatch(makefile); m != nil {
		formatted = strings.Fields(m[1])
	}
	for _, folder := range foldersOfTemplates(t) {
		if !slices.ContainsFunc(generators, isAbove(folder)) {
			t.Errorf("make dev does not generate %s: there is no -generate for it in %q", folder, generators)
		}
		if !slices.ContainsFunc(formatted, isAbove(folder)) {
			t.Errorf("make fmt does not format the templates in %s, but in %q", folder, formatted)
		}
	}
}

// foldersOfTemplates are those that have any.
func foldersOfTemplates(t *testing.T) (all []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(inRoot(".")), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "bin" || name != "." && strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case !d.IsDir() && path.Ext(name) == ".templ" && !slices.Contains(all, path.Dir(name)):
			all = append(all, path.Dir(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 2 {
		t.Fatalf("got %q: there are more templates", all)
	}
	return all
}

// isAbove reports of folders whether a folder is one of them, or below it.
func isAbove(folder string) func(string) bool {
	return func(of string) bool { return folder == of || strings.HasPrefix(folder, of+"/") }
}

// hasDirective reports whether a file of a folder says what go generate is to do.
func hasDirective(t *testing.T, folder string) bool {
	t.Helper()
	files, err := fs.Glob(os.DirFS(inRoot(folder)), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(inRoot(path.Join(folder, file)))
		if err != nil {
			t.Fatal(err)
		}
		return directive.Match(text)
	})
}
