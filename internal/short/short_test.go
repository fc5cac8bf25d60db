package short_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestNobodyElseAsks: what -short leaves out is decided in one place. A module
// that can't import this package asks in its TestMain.
func TestNobodyElseAsks(t *testing.T) {
	may := map[string]bool{"internal/short/short.go": true, "deploy/deploy_test.go": true}
	tree := os.DirFS("../..")
	err := fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || may[path] {
			return err
		}
		text, err := fs.ReadFile(tree, path)
		if bytes.Contains(text, []byte("testing.Short"+"()")) {
			t.Errorf("%s asks testing.Short: call package short", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
