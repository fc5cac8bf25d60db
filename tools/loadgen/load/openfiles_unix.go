//go:build unix

package load

import "syscall"

// openFiles is how many files this process may have open. The Go runtime has raised the soft limit
// to the hard one.
func openFiles() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 1 << 20
	}
	return int(min(l.Cur, 1<<30))
}
