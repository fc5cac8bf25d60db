package backends

import (
	"context"
	"errors"
	"net"
	"time"

	"lockstep/internal/pause"
)

// startRetry is the pause before a backend that did not answer at start is asked again.
const startRetry = 200 * time.Millisecond

// Patiently calls open again while a backend is slow or has not come up yet, until ctx ends: one
// answer that takes longer than a connection may is no reason not to start. Every other error is
// returned at once, for a person has to act on it. Store does so itself; it is for the start of an
// application, whose broker has to answer.
func Patiently[T any](ctx context.Context, open func() (T, error)) (T, error) {
	for {
		backend, err := open()
		if !willPass(err) || !pause.For(ctx, startRetry) {
			return backend, err
		}
	}
}

// willPass reports whether an error may be gone in a moment.
func willPass(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout() || // context.DeadlineExceeded is one, too
		starting(err)
}
