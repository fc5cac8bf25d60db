package testserver

import "syscall"

// dieWithParent leaves no orphan when the test process dies. A command that
// has something to clean up says so with a signal of its own.
func dieWithParent(a *syscall.SysProcAttr) {
	if a.Pdeathsig == 0 {
		a.Pdeathsig = syscall.SIGKILL
	}
}
