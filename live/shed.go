package live

import (
	"context"
	"maps"
	"slices"
	"time"

	"lockstep/internal/pause"
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
	var yes bool
	err := s.writer.rt.guard.Call("Movable", func() { yes = ok && m.Movable() })
	return yes && err == nil
}

// Shed sends up to n movable tabs away with CodeRestart, whichever they are,
// spread evenly over a time, so that they go to replicas that have fewer. What
// a tab has sent before is finished and acknowledged first. It returns how many
// tabs it has sent away, after the last one, or early with ctx's error. A runtime
// that drains sheds nobody.
func (r *Runtime) Shed(ctx context.Context, n int, over time.Duration) (int, error) {
	return r.sendAway(ctx, r.movable(n), over, ReasonRebalance)
}

// sendAway closes sessions with CodeRestart one after the other, the last one
// before a time has passed.
func (r *Runtime) sendAway(ctx context.Context, some []*Session, over time.Duration, why Reason) (int, error) {
	began := time.Now()
	gap := over / time.Duration(max(1, len(some)))
	for sent := 0; sent < len(some); {
		n, wait := departures(sent, len(some), gap, time.Since(began))
		for _, s := range some[sent : sent+n] {
			s.finish(why, nil)
		}
		if sent += n; sent < len(some) && !pause.For(ctx, wait) {
			return sent, ctx.Err()
		}
	}
	return len(some), nil
}

// catchUp is how much of a schedule that is late may be made up for at once. The
// rest of it goes twice as fast as planned: after a stall not all go together.
const catchUp = 100 * time.Millisecond

// departures returns how many of all sessions leave now, after those that were
// sent away since the first left, and the time until the next do. One leaves
// after each gap by the clock: on a busy machine every pause is some
// milliseconds too long, and there may be thousands.
func departures(sent, all int, gap, since time.Duration) (n int, wait time.Duration) {
	if gap <= 0 {
		return all - sent, 0
	}
	due := int(since/gap) + 1 - sent
	n = max(1, min(due, all-sent, int(catchUp/gap)))
	return n, max(time.Duration(sent+n)*gap-since, time.Duration(n)*gap/2)
}

// movable returns up to n movable sessions, not always the same.
func (r *Runtime) movable(n int) (some []*Session) {
	r.mu.Lock()
	var all []*Session
	if r.phase == phaseRunning {
		all = slices.Collect(maps.Keys(r.sessions)) // in no order
	}
	r.mu.Unlock()
	for _, s := range all {
		if len(some) >= n {
			break
		}
		if s.Movable() && !s.ended() {
			some = append(some, s)
		}
	}
	return some
}
