//go:build race

package short

// Race reports whether the race detector is on. What simulates hours of virtual time then does
// less: the detector crashes now and then on very many timers in a bubble of testing/synctest
// (golang/go#78156, seen with Go 1.26.8), and takes three times as long. "make test" runs
// package app, which simulates most, without the detector, and others with it again where that has
// crashed: internal/race.sh.
const Race = true
