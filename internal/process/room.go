package process

import "math"

const (
	// ownFiles is more than a process opens for anything but clients.
	ownFiles = 64
	// connMemory is what a tab takes, of the process and of the kernel, in bytes.
	connMemory = 10 << 10
)

// A Room is how many connections there is room for. 0 is no limit.
type Room struct {
	Files  int // by the limit of open files
	Memory int // by the limit of memory
}

// NewRoom returns the room that a limit of open files and one of memory, in bytes, leave: nine
// tenths of the files, for the rest is for brokers, stores and what the program itself has open. 0
// is no limit.
func NewRoom(files int, memory int64) Room {
	return Room{
		Files:  files - max(files/10, min(ownFiles, files/2)),
		Memory: int(min(memory/connMemory, math.MaxInt32)),
	}
}

// Conns is the smaller of both limits, 0 for none.
func (r Room) Conns() int {
	if r.Files == 0 || r.Memory > 0 && r.Memory < r.Files {
		return r.Memory
	}
	return r.Files
}
