// Command wasmbuild compiles cmd/wasm for browsers, and makes the script of the worker that runs
// it. It is run in the folder of package static:
//
//	go run ./wasmbuild              # into program/, which a build with -tags program embeds
//	go run ./wasmbuild -out DIR     # into DIR, for a build with -tags program -overlay DIR/overlay.json
//	go run ./wasmbuild -stream      # to standard output, as package progress says: for package compile
//	go run ./wasmbuild -sizes       # prints what browsers load, and what each package weighs in it
//
// It needs no more modules than a server does, so that a server that was built offline can run it.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"text/tabwriter"

	"lockstep/static/internal/pack"
	"lockstep/static/internal/progress"
	"lockstep/static/internal/wasm"
)

const (
	embedded = "program" // the folder that is embedded
	root     = ".."      // of the module
)

// heaviest is how many packages are printed.
const heaviest = 15

func main() {
	out := flag.String("out", embedded, "`folder` for the program")
	quality := flag.Int("quality", pack.Best, "how hard to compress, 0 to 11")
	stream := flag.Bool("stream", false, "write to standard output instead, with the progress")
	sizes := flag.Bool("sizes", false, "print sizes instead")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var err error
	switch {
	case *sizes:
		err = report(ctx, os.Stdout, *out)
	case *stream:
		err = send(ctx, os.Stdout, *quality)
	default:
		err = save(ctx, *out, *quality)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// build returns the files by the names that they have in browsers, not compressed.
func build(ctx context.Context, told func(done, total int)) (map[string][]byte, error) {
	p, err := wasm.Build(ctx, root, told)
	if err != nil {
		return nil, err
	}
	script, err := os.ReadFile("wasm/worker.js")
	if err != nil {
		return nil, err
	}
	worker := bytes.Join([][]byte{bytes.TrimSpace(p.Exec), bytes.TrimSpace(script), nil}, []byte("\n"))
	return map[string][]byte{
		pack.Name("lockstep.wasm", p.Module): p.Module,
		pack.Name("worker.js", worker):       worker,
	}, nil
}

// send writes messages, the last of them with the files.
func send(ctx context.Context, w io.Writer, quality int) error {
	to := json.NewEncoder(w)
	var failed error // to tell: then nobody listens, and the build is of no use
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	files, err := build(ctx, func(done, total int) {
		if failed = to.Encode(progress.Message{Done: done, Total: total}); failed != nil {
			cancel()
		}
	})
	if failed != nil {
		return failed
	}
	if err != nil {
		return err
	}
	packed := make(map[string][]byte)
	for name, body := range files {
		if packed[name+pack.Suffix], err = pack.Brotli(body, quality); err != nil {
			return err
		}
	}
	return to.Encode(progress.Message{Files: packed})
}

// save writes the files into a folder.
func save(ctx context.Context, dir string, quality int) error {
	files, err := build(ctx, nil)
	if err != nil {
		return err
	}
	return write(dir, files, quality)
}

// report prints a table of what browsers load, in bytes, and one of the code.
func report(ctx context.Context, w io.Writer, program string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, dir := range []string{"dist", program} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				return err
			}
			_, _ = fmt.Fprintf(t, "%d\t  %s\t\n", info.Size(), e.Name()) // written by Flush
		}
	}
	_, _ = fmt.Fprintf(t, "%d\t  is the most that the program may have as .wasm.br\t\n", wasm.Budget)
	weights, err := wasm.Packages(ctx, root)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprint(t, "\t\t\n")
	for _, p := range weights[:min(heaviest, len(weights))] {
		_, _ = fmt.Fprintf(t, "%d\t  %s\t\n", p.Bytes, p.Package)
	}
	return t.Flush()
}
