package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// guide is the document that says what to do.
const guide = "../../docs/operations.md"

// TestEachPreconditionHasARow in the guide: the label of a metric that nobody
// can look up is of no use. And no row is of a precondition that nobody checks.
func TestEachPreconditionHasARow(t *testing.T) {
	said := preconditions(t)
	documented := namesIn(t, regexp.MustCompile("(?m)^\\| `([a-z]+_[a-z_]+)` \\| "), section(t, "What servers must be"))
	slices.Sort(documented)
	if len(said) < 20 || !slices.Equal(said, documented) {
		t.Errorf("the program says %q, and docs/operations.md has %q", said, documented)
	}
}

// TestWhoChecksIsThere: the table that says who checks what is asked for names
// preconditions, tests and alerts that there are, and each precondition.
func TestWhoChecksIsThere(t *testing.T) {
	table := section(t, "Who checks what these pages ask for")
	known := append(preconditions(t), namesIn(t, regexp.MustCompile(`alert: (Lockstep[A-Za-z]+)`), read(t, "../../deploy/prometheus/alerts.yml"))...)
	for _, folder := range []string{"deploy", "e2e"} {
		for _, file := range sources(t, folder, "_test.go") {
			known = append(known, namesIn(t, regexp.MustCompile(`(?m)^func (Test[A-Za-z]+)\(`), read(t, file))...)
		}
	}
	named := namesIn(t, regexp.MustCompile("`((?:Test|Lockstep)[A-Za-z]+|[a-z]+_[a-z_]+)`"), table)
	if len(named) < 30 {
		t.Errorf("got %d names in the table: has it changed its form?", len(named))
	}
	for _, name := range named {
		if !slices.Contains(known, name) {
			t.Errorf("the table names %s, and there is no such check", name)
		}
	}
	for _, name := range preconditions(t) {
		// Not asked for by a sentence, but by what the program is tested with.
		if !slices.Contains(named, name) && name != "redis_version" && name != "redis_role" {
			t.Errorf("nothing in the table is checked by %s", name)
		}
	}
}

// preconditions are the names of all in the source, in order.
func preconditions(t *testing.T) (names []string) {
	t.Helper()
	pattern := regexp.MustCompile(`(?:Unmet\{+Name: |\badd\(|\.Clock\(|newMajority\([^,"]+, (?:"", |[^,"]+, ))"([a-z_]+)"`)
	for _, folder := range []string{"internal/redisclient", "internal/pgclient", "pubsub/dualpubsub", "state/natsstate", "app/web", "serve", "serve/settings", "cmd/web", "internal/process"} {
		for _, file := range sources(t, folder, ".go") {
			if !strings.HasSuffix(file, "_test.go") {
				names = append(names, namesIn(t, pattern, read(t, file))...)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// section returns a section of the guide, without those that follow.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, text, found := strings.Cut(read(t, guide), "\n### "+heading+"\n")
	if !found {
		t.Fatalf("there is no heading %q in docs/operations.md", heading)
	}
	text, _, _ = strings.Cut(text, "\n##")
	return text
}

// sources returns the files of a folder whose names end in a way.
func sources(t *testing.T, folder, end string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", folder, "*"+end))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// namesIn returns what a pattern finds in a text.
func namesIn(t *testing.T, pattern *regexp.Regexp, text string) (names []string) {
	t.Helper()
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}
