// Package workers spreads the tabs of a load over workers: this process, or several processes that
// it talks to over their standard input and output. What tabs do and see is none of its business.
package workers

import (
	"errors"
	"fmt"
	"os/exec"
	"time"

	"lockstep/tools/loadgen/load/internal/browser"
	"lockstep/tools/loadgen/load/protocol"
)

// A Worker has a share of the tabs. Its methods must not be called concurrently; an error says that
// its process is lost.
type Worker interface {
	// Join has the tabs of the first stage join, over its ramp.
	Join() error
	// Load begins with the clicks: the first may be due at at. before is what each counter shows.
	Load(at time.Time, before []protocol.State) error
	// Unload ends the clicks, and the coming and going of tabs.
	Unload() error
	// Observe is what the worker has seen since the last call.
	Observe() (Observed, error)
	// Behind are the tabs that don't show what is wanted of each counter.
	Behind(wanted []protocol.State) ([]browser.Tab, error)
	// Close closes all tabs, and waits until the worker has ended.
	Close() error
}

// Observed is what a worker has seen, and what its process has needed so far.
type Observed struct {
	Loops  []browser.Observation
	CPU    time.Duration
	Memory float64 // MB, at most
}

// Start starts workers that together have all tabs of c: this process if processes is 1, otherwise
// as many that command makes, each of which has to call Serve with the same c. On an error it
// starts none. command is not called for one process, and may be nil then.
func Start(c browser.Config, processes int, command func() *exec.Cmd) ([]Worker, error) {
	if processes == 1 {
		f, err := browser.New(c)
		if err != nil {
			return nil, err
		}
		return []Worker{local{f}}, nil
	}
	var all []Worker
	for i := range processes {
		w, err := startRemote(command(), Share{Plan: *c.Plan, Header: c.Header, Index: i, Of: processes})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("worker %d: %w", i, err), Close(all))
		}
		all = append(all, w)
	}
	return all, nil
}

// Close closes all workers, and waits for them.
func Close(all []Worker) error {
	var errs []error
	for _, w := range all {
		errs = append(errs, w.Close())
	}
	return errors.Join(errs...)
}

// local is the worker that is this process.
type local struct{ fleet *browser.Fleet }

// Join implements Worker.
func (w local) Join() error { w.fleet.Join(); return nil }

// Load implements Worker.
func (w local) Load(at time.Time, before []protocol.State) error {
	w.fleet.Load(at, before)
	return nil
}

// Unload implements Worker.
func (w local) Unload() error { w.fleet.Unload(); return nil }

// Close implements Worker.
func (w local) Close() error { w.fleet.Close(); return nil }

// Behind implements Worker.
func (w local) Behind(wanted []protocol.State) ([]browser.Tab, error) {
	return w.fleet.Behind(wanted), nil
}

// Observe implements Worker.
func (w local) Observe() (Observed, error) {
	o := Observed{Loops: w.fleet.Observe()}
	o.CPU, o.Memory = usage()
	return o, nil
}
