package upload

import (
	"errors"
	"syscall"
)

// isFull reports whether a disk has no room left, or its owner may have no more of it.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
