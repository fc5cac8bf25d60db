package unixpubsub

import (
	"bytes"
	"os"
	"testing"
)

// TestTheDocumentHasTheseFiles as they are, and the driver is as short as it says.
func TestTheDocumentHasTheseFiles(t *testing.T) {
	document, err := os.ReadFile("../../docs/your-own-backend.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"driver.go", "server.go", "driver_test.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(document, append(append([]byte("`"+file+"`:\n\n```go\n"), source...), "```\n"...)) {
			t.Errorf("docs/your-own-backend.md has another %s", file)
		}
		if lines := bytes.Count(source, []byte("\n")); file == "driver.go" && lines >= 120 {
			t.Errorf("the driver has %d lines, and the document says less than 120", lines)
		}
	}
}
