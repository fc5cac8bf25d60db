// Command build makes package static's dist folder and constants.js: what a
// browser loads besides the pages, without the program for browsers (see
// wasmbuild). It is run by go generate in the folder of package static, and calls
// esbuild, which "make generate" builds first.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"lockstep/static/internal/bundle"
	"lockstep/static/internal/constants"
)

const (
	dist    = "dist"
	root    = ".."             // of the module
	esbuild = "../bin/esbuild" // make puts it there
)

func main() {
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// writeConstants gives the scripts the numbers of the wire. A file that has them
// already stays as it is.
func writeConstants() error {
	script, err := constants.Script(os.DirFS(root))
	if err != nil {
		return err
	}
	if old, err := os.ReadFile("constants.js"); err == nil && bytes.Equal(old, script) {
		return nil
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
	files, err := bundle.Build(src)
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
