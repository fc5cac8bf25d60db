package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"lockstep/tools/loadgen/load"
)

// errUnwritten says that a report could not be written.
var errUnwritten = errors.New("a report could not be written")

// A reportFile is a file that a flag names, open for the report to come. What it had before stays
// until then.
type reportFile struct {
	flag  string
	file  *os.File
	fresh bool // it did not exist before
	write func(io.Writer, *load.Report) error
}

// reportFiles are those of a run. Their methods must not be called concurrently.
type reportFiles []reportFile

// openReports opens the files of -json and -html, each of which may be "", before a run that may
// take hours: a path that can't be written is found now. After an error none is open.
func openReports(json, html string) (reportFiles, error) {
	if json != "" && json == html {
		return nil, fmt.Errorf("-json and -html both name %s", json)
	}
	var all reportFiles
	for _, r := range []struct {
		flag, name string
		write      func(io.Writer, *load.Report) error
	}{{"-json", json, load.WriteJSON}, {"-html", html, load.WriteHTML}} {
		if r.name == "" {
			continue
		}
		_, err := os.Stat(r.name)
		fresh := errors.Is(err, os.ErrNotExist)
		f, err := os.OpenFile(r.name, os.O_WRONLY|os.O_CREATE, 0o666) //nolint:gosec // the file that a flag names
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", r.flag, err), all.drop())
		}
		all = append(all, reportFile{r.flag, f, fresh, r.write})
	}
	return all, nil
}

// drop closes the files without a report, and removes those that did not exist before.
func (fs reportFiles) drop() error {
	var errs []error
	for _, f := range fs {
		errs = append(errs, f.file.Close())
		if f.fresh {
			errs = append(errs, os.Remove(f.file.Name()))
		}
	}
	return errors.Join(errs...)
}

// write writes the report to each file, and its summary to stdout. They come after the files: a
// reader that has seen enough may end this process by closing its pipe. What can't be written keeps
// nothing else from being so. The error wraps errUnwritten.
func (fs reportFiles) write(r *load.Report, stdout io.Writer) error {
	var errs []error
	for _, f := range fs {
		if err := f.replace(r); err != nil {
			errs = append(errs, fmt.Errorf("%w: %s: %w", errUnwritten, f.flag, err))
		}
	}
	if err := load.WriteText(stdout, r); err != nil {
		errs = append(errs, fmt.Errorf("%w: %w", errUnwritten, err))
	}
	return errors.Join(errs...)
}

// replace writes the report in place of what the file has, and closes it.
func (f reportFile) replace(r *load.Report) error {
	info, err := f.file.Stat()
	if err == nil && info.Mode().IsRegular() { // a pipe or a device has nothing to cut off
		err = f.file.Truncate(0)
	}
	if err == nil {
		err = f.write(f.file, r)
	}
	return errors.Join(err, f.file.Close())
}
