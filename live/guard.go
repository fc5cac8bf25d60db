package live

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"lockstep/internal/repeats"
)

// errCallback is wrapped by the errors that stand for a callback of the
// application that has panicked, or broken its contract.
var errCallback = errors.New("a callback of the application failed")

// faults bounds what the log says of callbacks.
type faults struct {
	mu   sync.Mutex // guards the rest
	seen map[string]*repeats.Counter
}

// add counts a failure, and returns how many the log is to speak of; 0: none.
func (f *faults) add(callback string, now time.Time) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil {
		f.seen = make(map[string]*repeats.Counter)
	}
	one := f.seen[callback]
	if one == nil {
		one = new(repeats.Counter)
		f.seen[callback] = one
	}
	return one.Add(now)
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

// comparable returns those of the application's values that can be keys of a
// map, and are found again.
func (r *Runtime) comparable(values []any) []any {
	bad := slices.IndexFunc(values, func(v any) bool {
		same := false
		_ = r.guarded("Commit", func() { same = equal(v, v) }) // panics if it can't be compared
		return !same
	})
	if bad < 0 {
		return values
	}
	return append(slices.Clone(values[:bad]), r.comparable(values[bad+1:])...)
}

func equal(a, b any) bool { return a == b }

// guarded calls f, and returns its panic as an error.
func (r *Runtime) guarded(callback string, f func()) (err error) {
	defer r.caught(callback, &err)
	f()
	return nil
}
