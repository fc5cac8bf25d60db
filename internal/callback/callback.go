// Package callback keeps what goes wrong in a callback of an application from whom it is called
// for, and the log short about it.
package callback

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"lockstep/internal/repeats"
)

// ErrFailed is wrapped by the errors that stand for a callback that has panicked, or broken its
// contract.
var ErrFailed = errors.New("a callback of the application failed")

// A Guard is that of the callbacks of one thing. It may be used concurrently once Log and Package
// are set.
type Guard struct {
	Log     *slog.Logger
	Package string // what its errors begin with
	Failed  func() // is told of each failure. Nil: nobody is.

	mu   sync.Mutex // guards the rest
	seen map[string]*repeats.Counter
}

// Caught is deferred around a call of a callback: its panic is logged, and becomes *err where that
// is not nil. Callbacks have constant names.
func (g *Guard) Caught(callback string, err *error) {
	p := recover()
	if p == nil {
		return
	}
	fault := fmt.Errorf("%s: %w: panic in %s: %v", g.Package, ErrFailed, callback, p)
	if err != nil {
		*err = fault
	}
	g.Report(callback, fault, debug.Stack())
}

// Call calls f, and returns its panic as an error, which has been logged.
func (g *Guard) Call(callback string, f func()) (err error) {
	defer g.Caught(callback, &err)
	f()
	return nil
}

// Broken returns the error of a callback that returned what it must not, which has been logged. how
// completes "it ...".
func (g *Guard) Broken(callback, how string) error {
	err := fmt.Errorf("%s: %w: %s %s", g.Package, ErrFailed, callback, how)
	g.Report(callback, err, nil)
	return err
}

// Report logs a failure, unless one of the same callback was logged within repeats.Interval. A nil
// stack is not shown.
func (g *Guard) Report(callback string, err error, stack []byte) {
	if g.Failed != nil {
		g.Failed()
	}
	if n := g.add(callback); n > 0 {
		g.Log.Error("callback failed", "callback", callback, "times", n, "err", err, "stack", string(stack))
	}
}

// add counts a failure, and returns how many the log is to speak of; 0: none.
func (g *Guard) add(callback string) uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seen == nil {
		g.seen = make(map[string]*repeats.Counter)
	}
	one := g.seen[callback]
	if one == nil {
		one = new(repeats.Counter)
		g.seen[callback] = one
	}
	return one.Add(time.Now())
}
