//go:build !unix

package workers

import "time"

// usage is not known here.
func usage() (cpu time.Duration, memory float64) { return 0, 0 }
