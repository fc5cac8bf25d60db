package examples

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestTheExamplesAreShort has the lines that users wished such programs to have: Go and templ,
// all that a person writes.
func TestTheExamplesAreShort(t *testing.T) {
	for name, limit := range map[string]int{"hits": 45, "chat": 75, "poll": 80, "checklist": 90} {
		lines := 0
		for _, file := range []string{"main.go", "page.templ"} {
			text, err := os.ReadFile(filepath.Join(name, file))
			if err != nil {
				t.Fatal(err)
			}
			lines += bytes.Count(text, []byte("\n"))
		}
		if lines > limit {
			t.Errorf("%s has %d lines, and %d are wished for", name, lines, limit)
		}
	}
}
