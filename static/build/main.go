// Command build makes package static's dist folder and constants.js. It is run
// by go generate in the folder of package static, and calls esbuild, which "make
// generate" builds first. With -sizes it only prints what is in the
// folder, and what each package weighs in the program for browsers.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"lockstep/static/internal/bundle"
	"lockstep/static/internal/constants"
	"lockstep/static/internal/wasm"
)

const (
	dist = "dist"
	root = ".." // of the module
)

// esbuild is where make puts it.
const esbuild = "../bin/esbuild"

// heaviest is how many packages are printed.
const heaviest = 15

func main() {
	sizes := flag.Bool("sizes", false, "print sizes instead")
	flag.Parse()
	run := build
	if *sizes {
		run = func() error { return report(os.Stdout) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// writeConstants gives the scripts the numbers of the wire.
func writeConstants() error {
	script, err := constants.Script(os.DirFS(root))
	if err != nil {
		return err
	}
	return os.WriteFile("constants.js", script, 0o644)
}

// build replaces the whole folder, so that nothing of an older build stays.
func build() error {
	if err := writeConstants(); err != nil {
		return err
	}
	src, err := bundle.Sources(context.Background(), ".", esbuild)
	if err != nil {
		return err
	}
	program, err := wasm.Build(context.Background(), root)
	if err != nil {
		return err
	}
	files, err := bundle.Build(src, map[string][]byte{bundle.Program: program.Module, bundle.Exec: program.Exec})
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dist); err != nil {
		return err
	}
	if err := os.Mkdir(dist, 0o755); err != nil {
		return err
	}
	for name, body := range files {
		if err := os.WriteFile(filepath.Join(dist, name), body, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// report prints a table of what browsers load, in bytes, and one of the code.
func report(w io.Writer) error {
	entries, err := os.ReadDir(dist)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(t, "%d\t  %s\t\n", info.Size(), e.Name()) // written by Flush
	}
	_, _ = fmt.Fprintf(t, "%d\t  is the most that the program may have as .wasm.br\t\n", wasm.Budget)
	weights, err := wasm.Packages(context.Background(), root)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprint(t, "\t\t\n")
	for _, p := range weights[:min(heaviest, len(weights))] {
		_, _ = fmt.Fprintf(t, "%d\t  %s\t\n", p.Bytes, p.Package)
	}
	return t.Flush()
}
