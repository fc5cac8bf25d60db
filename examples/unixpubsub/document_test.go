package unixpubsub

import (
	"bytes"
	"flag"
	"os"
	"testing"
)

// update has the document's copies written instead of compared.
var update = flag.Bool("update", false, "write the files into docs/your-own-backend.md")

// TestTheDocumentHasTheseFiles as they are, and the driver is as short as it says.
func TestTheDocumentHasTheseFiles(t *testing.T) {
	const path = "../../docs/your-own-backend.md"
	document, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"driver.go", "server.go", "driver_test.go"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, found := bytes.Cut(document, []byte("`"+file+"`:\n\n```go\n"))
		copied, _, ended := bytes.Cut(rest, []byte("```\n"))
		switch {
		case !found || !ended:
			t.Errorf("%s does not have %s", path, file)
		case *update:
			document = bytes.Join([][]byte{document[:len(document)-len(rest)], source, rest[len(copied):]}, nil)
		case !bytes.Equal(copied, source):
			t.Errorf("%s has another %s after %d bytes: go test ./examples/unixpubsub -update writes it", path, file, len(before))
		}
		if lines := bytes.Count(source, []byte("\n")); file == "driver.go" && lines >= 120 {
			t.Errorf("the driver has %d lines, and the document says less than 120", lines)
		}
	}
	if *update {
		if err := os.WriteFile(path, document, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
