//go:build unix && !aix && !illumos && !solaris

package compile

import (
	"os/exec"
	"syscall"
	"time"
)

// lowest is the priority of what nobody waits for, as of nice(1). The disk follows it.
const lowest = 19

// ownGroup has a command, and all that it starts, die together.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
}

// yieldToOthers has a group of processes run when nobody else wants to.
func yieldToOthers(group int) {
	_ = syscall.Setpriority(syscall.PRIO_PGRP, group, lowest) // it is slower for others, and right
}
