// Command module gives the Go module of this tree, and the modules inside it,
// another path, in everything that names it: go.mod files, imports, generated
// code, templates, scripts and documents. It is run at the root of the tree:
//
//	go run ./tools/module example.org/x/lockstep
//
// It changes paths only: the product stays Lockstep, and so do the names of
// its programs, metrics, files and units.
package main

import (
	"context"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./tools/module PATH")
		os.Exit(2)
	}
	changed, err := rename(context.Background(), ".", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "module:", err)
		os.Exit(1)
	}
	fmt.Printf("%d files name the module %s now\n", changed, os.Args[1])
}
