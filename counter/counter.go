// Package counter holds the demo's domain: a named number that many people
// change at once, and the Store in which it lives.
//
// The store is the truth. It applies each op exactly once, however often it
// is sent, and numbers every change, so that of two states everybody knows
// which is newer. It is not a general key-value store and knows nothing
// of pages, sockets or brokers.
package counter

import (
	"context"
	"errors"
	"time"
)

// DedupWindow is how long a store remembers an op at least, counted from the
// moment it was applied. Within it a repeated op is recognised.
const DedupWindow = 15 * time.Minute

// OpLifetime is how old an op may be when it is sent to a store. It is
// shorter than DedupWindow, so that an op that might be forgotten is refused
// rather than counted twice; the minute between them allows for replicas
// whose clocks differ.
const OpLifetime = DedupWindow - time.Minute

// MaxOps is how many ops one call of Store.Apply takes at most.
const MaxOps = 256

// Errors that callers decide on. Any other error of a Store means that it is
// unknown whether the ops were applied: sending the same ops again is safe.
var (
	// ErrOverflow means that the result would not fit into an int64. Nothing of the
	// call was applied.
	ErrOverflow = errors.New("counter: the count is at its limit")
	// ErrBadOp means that an id, kind or delta is not valid, or there are none or more
	// than MaxOps. Nothing of the call was applied.
	ErrBadOp = errors.New("counter: not a valid op")
	// ErrBadName means that the name of a counter is not valid.
	ErrBadName = errors.New("counter: not a valid name")
)

// A Value is a counter's state. The zero Value is older than any other.
type Value struct {
	N int64
	// Epoch grows when the store has lost data, Version with each applied
	// op. States are ordered by (Epoch, Version), never by Version alone.
	Epoch, Version uint64
}

// Newer reports whether v is a later state than w.
func (v Value) Newer(w Value) bool {
	if v.Epoch != w.Epoch {
		return v.Epoch > w.Epoch
	}
	return v.Version > w.Version
}

// Kind says what an op does.
type Kind uint8

// The kinds of op. The zero Kind is not valid.
const (
	Increment Kind = iota + 1 // add Delta
	Decrement                 // subtract Delta
	Reset                     // set to zero; Delta is ignored
)

// An Op is one user action. Its ID is made in the browser and is what makes
// sending it again safe.
type Op struct {
	ID   string // 16 to 64 of [A-Za-z0-9_-]
	Kind Kind
	// Delta is how much is added or subtracted; 0 means 1; never negative.
	Delta int64
}

// Amount is what the op adds to the count: negative for a Decrement, and 0
// for a Reset.
func (o Op) Amount() int64 {
	if o.Kind == Reset {
		return 0
	}
	d := max(o.Delta, 1)
	if o.Kind == Decrement {
		return -d
	}
	return d
}

// Valid returns nil or an error that wraps ErrBadOp.
func (o Op) Valid() error {
	switch {
	case !ValidOpID(o.ID):
		return errors.Join(ErrBadOp, errors.New("the id must be 16 to 64 of A-Z a-z 0-9 _ -"))
	case o.Kind < Increment || o.Kind > Reset:
		return errors.Join(ErrBadOp, errors.New("unknown kind"))
	case o.Delta < 0:
		return errors.Join(ErrBadOp, errors.New("negative delta"))
	}
	return nil
}

// A Store keeps counters. It is safe for concurrent use by every goroutine of
// every replica.
type Store interface {
	// Apply applies ops to the counter called name in their order, as one
	// atomic step, and returns its state after them. applied[i] is false
	// when ops[i] had been applied before (by an earlier call, or earlier in
	// this one) and therefore was not applied again. Each applied op adds
	// one to the version. A counter that does not exist starts at 0.
	//
	// It returns after the change is as durable as the store can make it.
	// It does not retry.
	Apply(ctx context.Context, name string, ops ...Op) (v Value, applied []bool, err error)

	// Get returns the states of the named counters in their order, with one
	// round trip. A counter that does not exist has N and Version 0 and the
	// store's Epoch.
	Get(ctx context.Context, names ...string) ([]Value, error)

	// Close releases what the store holds. Closing twice is harmless.
	Close() error
}

// ValidName reports whether name is 1 to 64 of [a-z0-9-].
func ValidName(name string) bool {
	if len(name) < 1 || len(name) > 64 {
		return false
	}
	for _, c := range []byte(name) {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// ValidOpID reports whether id is 16 to 64 of [A-Za-z0-9_-].
func ValidOpID(id string) bool {
	if len(id) < 16 || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}
