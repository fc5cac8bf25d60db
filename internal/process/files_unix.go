//go:build unix

package process

import (
	"math"
	"syscall"
)

// MaxFiles returns how many files the process may have open, or 0 when it is
// not known or there is no limit. Go has raised it to what is allowed.
func MaxFiles() int {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil || r.Cur > math.MaxInt32 {
		return 0
	}
	return int(r.Cur)
}
