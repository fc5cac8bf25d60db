package live

import (
	"context"
	"maps"
	"slices"
	"time"
)

// Movable is implemented by a View whose tab may be served by another replica
// when it connects again.
type Movable interface {
	// Movable reports whether the tab came by way of a balancer. A tab that
	// came directly would come back. The answer is always the same; it may be
	// called concurrently, and must not block.
	Movable() bool
}

// Movable reports whether the tab may be served by another replica when it
// connects again; see the interface.
func (s *Session) Movable() bool {
	m, ok := s.view.(Movable)
	return ok && m.Movable()
}

// Shed sends up to n movable tabs away with CodeRestart, whichever they are,
// spread evenly over a time, so that they go to replicas that have fewer. What
// a tab has sent before is finished and acknowledged first. It returns how many
// were told when the last has been, and ctx's error if that came before. A
// runtime that drains sheds nobody.
func (r *Runtime) Shed(ctx context.Context, n int, over time.Duration) (int, error) {
	return r.sendAway(ctx, r.movable(n), over, "another replica has more room")
}

// sendAway closes sessions with CodeRestart one after the other, the last one
// before a time has passed.
func (r *Runtime) sendAway(ctx context.Context, some []*Session, over time.Duration, reason string) (int, error) {
	began := time.Now()
	gap := over / time.Duration(max(1, len(some)))
	for i, s := range some {
		// By the clock, not by the length of the pauses: each is longer than
		// asked for, and there may be thousands. But what was missed, because the
		// machine had no time, does not go all at once.
		pause := max(time.Until(began.Add(time.Duration(i)*gap)), gap/2)
		if err := sleep(ctx, pause); err != nil {
			return i, err
		}
		s.finish(CodeRestart, reason)
	}
	return len(some), nil
}

// movable returns up to n movable sessions, not always the same.
func (r *Runtime) movable(n int) (some []*Session) {
	r.mu.Lock()
	var all []*Session
	if !r.draining {
		all = slices.Collect(maps.Keys(r.sessions)) // in no order
	}
	r.mu.Unlock()
	for _, s := range all {
		if len(some) >= n {
			break
		}
		if s.Movable() && !s.over() {
			some = append(some, s)
		}
	}
	return some
}
