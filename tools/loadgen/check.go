package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"lockstep/internal/history"
)

// checkFile judges a history again, and writes the verdict. It returns the exit code.
func checkFile(name string, stdout, stderr io.Writer) int {
	v, err := readHistory(name)
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		_, _ = fmt.Fprintf(stderr, "loadgen: %s: %s\n", name, strings.TrimPrefix(err.Error(), "history: "))
		return exitUsage
	}
	_, _ = fmt.Fprintln(stdout, v.String())
	for _, breach := range v.Named {
		_, _ = fmt.Fprintln(stdout, "  "+breach)
	}
	if !v.Holds() {
		return exitFailed
	}
	return exitFine
}

func readHistory(name string) (history.Verdict, error) {
	f, err := os.Open(name) //nolint:gosec // the person names it
	if err != nil {
		return history.Verdict{}, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return history.ReadVerdict(f)
}
