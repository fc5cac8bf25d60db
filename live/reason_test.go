package live_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"lockstep/live"
)

// operations is where each reason is explained.
const operations = "../docs/operations.md"

// row is one row of the table of reasons.
type row struct{ code, text, means, todo string }

// rows returns the table of reasons by their names.
func rows(t *testing.T) map[string]row {
	t.Helper()
	page, err := os.ReadFile(operations)
	if err != nil {
		t.Skipf("%s: %v", operations, err) // the tests run apart from their source
	}
	_, section, ok := strings.Cut(string(page), "\n## Why a tab was closed\n")
	if !ok {
		t.Fatal("the section is missing")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	all := make(map[string]row)
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 || !strings.Contains(cells[1], "`") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		name := strings.Trim(cells[1], "`")
		if _, twice := all[name]; twice {
			t.Errorf("%q has two rows", name)
		}
		all[name] = row{cells[2], cells[3], cells[4], cells[5]}
	}
	return all
}

func TestEachReasonIsExplainedToOperators(t *testing.T) {
	all := rows(t)
	for why := range live.Reasons() {
		r, ok := all[why.String()]
		switch {
		case !ok:
			t.Errorf("%s has no row for %q", operations, why)
		case r.code != strconv.Itoa(int(why.Code())) || r.text != why.Text():
			t.Errorf("%q: the row says %s %q, want %d %q", why, r.code, r.text, why.Code(), why.Text())
		case r.means == "" || r.todo == "":
			t.Errorf("%q: the row does not say what it means, or what to do", why)
		}
		delete(all, why.String())
	}
	for name := range all {
		t.Errorf("%s has a row for %q, which is no reason", operations, name)
	}
}

func TestReasonsAreToldApart(t *testing.T) {
	seen := make(map[string]bool)
	for why := range live.Reasons() {
		name := why.String()
		if name == "" || seen[name] || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_0123456789") != "" {
			t.Errorf("reason %d has the name %q, want one of its own for a metric", why, name)
		}
		seen[name] = true
		if len(why.Text()) > 123 {
			t.Errorf("%q: the text does not fit into a close frame", why)
		}
	}
}
