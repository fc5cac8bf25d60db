// Package process knows what the surroundings of the process let it have: open files, memory, and
// so connections. It is for what owns the process: a command, or a server that runs until a signal.
package process

import (
	"io/fs"
	"log/slog"
	"math"
	"path"
	"strconv"
	"strings"

	"lockstep/precondition"
)

const (
	// mostMemory is how much the limits that are read may say: those of cgroups without a limit are
	// larger than any machine.
	mostMemory = 1 << 50
)

// memoryFor is what of a limit of memory is for Go: the kernel's buffers of connections count
// towards the limit, too.
func memoryFor(limit int64) int64 { return limit / 5 * 4 }

// BoundMemory has Go stay below the memory limit of the process's container, where GOMEMLIMIT does
// not say by how much: without, the kernel may end the process when garbage waits to be collected.
// The process's limit in bytes, 0 for none, is limit; goLimit is GOMEMLIMIT. set is
// debug.SetMemoryLimit. It returns what is not as it should be.
func BoundMemory(limit int64, goLimit string, set func(int64) int64, log *slog.Logger) []precondition.Unmet {
	switch {
	case limit == 0:
		return nil
	case goLimit == "":
		set(memoryFor(limit))
		log.Info("memory is limited", "limit", limit, "go", memoryFor(limit))
		return nil
	case set(-1) <= limit/10*9: // -1 only asks
		return nil
	}
	return []precondition.Unmet{{Name: "memory_limit",
		Text: "GOMEMLIMIT is more than nine tenths of the container's memory limit, which counts the kernel's buffers too: " +
			"the kernel may end the process; set it to four fifths, or leave it away"}}
}

// MemoryLimit returns the memory limit of the process in bytes: the least of its cgroup and those
// above, of version 1 or 2. 0: there is none, or it can't be known. root is the root of the files.
func MemoryLimit(root fs.FS) int64 {
	least := int64(math.MaxInt64)
	for _, group := range cgroups(root) {
		// In a container the groups may be mounted with its own as the root.
		for dir := group.path; ; dir = path.Dir(dir) {
			least = min(least, limitIn(root, path.Join(group.mount, dir, group.file)))
			if dir == "/" {
				break
			}
		}
	}
	if least > mostMemory {
		return 0
	}
	return least
}

// A cgroup is where limits of memory are: in a file of a folder below a mount, and of all those
// above it.
type cgroup struct{ mount, path, file string }

// cgroups returns the groups that may limit the memory of the process.
func cgroups(root fs.FS) (groups []cgroup) {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return nil // not Linux
	}
	for line := range strings.Lines(string(text)) { // number:controllers:path
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 || !path.IsAbs(fields[2]) {
			continue
		}
		switch where := path.Clean(fields[2]); {
		case fields[0] == "0" && fields[1] == "":
			groups = append(groups, cgroup{"sys/fs/cgroup", where, "memory.max"})
		case strings.Contains(","+fields[1]+",", ",memory,"):
			groups = append(groups, cgroup{"sys/fs/cgroup/memory", where, "memory.limit_in_bytes"})
		}
	}
	return groups
}

// limitIn returns the limit that a file says, or the largest number if it says none.
func limitIn(root fs.FS, name string) int64 {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return math.MaxInt64
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n <= 0 { // "max"
		return math.MaxInt64
	}
	return n
}
