package arch_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A machine on which a package was installed by hand hides that nothing
// installs it: on a new one, tests fail that need it.
func TestWhatTestsLookForIsInstalled(t *testing.T) {
	script, err := os.ReadFile("../deps.sh")
	if err != nil {
		t.Fatal(err)
	}
	for debian, file := range packagesOfTests(t) {
		if !strings.Contains(string(script), debian) {
			t.Errorf("%s looks for the package %s, which internal/deps.sh does not install", file, debian)
		}
	}
}

// packagesOfTests returns the Debian packages that Go files say they need, with one of the files.
func packagesOfTests(t *testing.T) map[string]string {
	t.Helper()
	named := []*regexp.Regexp{
		regexp.MustCompile(`Debian package ([a-z0-9-]+)`),
		regexp.MustCompile(`program\([a-z.]+, "([a-z0-9-]+)"`),
		regexp.MustCompile(`debian: +"([a-z0-9-]+)"`),
	}
	all := make(map[string]string)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git"):
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go"):
			return nil
		}
		source, err := os.ReadFile(path)
		for _, pattern := range named {
			for _, found := range pattern.FindAllStringSubmatch(string(source), -1) {
				all[found[1]] = path
			}
		}
		return err
	})
	if err != nil || len(all) < 5 {
		t.Fatalf("found %v, %v", all, err)
	}
	return all
}
