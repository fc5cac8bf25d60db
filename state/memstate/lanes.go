package memstate

import (
	"time"

	"lockstep/state"
)

// A key names a lane.
type key struct {
	topic  string
	client state.Client
}

// lanes are lanes by generation: to forget is to drop a map, so no call looks
// at more lanes than its own.
type lanes struct {
	lifetime   time.Duration
	age        state.Age
	fresh, old map[key]state.Lane // of this generation and the one before
}

func newLanes(lifetime time.Duration, now time.Time) lanes {
	return lanes{lifetime: lifetime, age: state.Age{Since: now}, fresh: make(map[key]state.Lane)}
}

// forget begins a new generation when it is time.
func (l *lanes) forget(now time.Time) {
	before := l.age.Generation()
	l.age = l.age.At(now, l.lifetime)
	if l.age.Generation() != before {
		l.old, l.fresh = l.fresh, make(map[key]state.Lane)
	}
}

func (l *lanes) get(k key) (state.Lane, bool) {
	if lane, ok := l.fresh[k]; ok {
		return lane, true
	}
	lane, ok := l.old[k]
	return lane, ok
}

// put makes a lane one of this generation. What the old one has of it is not
// looked at any more.
func (l *lanes) put(k key, lane state.Lane) { l.fresh[k] = lane }

func (l *lanes) drop(k key) {
	delete(l.old, k)
	delete(l.fresh, k)
}
