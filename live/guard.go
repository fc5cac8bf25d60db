package live

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// errCallback is wrapped by the errors that stand for a callback of the
// application that has panicked, or broken its contract.
var errCallback = errors.New("a callback of the application failed")

// faultInterval is the shortest time between two lines of the log about the same
// callback.
const faultInterval = 10 * time.Second

// faults bounds what the log says of callbacks.
type faults struct {
	mu   sync.Mutex // guards the rest
	seen map[string]*fault
}

// A fault is what is known of one callback that failed.
type fault struct {
	said   time.Time // when the log last said so
	silent int       // times since
}

// add counts a failure, and returns how many the log is to speak of; 0: none.
func (f *faults) add(callback string, now time.Time) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil {
		f.seen = make(map[string]*fault)
	}
	one := f.seen[callback]
	if one == nil {
		one = &fault{said: now.Add(-faultInterval)}
		f.seen[callback] = one
	}
	one.silent++
	if now.Sub(one.said) < faultInterval {
		return 0
	}
	n := one.silent
	one.silent, one.said = 0, now
	return n
}

// caught is deferred around a call of a callback: its panic becomes *err, so
// that only what called it fails. Callbacks have constant names.
func (r *Runtime) caught(callback string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("live: %w: panic in %s: %v", errCallback, callback, p)
		r.fault(callback, *err, debug.Stack())
	}
}

// broken returns the error of a callback that returned what it must not.
func (r *Runtime) broken(callback, how string) error {
	err := fmt.Errorf("live: %w: %s %s", errCallback, callback, how)
	r.fault(callback, err, nil)
	return err
}

// fault counts and logs a failure of a callback.
func (r *Runtime) fault(callback string, err error, stack []byte) {
	r.stats.failures.Add(1)
	if n := r.faults.add(callback, time.Now()); n > 0 {
		r.log.Error("callback failed", "callback", callback, "times", n, "err", err, "stack", string(stack))
	}
}

// guarded calls f, and returns its panic as an error.
func (r *Runtime) guarded(callback string, f func()) (err error) {
	defer r.caught(callback, &err)
	f()
	return nil
}
