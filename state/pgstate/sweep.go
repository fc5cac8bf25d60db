package pgstate

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// sweepEvery is how often lanes that are not known any more are looked
	// for, sweepPause is between the steps of a sweep, and sweepLimit how long
	// a step may take.
	sweepEvery = 30 * time.Second
	sweepPause = 20 * time.Millisecond
	sweepLimit = 30 * time.Second
)

// sweep deletes lanes that are not known any more until ctx ends. One replica
// does so at a time, in steps that look at 32 pages and hold no lock that
// anything waits for; where one has stopped, the next goes on.
func (s *Store) sweep(ctx context.Context) {
	every := max(min(sweepEvery, s.lifetime/7, s.done/7), sweepPause)
	again := time.NewTimer(jittered(every))
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		// What is not deleted now is the next time: calls do not look at it,
		// and nobody relies on its being gone.
		more, err := s.sweepStep(ctx)
		if more && err == nil {
			again.Reset(jittered(sweepPause))
		} else {
			again.Reset(jittered(every))
		}
	}
}

// jittered returns half of d to d, so that replicas take turns.
func jittered(d time.Duration) time.Duration { return d/2 + rand.N(d/2) }

// sweepStep does one step, and reports whether there are more.
func (s *Store) sweepStep(ctx context.Context) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, sweepLimit)
	defer cancel()
	err = s.pool.QueryRow(ctx, "SELECT more FROM lockstep_sweep($1, $2, $3, $4)", s.head()...).Scan(&more)
	return more, err
}
