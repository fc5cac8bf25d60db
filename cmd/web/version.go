package main

import versions "lockstep/internal/version"

// release is the version of a release build, set by the linker:
//
//	go build -ldflags "-X main.release=v1.2.3" ./cmd/web
//
// It is the one variable of this package, because the linker can set nothing
// else. Release builds leave the revision out of their build information
// (-buildvcs=false), or the same source in another checkout would give other
// bytes.
var release string

// version is the release, or what this was built from.
func version() string { return versions.Of(release) }
