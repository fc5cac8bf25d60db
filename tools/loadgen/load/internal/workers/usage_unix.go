//go:build unix

package workers

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is the CPU time of this process so far, and the most memory it had, in MB.
func usage() (cpu time.Duration, memory float64) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), peakMemory(&u)
}

// peakMemory is what the kernel has counted: in /proc, because ru_maxrss begins with what the
// process was forked from.
func peakMemory(u *syscall.Rusage) float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return float64(u.Maxrss) / 1024
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ := strings.Cut(rest, "\n")
	kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(line), " kB"), 64)
	if err != nil {
		return float64(u.Maxrss) / 1024
	}
	return kb / 1024
}
