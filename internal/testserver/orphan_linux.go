package testserver

import "syscall"

// dieWithParent leaves no orphan when the test process dies.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }
