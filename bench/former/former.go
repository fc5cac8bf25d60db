// Package former has what kept counters before package state did: group commit,
// and its four stores. It is here so that both can be measured in the same run,
// and for nothing else.
//
// What a click goes through is as it was, the turns of senders too, though all
// clicks here are of one. Left out is what a healthy run did not come to: names
// that are new, tries after an error, guards of callbacks, reads, overflow in Go,
// forgetting in Postgres (which began after 15 minutes), and what looked after
// the file. So it is not slower than it was.
package former

import (
	"context"
	"errors"
	"time"
)

// window is how long a store remembers an op.
const window = 15 * time.Minute

// maxOps is how many ops one call of Store.Apply takes at most.
const maxOps = 256

// An Op adds one to a counter. Its ID makes sending it again safe.
type Op struct{ ID string }

// A Value is a counter's state.
type Value struct {
	N              int64
	Epoch, Version uint64
}

// A Store keeps counters. Its methods may be called concurrently.
type Store interface {
	// Apply applies ops to the counter called name in one atomic step, each unless
	// it was applied before, and returns the state after them. It returns when the
	// change is as durable as the store can make it.
	Apply(ctx context.Context, name string, ops ...Op) (v Value, applied []bool, err error)
	// Close releases what the store holds.
	Close() error
}

// check returns nil, or why a call of Store.Apply is not valid.
func check(name string, ops []Op) error {
	if !valid(name, 1, false) || len(ops) == 0 || len(ops) > maxOps {
		return errors.New("former: not a valid call")
	}
	for _, op := range ops {
		if !valid(op.ID, 16, true) {
			return errors.New("former: not a valid id of an op")
		}
	}
	return nil
}

// valid reports whether s is least to 64 of [a-z0-9-], or of [A-Za-z0-9_-].
func valid(s string, least int, upper bool) bool {
	if len(s) < least || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-':
		case upper && ('A' <= c && c <= 'Z' || c == '_'):
		default:
			return false
		}
	}
	return true
}
