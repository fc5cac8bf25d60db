package arch_test

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
)

// TestNobodyIsLeftWithoutALog: without a logger among its options a package logs to
// slog.Default(), as people expect, and not to nobody: what goes wrong would be seen by nobody.
func TestNobodyIsLeftWithoutALog(t *testing.T) {
	defaults := 0
	err := fs.WalkDir(os.DirFS("../.."), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "bin" || d.Name() == "testdata" || name != "." && d.Name()[0] == '.'):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path.Join("../..", name))
		if err != nil {
			return err
		}
		if bytes.Contains(text, []byte("slog.DiscardHandler")) {
			t.Errorf("%s logs to nobody: nil is slog.Default()", name)
		}
		if bytes.Contains(text, []byte("*slog.Logger // nil: slog.Default()")) {
			defaults++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if defaults < 10 {
		t.Errorf("%d files have options with a logger; there are more", defaults)
	}
}
