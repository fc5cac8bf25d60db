//go:build !unix

package dev

import "os/exec"

// ownGroup does nothing where the system has no such thing.
func ownGroup(*exec.Cmd) {}
