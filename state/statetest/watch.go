package statetest

import (
	"slices"
	"time"

	"lockstep/state"
)

// stepsOfLifetime is how many steps of a watch are a lifetime: two for each age
// of a state.Age, so that what happens, happens at all times of an age.
const stepsOfLifetime = 14

// A watch follows lanes while the store's clock goes on. A lane must be known
// while it is younger than a lifetime, and unknown when it is older than three:
// without jumps of the clock a store may take 16/7 of a lifetime (see
// state.Age), and a jump back may cost an age.
type watch struct {
	*env
	lifetime time.Duration
	step     time.Duration
	began    time.Time
	walker   state.Client // moves at each step, so that the topic is in use
	seq      uint64
	lanes    []*watched
}

type watched struct {
	client state.Client
	lane   state.Lane
	age    time.Duration // without jumps
	gone   bool
}

func (e *env) watch(lifetime time.Duration) *watch {
	return &watch{
		env: e, lifetime: lifetime, step: lifetime/stepsOfLifetime + time.Millisecond,
		began: time.Now(), walker: freshClient(),
	}
}

// add makes a lane and follows it. Refusals are part of it.
func (w *watch) add() *watched {
	w.Helper()
	l := &watched{client: freshClient(), lane: state.Lane{Last: 7, From: 2, Refused: []byte("3=no")}}
	w.do(w.env.step(w.read(), "data", state.Move{Client: l.client, To: l.lane}))
	w.lanes = append(w.lanes, l)
	return l
}

// move makes a watched lane young.
func (w *watch) move(l *watched) {
	w.Helper()
	seq, was := l.lane.Last+1, l.lane.Refused
	l.lane = lane(seq)
	w.do(w.env.step(w.read(), "", state.Move{Client: l.client, Min: seq - 1, Max: seq - 1, Was: was, To: l.lane}))
	l.age = 0
}

// pass lets n steps of time pass.
func (w *watch) pass(n int, each func()) {
	w.Helper()
	for range n {
		w.elapse(w.step)
		if each != nil {
			each()
		}
	}
}

// elapse lets time pass, at once.
func (w *watch) elapse(d time.Duration) {
	w.Helper()
	w.opts.Shift(w, w.store, d)
	for _, l := range w.lanes {
		l.age += d
	}
	w.walk()
	w.check()
}

// jump makes the clock wrong, or right.
func (w *watch) jump(d time.Duration) {
	w.Helper()
	w.opts.Shift(w, w.store, d)
	for range 3 {
		w.walk()
		w.check()
	}
}

// walk commits to the topic.
func (w *watch) walk() {
	w.Helper()
	w.seq++
	_, made := w.doMade(w.env.step(w.read(), "", click(w.walker, w.seq)))
	if made[0] != (w.seq == 1) {
		w.Fatalf("the lane of a client that moves all the time was made anew at seq %d", w.seq)
	}
}

// check compares the lanes with what must be known of them.
func (w *watch) check() {
	w.Helper()
	late := time.Since(w.began)
	for part := range slices.Chunk(w.lanes, state.MaxMoves) {
		clients := make([]state.Client, len(part))
		for i, l := range part {
			clients[i] = l.client
		}
		for i, got := range w.peek(clients...) {
			w.checkLane(part[i], got, late)
		}
	}
}

func (w *watch) checkLane(l *watched, got state.Lane, late time.Duration) {
	w.Helper()
	known := !sameLane(got, state.Lane{})
	switch {
	case known && !sameLane(got, l.lane):
		w.Fatalf("got lane %+v, want %+v", got, l.lane)
	case known && l.gone:
		w.Fatalf("a lane is known again %v after its last move", l.age)
	case !known && l.age+late < w.lifetime:
		w.Fatalf("a lane was forgotten %v after its last move, want %v at least", l.age, w.lifetime)
	case known && l.age > 3*w.lifetime:
		w.Fatalf("a lane is still known %v after its last move, want %v at most", l.age, 3*w.lifetime)
	}
	l.gone = !known
}

// wantGone fails unless all lanes are forgotten.
func (w *watch) wantGone() {
	w.Helper()
	for _, l := range w.lanes {
		if !l.gone {
			w.Fatalf("a lane is still known after %v", l.age)
		}
	}
}
