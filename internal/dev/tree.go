package dev

import (
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A tree is the state of the sources, by path. It does not change.
type tree map[string]stamp

// A stamp changes with its file.
type stamp struct {
	size    int64
	changed time.Time
}

// scan returns the sources in a folder: tests are not among them, nor what templ makes of others,
// nor what is ignored.
func scan(files fs.FS, root string, ignored []string) tree {
	t := tree{}
	_ = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error { // what can't be read is not there
		full := filepath.Join(root, filepath.FromSlash(name))
		switch {
		case err != nil:
			return nil // it was deleted a moment ago
		case d.IsDir() && (isForeign(name) || slices.Contains(ignored, full)):
			return fs.SkipDir
		case d.IsDir() || !isSource(name) || slices.Contains(ignored, full):
			return nil
		}
		if info, err := d.Info(); err == nil {
			t[full] = stamp{info.Size(), info.ModTime()}
		}
		return nil
	})
	return t
}

// isForeign reports whether a folder has no sources in it.
func isForeign(name string) bool {
	base := path.Base(name)
	return base == "testdata" || base == "node_modules" || base == "vendor" ||
		slices.Contains([]string{"bin", "data", "tmp"}, name) || len(base) > 1 && base[0] == '.'
}

// isSource reports whether a program may be built of a file. What programs write is not among
// them: else a page that writes a file would be reloaded for that.
func isSource(name string) bool {
	switch path.Ext(name) {
	case ".go":
		return !strings.HasSuffix(name, "_test.go") && !strings.HasSuffix(name, "_templ.go")
	case ".js", ".mjs":
		return !strings.HasSuffix(name, ".test.js")
	case ".templ", ".css", ".html", ".tmpl", ".sql", ".svg", ".png", ".jpg", ".webp", ".ico", ".woff2", ".mod", ".sum", ".work":
		return true
	}
	return false
}

// isCode reports whether a file is compiled: a page can't show it but by another program.
func isCode(name string) bool {
	return slices.Contains([]string{".go", ".templ", ".mod", ".sum", ".work"}, filepath.Ext(name))
}

func isStyle(name string) bool { return filepath.Ext(name) == ".css" }

func (t tree) names() []string { return slices.Collect(maps.Keys(t)) }

// changes returns the files in which two trees differ, in order.
func (t tree) changes(next tree) []string {
	var differ []string
	for name, stamp := range next {
		if old, known := t[name]; !known || old != stamp {
			differ = append(differ, name)
		}
	}
	for name := range t {
		if _, stays := next[name]; !stays {
			differ = append(differ, name)
		}
	}
	slices.Sort(differ)
	return differ
}
