//go:build program

package static

import "embed"

// programFiles is what wasmbuild has made: a build with the tag needs it. One without embeds
// nothing, so that no server of a checkout has a program that is older than its source.
//
//go:embed program
var programFiles embed.FS

// embedded returns the files of the program that is built in.
func embedded() (map[string][]byte, error) { return read(programFiles, "program") }
