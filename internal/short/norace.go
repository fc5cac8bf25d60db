//go:build !race

package short

// Race reports whether the race detector is on: see race.go.
const Race = false
