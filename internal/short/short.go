// Package short says what the tests leave out with "go test -short": what
// starts a server, a browser or a program, what compiles, and what takes more
// than about a second. What is left needs nothing but Go. No other package
// asks testing.Short; internal/arch tests that.
package short

import (
	"flag"
	"fmt"
	"os"
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
