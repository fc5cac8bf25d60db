package main

import (
	"io/fs"
	"path"
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

// scan returns the sources in a checkout: what is generated from them is not
// among them, nor are tests.
func scan(checkout fs.FS) tree {
	t := tree{}
	_ = fs.WalkDir(checkout, ".", func(name string, d fs.DirEntry, err error) error { // what can't be read is not there
		switch {
		case err != nil:
			return nil // it was deleted a moment ago
		case d.IsDir() && isForeign(name):
			return fs.SkipDir
		case d.IsDir() || !isSource(name):
			return nil
		}
		if info, err := d.Info(); err == nil {
			t[name] = stamp{info.Size(), info.ModTime()}
		}
		return nil
	})
	return t
}

// isForeign reports whether a folder has no sources in it.
func isForeign(name string) bool {
	base := path.Base(name)
	return name == "static/dist" || base == "testdata" || base == "node_modules" ||
		slices.Contains([]string{"bin", "data", "tmp", "docs"}, name) || len(base) > 1 && base[0] == '.'
}

func isSource(name string) bool {
	switch path.Ext(name) {
	case ".go":
		return !strings.HasSuffix(name, "_test.go") && !strings.HasSuffix(name, "_templ.go")
	case ".js":
		return !strings.HasSuffix(name, ".test.js") && name != "static/constants.js"
	case ".templ", ".css", ".svg", ".mod", ".sum", ".work":
		return true
	}
	return false
}

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
