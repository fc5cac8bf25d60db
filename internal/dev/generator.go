package dev

import (
	"path/filepath"
	"slices"
	"strings"
)

// A generator is a folder in which a command writes files, and what it makes them of.
type generator struct {
	dir   string
	templ bool // or go generate
	from  func(name string) bool
}

// generatorsOf returns those of Options.Generate, and templ for the templates of each module that
// none of these has.
func generatorsOf(roots, folders []string) (all []generator) {
	for _, f := range folders {
		dir, more, _ := strings.Cut(f, "=")
		from := []string{absolute(dir)}
		for name := range strings.SplitSeq(more, ",") {
			if name != "" {
				from = append(from, absolute(name))
			}
		}
		all = append(all, generator{dir: from[0], from: func(name string) bool { return isBelowAny(from, name) }})
	}
	given := all
	for _, root := range roots {
		all = append(all, generator{dir: root, templ: true, from: func(name string) bool {
			return filepath.Ext(name) == ".templ" && isBelow(root, name) &&
				!slices.ContainsFunc(given, func(g generator) bool { return g.from(name) })
		}})
	}
	return all
}

func isBelowAny(folders []string, name string) bool {
	return slices.ContainsFunc(folders, func(of string) bool { return isBelow(of, name) })
}
