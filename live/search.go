package live

import (
	"context"
	"math/rand/v2"
	"time"
)

// What a broadcast that is not believed, or that says no more than a version,
// costs. It is a reason to read the store: the first one at once. While a read is
// due or under way more of them change nothing, however many come. A read that
// brought no news makes the pause before the next of the room longer: whoever may
// publish on a broker without signatures, and lies, costs few reads, and delays
// what is true by maxSearchPause at most.

const (
	// maxSearchPause is the longest pause between two reads of a room that
	// broadcasts cause.
	maxSearchPause = 200 * time.Millisecond
	// largePause is the mean pause between two reads of a state that is too large for
	// broadcasts, however often it changes: half a megabyte twenty times a second.
	largePause = 50 * time.Millisecond
	// largeSpread is the time over which replicas that hear of such a state at the
	// same moment read it.
	largeSpread = 10 * time.Millisecond
)

// A search is the reads of a room that broadcasts cause. Its room's mu guards it.
type search struct {
	heard tick      // the newest reason for one
	large bool      // the state does not come with broadcasts
	on    bool      // a goroutine is in find
	last  time.Time // when the last read began
	vain  int       // reads in a row that brought no news
}

// seek has the store read because of what was heard, soon. It does not wait.
func (rs *Rooms[S]) seek(r *stateRoom[S], heard tick, large bool) {
	if rs.loader == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.search.heard, r.search.large = heard, large
	if !r.search.on {
		r.search.on = rs.rt.spawn(func() { rs.find(r) })
	}
}

// find reads the store until a read began after all that was heard. When the
// store is away antiEntropy goes on.
func (rs *Rooms[S]) find(r *stateRoom[S]) {
	for {
		r.mu.Lock()
		due := r.search.due(time.Now())
		r.mu.Unlock()
		rs.rt.pause(due) // when the runtime stops, get says so
		began := time.Now()
		got := rs.loader.get(context.Background(), r.key)
		news := got.err == nil && rs.confirm(r, got)
		r.mu.Lock()
		done := r.search.ended(got.began, began, news, got.err)
		r.mu.Unlock()
		if done {
			return
		}
	}
}

// due returns how long to wait before the next read.
func (s *search) due(now time.Time) time.Duration {
	var pause, spread time.Duration
	if s.vain > 0 {
		pause = jitter(min(gather<<min(s.vain, 10), maxSearchPause*4/5))
	}
	if s.large {
		pause, spread = max(pause, jitter(largePause)), rand.N(largeSpread)
	}
	return max(s.last.Add(pause).Sub(now), spread)
}

// ended takes in a read, and reports whether no other is needed.
func (s *search) ended(at tick, began time.Time, news bool, err error) bool {
	s.last = began
	if s.vain++; news {
		s.vain = 0
	}
	s.on = err == nil && s.heard > at
	return !s.on
}
