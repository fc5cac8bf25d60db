// Command build makes package static's dist folder: what a browser loads besides
// the pages, without the program for browsers (see wasmbuild). It is run by go
// generate in the folder of package static.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"lockstep/static/internal/bundle"
)

const dist = "dist"

func main() {
	if err := build(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// build replaces the whole folder, so that nothing of an older build stays.
func build() error {
	files, err := bundle.Build(os.DirFS("."))
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
