package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

// TestEachPreconditionHasARow in the document that says what to do: the label
// of a metric that nobody can look up is of no use.
func TestEachPreconditionHasARow(t *testing.T) {
	var said []string
	for _, folder := range []string{"redisclient", "pgclient"} {
		files, err := filepath.Glob(filepath.Join("..", folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, namesIn(t, regexp.MustCompile(`(?:Name: |add\()"([a-z_]+)"`), files...)...)
	}
	documented := namesIn(t, regexp.MustCompile("(?m)^\\| `((?:redis|postgres)_[a-z_]+)` \\|"), "../../docs/operations.md")
	slices.Sort(said)
	slices.Sort(documented)
	if len(said) < 8 || !slices.Equal(said, documented) {
		t.Errorf("the program says %q, and docs/operations.md has %q", said, documented)
	}
}

// namesIn returns what a pattern finds in files.
func namesIn(t *testing.T, pattern *regexp.Regexp, files ...string) (names []string) {
	t.Helper()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range pattern.FindAllStringSubmatch(string(text), -1) {
			names = append(names, m[1])
		}
	}
	return names
}
