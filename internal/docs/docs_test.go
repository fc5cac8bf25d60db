package docs_test

import (
	"flag"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// update has the documents wrapped instead of checked.
var update = flag.Bool("update", false, "wrap the prose of documents at 100 columns")

// columns is how wide prose and comments may be.
const columns = 100

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|srcset|href)="([^"]+)"`)
	heading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
	target   = regexp.MustCompile(`(?m)^([a-z0-9-]+):`)
	command  = regexp.MustCompile("(?m)(?:^|`)(?:[A-Z]+=\\S+ )*make ([a-z][a-z0-9-]*)")
	named    = regexp.MustCompile("`((?:[\\w.-]+/)+[\\w.-]+\\.(?:go|js|css|md|sh|templ|yml|yaml|conf|service))`")
	notASlug = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// written are documents that programs write, or that tell of the past: what
// they name need not be there now.
var written = []string{"docs/attack-table.md", "docs/chaos-table.md", "CHANGELOG.md"}

func TestLinksLeadSomewhere(t *testing.T) {
	for file, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(withoutCode(text), -1) {
			to := m[1] + m[2]
			if !strings.Contains(to, ":") && !leads(file, to) {
				t.Errorf("%s: the link to %s leads nowhere", file, to)
			}
		}
	}
}

// leads reports whether a link in a file is to a file or folder that is there,
// and to a heading in it, if it names one.
func leads(from, to string) bool {
	to, fragment, _ := strings.Cut(to, "#")
	file := from
	if to != "" {
		file = path.Join(path.Dir(from), to)
	}
	if _, err := os.Stat(inRoot(file)); err != nil || fragment == "" {
		return err == nil
	}
	text, err := os.ReadFile(inRoot(file))
	if err != nil {
		return false
	}
	for _, h := range heading.FindAllStringSubmatch(string(text), -1) {
		if slug(h[1]) == fragment {
			return true
		}
	}
	return false
}

// slug is the anchor that a heading gets.
func slug(heading string) string {
	return strings.ReplaceAll(notASlug.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

func TestEachMakeCommandIsATarget(t *testing.T) {
	text, err := os.ReadFile(inRoot("Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, m := range target.FindAllStringSubmatch(string(text), -1) {
		targets = append(targets, m[1])
	}
	for file, text := range documents(t) {
		for _, m := range command.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(written, file) && !slices.Contains(targets, m[1]) {
				t.Errorf("%s: there is no make %s", file, m[1])
			}
		}
	}
}

func TestNamedFilesAreThere(t *testing.T) {
	for file, text := range documents(t) {
		if slices.Contains(written, file) {
			continue
		}
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			// A document of a program may leave out its folder.
			if !leads("README.md", m[1]) && !leads(file, m[1]) && len(files(t, "/"+m[1])) == 0 {
				t.Errorf("%s: there is no file %s", file, m[1])
			}
		}
	}
}

func TestProseIsAtMost100ColumnsWide(t *testing.T) {
	// "make module" wraps nothing anew: a path that is longer than the eight letters with which the
	// text was written does not count.
	module := modulePath(t)
	longer := max(len(module)-8, 0)
	for file, text := range documents(t) {
		if file == "llms.txt" {
			continue // has one line for each link
		}
		if *update {
			if err := os.WriteFile(inRoot(file), []byte(wrap(text)), 0); err != nil {
				t.Error(err)
			}
			continue
		}
		wrapped := strings.Split(wrap(text), "\n")
		for n, line := range strings.Split(text, "\n") {
			if utf8.RuneCountInString(line)-longer*strings.Count(line, module) > columns && !slices.Contains(wrapped, line) {
				t.Errorf("%s:%d: wider than %d columns; go test ./internal/docs -update wraps it", file, n+1, columns)
			}
		}
	}
}

// modulePath returns the path of the root module.
func modulePath(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(inRoot("go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimPrefix(first, "module ")
}

func TestCommentsInGoAreAtMost100ColumnsWide(t *testing.T) {
	for _, file := range files(t, ".go") {
		if strings.HasSuffix(file, "_templ.go") {
			continue
		}
		source, err := os.ReadFile(inRoot(file))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range wideComments(source) {
			t.Errorf("%s:%d: a comment wider than %d columns", file, line, columns)
		}
	}
}

// wideComments returns the lines of comments that stand alone, are too wide
// and could be broken: URLs and directives can't.
func wideComments(source []byte) (lines []int) {
	set := token.NewFileSet()
	file := set.AddFile("", set.Base(), len(source))
	text := strings.Split(string(source), "\n")
	var s scanner.Scanner
	s.Init(file, source, nil, scanner.ScanComments)
	for {
		pos, tok, comment := s.Scan()
		if tok == token.EOF {
			return lines
		}
		at := file.Position(pos)
		if tok != token.COMMENT || strings.TrimSpace(text[at.Line-1][:at.Column-1]) != "" || strings.Contains(comment, "://") || !strings.HasPrefix(comment, "// ") {
			continue
		}
		if utf8.RuneCountInString(text[at.Line-1]) > columns {
			lines = append(lines, at.Line)
		}
	}
}

// documents returns the Markdown files of this tree, and llms.txt, by path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, file := range append(files(t, ".md"), "llms.txt") {
		text, err := os.ReadFile(inRoot(file))
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(text)
	}
	return texts
}

// files returns the paths of all files that end so, without what is fetched,
// built or others'.
func files(t *testing.T, ending string) (found []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(inRoot(".")), ".", func(file string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && slices.Contains([]string{".git", "bin", "node_modules", "tmp"}, e.Name()):
			return fs.SkipDir
		case strings.HasSuffix(file, ending):
			found = append(found, file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func inRoot(file string) string { return filepath.Join("..", "..", filepath.FromSlash(file)) }

// withoutCode returns a document without its blocks of code.
func withoutCode(text string) string {
	var kept []string
	code := false
	for line := range strings.Lines(text) {
		if fence(line) {
			code = !code
		} else if !code {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

func fence(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "```") }
