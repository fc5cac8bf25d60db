// Command loadgen opens thousands of tabs on a live page, clicks in them, and says whether all of
// them stayed in step, and how fast. See -h and docs/loadgen.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/mattn/go-isatty"

	"lockstep/internal/version"
	"lockstep/tools/loadgen/load"
)

// release is the version of a release build, set by the linker: see cmd/web.
var release string

// The exit codes.
const (
	exitFine        = 0
	exitFailed      = 1 // a verdict or a threshold did not hold, or something broke
	exitUsage       = 2
	exitUnreachable = 3
	exitUnwritten   = 4   // it held, and a report could not be written
	exitInterrupted = 130 // Ctrl-C: what there was held, or a second one has not waited for it
)

// workerEnv tells a process that it is a worker of another.
const workerEnv = "LOADGEN_WORKER"

func main() { os.Exit(run(os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)) }

// run is main with its surroundings passed in. It returns the exit code.
func run(args []string, getenv func(string) string, stdin io.Reader, stdout, stderr *os.File) int {
	c, err := parseConfig(args, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitFine
	case err != nil:
		return complain(stderr, fmt.Errorf("%w: %w", load.ErrUsage, err))
	case c.version:
		_, _ = fmt.Fprintln(stdout, "loadgen", version.Of(release))
		return exitFine
	case c.check != "":
		return checkFile(c.check, stdout, stderr)
	case getenv(workerEnv) != "":
		return complain(stderr, load.Work(c.options, stdin, stdout))
	}
	ctx, stop := interruptible()
	defer stop()
	// A worker ends when it is told to, not with the first Ctrl-C: its tabs are still to be judged.
	c.options.Worker = workers(context.WithoutCancel(ctx), args)
	files, err := openReports(c.json, c.html)
	if err != nil {
		return complain(stderr, fmt.Errorf("%w: %w", load.ErrUsage, err))
	}
	report, broken := c.run(ctx, getenv, stderr)
	if report == nil {
		return complain(stderr, errors.Join(broken, files.drop()))
	}
	unwritten := files.write(report, stdout)
	return worst(report, complain(stderr, broken), complain(stderr, unwritten))
}

// worst is the exit code of a run with a report, which may have been cut off, or not been written.
// What the report says comes first.
func worst(report *load.Report, broken, unwritten int) int {
	outcome := load.OutcomeOf(report)
	switch {
	case outcome == load.OutcomeFailed, outcome == load.OutcomeNotJudged:
		return exitFailed
	case broken != exitFine:
		return broken
	case outcome == load.OutcomeInterrupted:
		return exitInterrupted
	}
	return unwritten
}

// complain writes one line about an error, and returns its exit code. Nil is none.
func complain(stderr io.Writer, err error) int {
	if err == nil {
		return exitFine
	}
	line := strings.TrimPrefix(strings.Join(strings.Fields(err.Error()), " "), "load: ")
	for _, kind := range []error{load.ErrUsage, load.ErrUnreachable} {
		line = strings.TrimPrefix(line, kind.Error()+": ")
	}
	line = strings.TrimPrefix(line, "load: ")
	if errors.Is(err, context.Canceled) {
		line = "interrupted: there is too little to report"
	}
	_, _ = fmt.Fprintln(stderr, "loadgen:", line)
	switch {
	case errors.Is(err, load.ErrUsage):
		return exitUsage
	case errors.Is(err, load.ErrUnreachable):
		return exitUnreachable
	case errors.Is(err, errUnwritten):
		return exitUnwritten
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitFailed
}

// interruptible ends its context with the first Ctrl-C, and the process with the second.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ended := make(chan struct{})
	go func() { // ends with stop
		defer close(ended)
		for n := 0; ; n++ {
			if _, ok := <-signals; !ok {
				return
			}
			if n > 0 {
				os.Exit(exitInterrupted)
			}
			cancel()
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		<-ended
		cancel()
	}
}

// workers makes the commands of workers: this program with the same arguments.
func workers(ctx context.Context, args []string) func() *exec.Cmd {
	return func() *exec.Cmd {
		program, err := os.Executable()
		if err != nil {
			program = os.Args[0]
		}
		cmd := exec.CommandContext(ctx, program, withoutLogin(args)...) //nolint:gosec // itself
		cmd.Env = append(os.Environ(), workerEnv+"=1")
		cmd.Stderr = os.Stderr
		detach(cmd)
		return cmd
	}
}

// run makes the load or the search, and shows how it goes.
func (c config) run(ctx context.Context, getenv func(string) string, stderr *os.File) (*load.Report, error) {
	isTTY := isatty.IsTerminal(stderr.Fd())
	view := load.NewTerminal(stderr, isTTY, getenv("NO_COLOR") != "")
	show := []func(load.Progress){view.Show}
	if c.prometheus != "" {
		exporter, err := newExporter(c.prometheus)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", load.ErrUsage, err)
		}
		defer func() { _ = exporter.close() }() // the run is over
		_, _ = fmt.Fprintf(stderr, "metrics at http://%s/metrics\n", exporter.addr())
		show = append(show, exporter.set)
	}
	c.options.Progress = c.progress(ctx, view, stderr, show)
	if c.findMax == nil {
		defer view.Done()
		return load.Run(ctx, c.options)
	}
	return c.search(ctx, view, stderr)
}

// progress shows how a run goes. It begins with how long it takes, and says what an interrupt does.
func (c config) progress(ctx context.Context, view *load.Terminal, stderr io.Writer, show []func(load.Progress)) func(load.Progress) {
	started, interrupted := false, false
	return func(p load.Progress) {
		if !started {
			started = true
			_, _ = fmt.Fprintln(stderr, "loadgen:", c.takes())
		}
		if ctx.Err() != nil && !interrupted {
			interrupted = true
			view.Done()
			_, _ = fmt.Fprintln(stderr, "loadgen: no more clicks; what was done is settled and judged (again to exit at once)")
		}
		for _, f := range show {
			f(p)
		}
	}
}

// search looks for the highest load that holds.
func (c config) search(ctx context.Context, view *load.Terminal, stderr io.Writer) (*load.Report, error) {
	knee, err := load.FindMax(ctx, c.findMax, c.unit(), c.first(), func(ctx context.Context, n float64) (*load.Report, error) {
		defer view.Done()
		return load.Run(ctx, c.with(n))
	}, func(line string) { _, _ = fmt.Fprintln(stderr, line) })
	report := knee.Report
	if report == nil && err == nil {
		return nil, fmt.Errorf("nothing holds: %s", knee)
	}
	if report == nil {
		return nil, err
	}
	report.Knee = &knee
	if err != nil && !errors.Is(err, context.Canceled) {
		return report, fmt.Errorf("the search ended early: %w", err)
	}
	return report, nil
}
