// Command lockstep begins a program of the kit, runs it while it is edited, and copies components
// into it.
//
//	lockstep new myapp          a folder with a small app, its test and a Dockerfile
//	lockstep dev                runs the app in this folder; open tabs show each change of a source
//	lockstep add button dialog  copies components into the folder components of this module
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = `Usage: lockstep COMMAND

  lockstep new FOLDER            begin an app: a page, its state, a test, a Dockerfile
  lockstep dev [FOLDER]          run an app, and have open tabs show each change; -h: its flags
  lockstep add COMPONENT…        copy components into ./components, to own and change them
  lockstep add                   list the components that there are
`

// errUsage means that the command line is wrong.
var errUsage = errors.New("wrong usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// A second Ctrl-C ends it at once, but not the first one, which "go tool" hands on when it has
	// come here already.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with its surroundings passed in. It returns the exit code: 0, 1 for what failed, 2
// for wrong usage.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := dispatch(ctx, args, stdout)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		_, _ = fmt.Fprintf(stderr, "lockstep: %v\n\n%s", err, usage)
		return 2
	}
	_, _ = fmt.Fprintf(stderr, "lockstep: %v\n", err)
	return 1
}

func dispatch(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: a command is missing", errUsage)
	}
	switch command, rest := args[0], args[1:]; command {
	case "new":
		if len(rest) != 1 {
			return fmt.Errorf("%w: new takes the folder that is to be made", errUsage)
		}
		return begin(ctx, rest[0], stdout)
	case "dev":
		return develop(ctx, rest, stdout)
	case "add":
		return add(ctx, rest, stdout)
	case "help", "-h", "-help", "--help":
		_, err := io.WriteString(stdout, usage)
		return err
	default:
		return fmt.Errorf("%w: there is no command %q", errUsage, command)
	}
}
