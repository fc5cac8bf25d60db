package pgstate

import (
	"context"
	"time"
)

// Shift moves the clock by which a store forgets lanes.
func (s *Store) Shift(d time.Duration) { s.shift.Add(int64(d)) }

// Sweep does a step of the sweep, and reports whether there are more.
func (s *Store) Sweep(ctx context.Context) (more bool, err error) { return s.sweepStep(ctx) }
