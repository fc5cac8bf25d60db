// Package version says which version of Lockstep a program is. It holds the one number in the tree
// that a release changes, and knows no program.
package version

import "runtime/debug"

// Next is the version that the next release will have.
const Next = "0.8.0"

// revisionLength is how much of a revision is shown: as much as tells it from all others.
const revisionLength = 12

// Of returns the version of the running program: release if it is not "", as the linker sets it in
// a release; that of the module if it was installed as one; else the next version with "-dev" and
// the revision it was built from, where that is known: "0.8.0-dev+0123456789ab", and ".dirty"
// behind it when the checkout had changes (https://semver.org).
func Of(release string) string {
	info, _ := debug.ReadBuildInfo()
	return of(release, info)
}

func of(release string, info *debug.BuildInfo) string {
	if release != "" {
		return release
	}
	dev := Next + "-dev"
	if info == nil {
		return dev
	}
	if r := revision(info.Settings); r != "" {
		return dev + "+" + r
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	return dev
}

// revision returns what a checkout was at when it was built, or "".
func revision(settings []debug.BuildSetting) (r string) {
	dirty := ""
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision":
			r = s.Value[:min(revisionLength, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = ".dirty"
		}
	}
	if r == "" {
		return ""
	}
	return r + dirty
}
