// Package short says what the tests leave out with "go test -short": what
// starts a server, a browser or a program, what compiles, and what takes more
// than about a second. What is left needs nothing but Go. No other package
// asks testing.Short; internal/arch tests that.
package short

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
)

// Skip ends a test that -short leaves out. what completes "it ...": "it starts
// a server".
func Skip(t testing.TB, what string) {
	t.Helper()
	if testing.Short() {
		t.Skipf("it %s: not with -short", what)
	}
}

// Main is for a TestMain: it ends the program before any test of a package
// that -short leaves out as a whole. what is as in Skip.
func Main(what string) {
	flag.Parse() // or -short is not known yet
	if testing.Short() {
		fmt.Printf("skipped: it %s: not with -short\n", what)
		os.Exit(0)
	}
}

// Of returns how often to repeat something: n times, or few times with -short.
func Of[N int | uint64](n, few N) N {
	if testing.Short() {
		return few
	}
	return n
}

// Seeds returns which seeds to run: one to replay (LOCKSTEP_SEED), as many as
// LOCKSTEP_SEEDS says, or n.
func Seeds(t testing.TB, n uint64) (first, last uint64) {
	t.Helper()
	number := func(name string) uint64 {
		v, err := strconv.ParseUint(os.Getenv(name), 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return v
	}
	switch {
	case os.Getenv("LOCKSTEP_SEED") != "":
		one := number("LOCKSTEP_SEED")
		return one, one
	case os.Getenv("LOCKSTEP_SEEDS") != "":
		return 1, number("LOCKSTEP_SEEDS")
	}
	return 1, n
}
