package docs_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shown is a block that shows a file: the prose before it ends with a link to it, and a colon.
var shown = regexp.MustCompile("(?m)\\]\\((\\.\\./deploy/proxies/[^)]+)\\):\n\n```[a-z]+\n((?s:.*?))^```$")

// TestConfigurationsAreThoseThatAreTested: what docs/deploy.md shows are the files that the tests
// run, all of them and each byte.
func TestConfigurationsAreThoseThatAreTested(t *testing.T) {
	const file = "docs/deploy.md"
	text := read(t, inRoot(file))
	want := withFiles(t, file, text)
	if want != text {
		if !*update {
			t.Errorf("%s does not show the files of deploy/proxies as they are: go test ./internal/docs -update", file)
		} else if err := os.WriteFile(inRoot(file), []byte(want), 0o644); err != nil {
			t.Error(err)
		}
	}
	blocks := len(shown.FindAllString(text, -1))
	if all := strings.Count(text, "\n```") / 2; all != blocks {
		t.Errorf("%s has %d blocks, and %d of them show a file: nobody tests the others", file, all, blocks)
	}
	files, err := filepath.Glob(inRoot("deploy/proxies/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := "../deploy/proxies/" + filepath.Base(f); strings.Count(text, "]("+name+"):\n\n```") != 1 {
			t.Errorf("%s does not show %s", file, name)
		}
	}
	if broken := strings.Replace(text, "least_conn;", "ip_hash;", 1); withFiles(t, file, broken) == broken {
		t.Error("another configuration is not noticed: this test tests nothing")
	}
}

// withFiles returns a document with the files in its blocks.
func withFiles(t *testing.T, file, text string) string {
	t.Helper()
	return shown.ReplaceAllStringFunc(text, func(block string) string {
		m := shown.FindStringSubmatch(block)
		before, _ := strings.CutSuffix(block, m[2]+"```")
		return before + read(t, inRoot(path.Join(path.Dir(file), m[1]))) + "```"
	})
}
