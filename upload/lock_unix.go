//go:build unix

package upload

import (
	"os"
	"syscall"
)

// lock keeps other processes from adding to a file. The error says that one does. A process that
// ends lets go.
func lock(file *os.File) (unlock func(), err error) {
	fd := int(file.Fd()) //nolint:gosec // a descriptor is a small number
	if err := syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, err
	}
	return func() { _ = syscall.Flock(fd, syscall.LOCK_UN) }, nil // else closing it does
}
