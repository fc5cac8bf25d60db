package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A guard is a piece of the program's source that stands between an attack and
// its success.
type guard struct {
	what string // for people
	file string // path in the module
	old  string // it is found there exactly once
	// new is what takes its place in a program that can do without: the same, but
	// WITHOUT is true there if this guard has been taken away. pick(WITHOUT, a, b)
	// is a then, and else b.
	new string
}

// withoutVariable tells the switched program which guards have been taken away.
const withoutVariable = "LOCKSTEP_WITHOUT"

// switchSource is added to each package that has a guard: so one build does for
// all attacks, and each is tried without its own guards and with all others.
const switchSource = `package %s

import (
	"os"
	"strings"
)

func guardRemoved(id string) bool { return strings.Contains(os.Getenv("` + withoutVariable + `"), id+";") }

func pick[T any](yes bool, a, b T) T {
	if yes {
		return a
	}
	return b
}
`

// without names guards to the switched program.
func (s *suite) without(removed []guard) string {
	text := withoutVariable + "="
	for _, g := range removed {
		text += s.ids[g] + ";"
	}
	return text
}

// TestEachGuardIsInTheSource finds guards that have changed within a second:
// TestAttacks does so too, once it has built the program.
func TestEachGuardIsInTheSource(t *testing.T) {
	for _, a := range targets() {
		newSuite(a).overlay(t, t.TempDir())
	}
}

// build compiles the program, once as it is and once with a switch at each guard.
func (s *suite) build(t *testing.T) {
	t.Helper()
	var err error
	if s.program, err = s.app.program(); err != nil {
		t.Fatal(err)
	}
	if s.switched, err = s.app.build(s.app.name+"-without-guards", s.overlay(t, t.TempDir())); err != nil {
		t.Fatalf("without guards: %v", err)
	}
}

// overlay writes the files with the switches into a folder, and returns which
// files they stand for.
func (s *suite) overlay(t *testing.T, dir string) map[string]string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	byFile := map[string][]guard{}
	s.ids = map[guard]string{}
	for _, a := range s.all() {
		for _, g := range slices.Concat(a.given, a.guards) {
			if s.ids[g] == "" {
				s.ids[g] = fmt.Sprintf("guard%d", len(s.ids)+1)
				byFile[g.file] = append(byFile[g.file], g)
			}
		}
	}
	replace := map[string]string{}
	for file, guards := range byFile {
		path := filepath.Join(root, filepath.FromSlash(file))
		source, name := s.switchable(t, path, guards)
		replace[path] = saveAs(t, dir, source)
		replace[filepath.Join(filepath.Dir(path), "guard_switch.go")] = saveAs(t, dir, fmt.Sprintf(switchSource, name))
	}
	if t.Failed() {
		t.FailNow()
	}
	return replace
}

// switchable returns a file's text with a switch at each guard, and the name of
// its package.
func (s *suite) switchable(t *testing.T, path string, guards []guard) (source, name string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	source = string(b)
	for _, g := range guards {
		if n := strings.Count(source, g.old); n != 1 {
			t.Errorf("this guard has changed, and its attack must follow: in %s this is found %d times, want once: %s", g.file, n, g.old)
		}
		if !strings.Contains(g.new, "WITHOUT") {
			t.Fatalf("what takes the place of %q has no WITHOUT", g.old)
		}
		source = strings.Replace(source, g.old, strings.ReplaceAll(g.new, "WITHOUT", fmt.Sprintf("guardRemoved(%q)", s.ids[g])), 1)
	}
	return source, regexp.MustCompile(`(?m)^package (\w+)$`).FindStringSubmatch(source)[1]
}

// saveAs writes a file of any name into a folder, and returns its path.
func saveAs(t *testing.T, dir, text string) string {
	t.Helper()
	f, err := os.CreateTemp(dir, "*.go")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}
