//go:build !linux

package process

func resident() uint64 { return 0 }

func openFiles() int { return 0 }
