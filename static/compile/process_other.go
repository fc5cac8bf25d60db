//go:build !unix || aix || illumos || solaris

package compile

import (
	"os/exec"
	"time"
)

// ownGroup bounds how long what a command has started outlives it: it ends when it is read no more.
func ownGroup(cmd *exec.Cmd) { cmd.WaitDelay = 5 * time.Second }

func yieldToOthers(int) {}
