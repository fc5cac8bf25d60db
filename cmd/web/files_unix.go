//go:build unix

package main

import (
	"math"
	"syscall"
)

// maxFiles returns how many files the process may have open, or 0 when it is
// not known or there is no limit. Go has raised it to what is allowed.
func maxFiles() int {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil || r.Cur > math.MaxInt32 {
		return 0
	}
	return int(r.Cur)
}
