package main

import "runtime/debug"

// release is the version of a release build, set by the linker:
//
//	go build -ldflags "-X main.release=v1.2.3" ./cmd/web
//
// It is the one variable of this package, because the linker can set nothing
// else. Release builds leave the revision out of their build information
// (-buildvcs=false), or the same source in another checkout would give other
// bytes.
var release string

// version is the release, or the revision that this was built from, or the
// module's version, or "dev".
func version() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(12, len(s.Value))]
		}
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	return "dev"
}
