//go:build !unix

package upload

import "os"

// lock does nothing: there is one process to a folder here.
func lock(*os.File) (unlock func(), err error) { return func() {}, nil }
