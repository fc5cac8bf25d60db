package main

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// tree is a module with another one inside it, and with much that only looks
// like its path.
var tree = map[string]string{
	"go.mod":             "module house\n\ngo 1.26\n\nrequire (\n\texample.com/z v1.0.0\n\thouse/store/disk v0.0.0\n)\n\nreplace house/store/disk => ./store/disk\n",
	"house.go":           "package house\n",
	"go.work":            "go 1.26\n\nuse (\n\t.\n\t./store/disk\n)\n",
	"store/store.go":     "// Package store is imported as house/store.\npackage store\n",
	"store/disk/go.mod":  "module house/store/disk\n\ngo 1.26\n\nrequire house v0.0.0\n\nreplace house => ../..\n",
	"store/disk/disk.go": "package disk\n\nimport (\n\t\"example.com/z\"\n\t\"house\"\n\t\"house/store\"\n\t\"outhouse/store\"\n)\n\nconst module = \"house\"\n\nvar keep, list = \"house\", \"house/...\"\n",
	"view/view.templ":    "package view\n\nimport (\n\t\"house\"\n\t\"house/store\"\n)\n",
	"view/view.go":       "package view\n\n\n// unformatted, and not to be changed\n",
	"build.sh":           "go build -ldflags \"-X house/store.version=1 -X=house/view.y=2\" house/store\nmkdir /etc/house/store /var/house/view\n",
	"README.md":          "A house has a store. `house/store` is in house/secret and ./house/store; go get house@v0.1.0 or -replace house=../house:\n\n    require house v0.0.0\n    replace house => ../house\n",
	"broken.go":          "package broken\n\nimport \"house/store\n",
	"picture.png":        "\x89PNG house/store\x00",
	"bin/built.txt":      "house/store\n",
}

// renamed are the files of tree that a rename changes.
var renamed = map[string]string{
	"go.mod":             "module example.org/x/house\n\ngo 1.26\n\nrequire (\n\texample.com/z v1.0.0\n\texample.org/x/house/store/disk v0.0.0\n)\n\nreplace example.org/x/house/store/disk => ./store/disk\n",
	"store/store.go":     "// Package store is imported as example.org/x/house/store.\npackage store\n",
	"store/disk/go.mod":  "module example.org/x/house/store/disk\n\ngo 1.26\n\nrequire example.org/x/house v0.0.0\n\nreplace example.org/x/house => ../..\n",
	"store/disk/disk.go": "package disk\n\nimport (\n\t\"example.com/z\"\n\t\"example.org/x/house\"\n\t\"example.org/x/house/store\"\n\t\"outhouse/store\"\n)\n\nconst module = \"example.org/x/house\"\n\nvar keep, list = \"house\", \"example.org/x/house/...\"\n",
	"view/view.templ":    "package view\n\nimport (\n\t\"example.org/x/house\"\n\t\"example.org/x/house/store\"\n)\n",
	"build.sh":           "go build -ldflags \"-X example.org/x/house/store.version=1 -X=example.org/x/house/view.y=2\" example.org/x/house/store\nmkdir /etc/house/store /var/house/view\n",
	"README.md":          "A house has a store. `example.org/x/house/store` is in house/secret and ./house/store; go get example.org/x/house@v0.1.0 or -replace example.org/x/house=../house:\n\n    require example.org/x/house v0.0.0\n    replace example.org/x/house => ../house\n",
	"broken.go":          "package broken\n\nimport \"example.org/x/house/store\n",
}

func TestRenameChangesPathsAndNothingElse(t *testing.T) {
	root := write(t, tree)
	if n, err := rename(t.Context(), root, "example.org/x/house"); err != nil || n != len(renamed) {
		t.Errorf("got %d files and %v, want %d", n, err, len(renamed))
	}
	want := maps.Clone(tree)
	maps.Copy(want, renamed)
	compare(t, root, want)
}

func TestASecondRenameChangesNothing(t *testing.T) {
	root := write(t, tree)
	rename(t.Context(), root, "example.org/x/house")
	if n, err := rename(t.Context(), root, "example.org/x/house"); n != 0 || err != nil {
		t.Errorf("got %d files and %v, want none", n, err)
	}
}

func TestARenameCanBeTakenBack(t *testing.T) {
	root := write(t, tree)
	for _, to := range []string{"example.org/x/house", "aaa.example/house-2.go", "house"} {
		if _, err := rename(t.Context(), root, to); err != nil {
			t.Fatal(err)
		}
	}
	compare(t, root, tree)
}

func TestAnExecutableStaysOne(t *testing.T) {
	root := write(t, tree)
	script := filepath.Join(root, "build.sh")
	if err := os.Chmod(script, 0o755); err != nil {
		t.Fatal(err)
	}
	rename(t.Context(), root, "example.org/x/house")
	if info, err := os.Stat(script); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("got %v and %v", info.Mode(), err)
	}
}

func TestPathsThatCanNotBeAreRefused(t *testing.T) {
	root := write(t, tree)
	for _, path := range []string{"", "/x", "x/", "a//b", "a b", "https://example.org/x", "../x", "a/.git", "x.", `a"b`, "$x"} {
		if _, err := rename(t.Context(), root, path); err == nil {
			t.Errorf("%q is taken", path)
		}
	}
	compare(t, root, tree)
}

func write(t *testing.T, files map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func compare(t *testing.T, root string, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		got[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if got[path] != want[path] {
			t.Errorf("%s: got\n%s\nwant\n%s", path, got[path], want[path])
		}
	}
}
