//go:build !unix

package process

// MaxFiles returns 0: there is no such limit.
func MaxFiles() int { return 0 }
