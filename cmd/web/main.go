// Command web serves the demo, live counters, polls, lists, logs and more: one replica, or several
// behind a balancer in one process. See -h.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"lockstep/serve"
	"lockstep/serve/settings"
)

func main() { os.Exit(runMain(os.Args[1:], os.Getenv, os.Stdout, os.Stderr)) }

// runMain is main with its surroundings passed in. It returns the exit code: 0,
// 1 for a fault while starting or running, 2 for wrong usage.
func runMain(args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	c, err := parseConfig(args, getenv, stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err == nil && c.Version:
		_, _ = fmt.Fprintln(stdout, "web", version())
		return 0
	case err == nil && c.Healthcheck:
		err = checkHealth(c.Addr, c.Hosts.Names, c.TLS.on(), stdout)
	case err == nil && c.Export != "":
		err = exportApp(c.Export, stdout)
	case err == nil:
		err = serveUntilSignal(&c, stdout, stderr)
	}
	if err == nil {
		return 0
	}
	// One line, whatever an error of a backend looks like.
	line := strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), settings.ErrUsage.Error()+": ")), " ")
	_, _ = fmt.Fprintln(stderr, "web:", line)
	if errors.Is(err, settings.ErrUsage) {
		return 2
	}
	return 1
}

// serveUntilSignal serves until a signal. A second signal ends the process at once.
func serveUntilSignal(c *config, stdout, stderr io.Writer) error {
	log := c.logger(stderr)
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()

	s, err := startService(ctx, c, log)
	if err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted while starting")
		}
		return err
	}
	s.announce(stdout)
	var broken error
	select {
	case <-ctx.Done():
	case broken = <-s.process.Failed():
	}
	cancel() // the next signal is no longer caught
	log.Info("shutting down; another signal ends it at once", "drain", c.Drain)
	end, done := context.WithTimeout(context.Background(), c.Drain+serve.StopTimeout)
	defer done()
	return errors.Join(broken, s.stop(end, c.Drain))
}
