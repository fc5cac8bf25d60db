package process

import (
	"runtime"
	"runtime/metrics"
	"time"
)

// A Usage is what the process has taken of its machine.
type Usage struct {
	CPU        time.Duration // of all cores, since its start; 0: not known
	Memory     uint64        // bytes that it holds; what Go has of the system, where that is not known
	Files      int           // open ones, connections among them; 0: not known
	Goroutines int
}

// Used returns what the process uses now. It costs some microseconds, and more with very many files
// where the system does not count them.
func Used() Usage {
	u := Usage{CPU: cpu(), Memory: resident(), Files: openFiles(), Goroutines: runtime.NumGoroutine()}
	if u.Memory == 0 {
		all := []metrics.Sample{{Name: "/memory/classes/total:bytes"}}
		metrics.Read(all)
		u.Memory = all[0].Value.Uint64()
	}
	return u
}
