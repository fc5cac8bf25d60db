//go:build unix && !linux

package dev

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps a terminal's Ctrl-C from a command: it is for this program,
// which ends its commands itself.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
