package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestTheGuideHasEveryFlagWithItsDefault(t *testing.T) {
	guide := read(t, "docs/operations.md")
	entries := regexp.MustCompile(`(?m)^  -([a-z-]+)(?: \S+)?(?:  \(([A-Z_]+)\))?\n((?:        .*\n)+)`).FindAllStringSubmatch(help(t), -1)
	if len(entries) < 20 {
		t.Fatalf("got %d flags from -h: has it changed its form?", len(entries))
	}
	for _, e := range entries {
		variable, standard := "", ""
		if e[2] != "" {
			variable = "`" + e[2] + "`"
		}
		text := strings.Join(strings.Fields(e[3]), " ")
		if m := regexp.MustCompile(`\(default ([^)]*)\)$`).FindStringSubmatch(text); m != nil {
			standard = m[1]
		}
		if row := "| `-" + e[1] + "` | " + variable + " | " + standard + " |"; !strings.Contains(guide, row) {
			t.Errorf("docs/operations.md has no row that begins %s", row)
		}
	}
}

func TestTheGuidesLinksLeadSomewhere(t *testing.T) {
	guide := read(t, "docs/operations.md")
	for _, m := range regexp.MustCompile(`\]\(([^)#]*)(#[^)]*)?\)`).FindAllStringSubmatch(guide, -1) {
		if strings.Contains(m[1], "://") {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, "docs", m[1])); m[1] != "" && err != nil {
			t.Error(err)
		}
		heading := strings.ReplaceAll(strings.TrimPrefix(m[2], "#"), "-", " ")
		if m[1] == "" && !regexp.MustCompile(`(?mi)^#+ `+regexp.QuoteMeta(heading)+`$`).MatchString(guide) {
			t.Errorf("there is no heading %q", heading)
		}
	}
}
