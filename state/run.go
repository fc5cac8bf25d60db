package state

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// A run is one computation of a try: it judges the ops, runs their actions, and
// makes the step. It changes nothing but itself, for an action that never
// returns keeps it.
type run struct {
	basis
	b   *Batcher
	t   *try        // is not looked at: it goes on when the run is given up
	ops []submitted // of the try, when the run began
	now time.Time

	views views       // what is known of lanes
	moved []*laneView // which are moved, in that order

	// The state of the basis is that after accepted; not valid while spoilt.
	accepted []int    // ops that were applied
	log      appended // what they have appended
	left     int      // ops from here on are for the next step: the log takes no more; len(ops): none are
	// saved is what the state was written as after the first of accepted, so that
	// each runs again once at most, however many actions fail. Nil: nothing was.
	saved    []byte
	savedLog appended
	savedAt  int   // how many of accepted
	spoilt   bool  // an action has failed: it may have changed the state that it was given
	told     []any // by the action that runs, or has run last
	fouled   bool  // that was the state of the try, which others may have
	broken   bool  // nothing can come of it: all is put off
	recheck  bool  // it is to be run again, with care: the state is too large, or can't be written
	asking   bool  // lanes have to be read first
	unsure   bool  // so they have, unless the step is done

	stage atomic.Int32 // see watch
	at    atomic.Int32 // the op whose action runs
	since atomic.Int64 // when that began, in ns by the monotonic clock

	// What came of it.
	answers []Answer
	step    Step
	base    any  // the state that it began with
	look    bool // step only reads lanes
	fresh   int  // ops that are dealt with for the first time

	// one is the room of a run of one op, as most are.
	one struct {
		view   [1]laneView
		answer [1]Answer
		move   [1]Move
	}
}

func newRun(b *Batcher, t *try) *run {
	r := &run{basis: t.basis, b: b, t: t, ops: t.ops, left: len(t.ops), now: b.opts.Clock()}
	if len(t.ops) == 1 {
		r.views.list, r.answers = r.one.view[:0], r.one.answer[:]
		return r
	}
	r.views, r.answers = newViews(len(t.ops)), make([]Answer, len(t.ops))
	return r
}

// reduce computes.
func (r *run) reduce() {
	if !r.known {
		r.lookAt()
		return
	}
	if r.state == nil && !r.restore() {
		return
	}
	r.base = r.state
	for i := 0; i < r.left; i++ {
		if r.stage.Load() != running || r.recheck {
			return // it was given up, or is in vain
		}
		r.judge(i)
	}
	switch {
	case r.broken, r.recheck:
	case r.asking, r.unsure && len(r.moved) == 0:
		r.lookAt()
	case len(r.moved) > 0:
		r.makeStep()
	}
}

// lookAt makes the step one that reads the lanes of all clients.
func (r *run) lookAt() {
	r.look = true
	r.step.Topic, r.step.Base = r.topic, r.record
	clients := newViews(len(r.ops))
	for i := range r.ops {
		c := r.ops[i].op.Client
		if _, known := clients.of(c); !known {
			r.step.Moves = append(r.step.Moves, Move{Client: c, Min: 1, To: Lane{Last: 1, From: 1}})
		}
	}
}

// makeStep makes the step of what was computed.
func (r *run) makeStep() {
	r.step.Topic, r.step.Base = r.topic, r.record
	if len(r.accepted) > 0 {
		if r.spoilt && !r.replay() {
			return
		}
		data, err := r.written()
		if err != nil || len(data) > r.kind.most() {
			r.distrust(err)
			return
		}
		r.step.Data = data
		r.step.Log, r.step.Keep = r.log.entries, r.log.keep
	}
	if r.step.Moves = r.one.move[:]; len(r.moved) > 1 {
		r.step.Moves = make([]Move, len(r.moved))
	}
	for i, l := range r.moved {
		l.step(&r.step.Moves[i])
	}
}

// distrust has the ops run again, each looked at for what it makes too large, or
// such that it can't be written, which is err. When they were, the codec does not
// write the same for the same state, or nothing at all.
func (r *run) distrust(err error) {
	if !r.careful {
		r.recheck = true
		return
	}
	if err == nil {
		err = errors.New("a state has two lengths: the codec is not pure")
	}
	err = fmt.Errorf("state: a state of %s can't be written: %w", r.kind.name(), err)
	r.b.opts.Logger.Error("a codec fails", "topic", r.topic, "err", err)
	r.breakOff(Answer{Reason: ReasonAway, Err: err})
}

// judge says what becomes of an op.
func (r *run) judge(i int) {
	s, op := &r.ops[i], &r.ops[i].op
	l := r.lane(op)
	j := judge{now: r.now, lifetime: r.b.opts.OpLifetime}
	switch j.of(op, s.at, l) {
	case isDone:
		r.answers[i] = l.done(op)
		r.asking = r.asking || l.guessed && op.Seq <= l.max // its From may be higher
		// A final answer rests on what the store said after the op had come, or
		// will say when the step is done.
		r.unsure = r.unsure || l.asked.Before(s.at)
	case isOld:
		r.answers[i] = Answer{Verdict: Old}
		r.asking = r.asking || l.guessed && !l.moved
		r.unsure = r.unsure || l.asked.Before(s.at)
	case isEarly:
		r.answers[i] = Answer{Reason: ReasonEarly}
	case isStale:
		r.answers[i] = Answer{Reason: ReasonStale}
	case isNext:
		r.apply(i, l)
	}
}

// lane returns what is known of the lane of an op's client.
func (r *run) lane(op *Op) *laneView {
	l, known := r.views.of(op.Client)
	if known && (!l.guessed || l.moved) {
		return l
	}
	if said := r.lanes[op.Client]; said != nil {
		l.see(said)
	} else {
		l.guess(op)
	}
	return l
}

// apply runs the action of an op that is the next of its lane.
func (r *run) apply(i int, l *laneView) {
	if r.broken {
		return
	}
	op := &r.ops[i].op
	reason := r.attempt(i)
	told := r.told
	if r.broken || r.recheck || r.left == i {
		return
	}
	before := l.moved
	if !l.move(op, reason) {
		r.answers[i] = Answer{Reason: ReasonEarly} // the client has to say first which answers it has
		return
	}
	if !before {
		r.moved = append(r.moved, l)
	}
	r.fresh++
	if reason != nil {
		r.answers[i] = Answer{Verdict: Refused, Reason: *reason}
		return
	}
	r.answers[i] = Answer{Verdict: Ack, Told: told}
	r.accepted = append(r.accepted, i)
}

// applied notes in the answers which state has the ops that were applied, once it is stored.
func (r *run) applied(in Record) {
	for _, i := range r.accepted {
		r.answers[i].Epoch, r.answers[i].Version = in.Epoch, in.Version
	}
}

// attempt runs the action of an op on the state. It returns why the op is refused,
// or nil.
func (r *run) attempt(i int) *string {
	op := &r.ops[i].op
	if op.Do == Void {
		return reasonOf(ReasonWithdrawn)
	}
	if r.b.isFailed(r.topic, op) {
		return reasonOf(ReasonFailed)
	}
	var err error
	for range tries {
		if r.spoilt && !r.replay() {
			return nil
		}
		var next any
		var log appended
		var failed bool
		if next, log, failed, err = r.act(i); err == nil {
			failed, err = r.fits(next, log)
		}
		if err == nil {
			if !r.hasRoom(log) {
				r.left = i
				return nil
			}
			r.state = next
			r.log.add(log)
			return nil
		}
		if failed || !r.kind.shares() {
			r.spoilt, r.fouled = true, true
		}
		if r.broken {
			return nil
		}
		if !failed {
			return reasonOf(clip(err.Error())) // as it is kept: it is the answer for good
		}
	}
	r.b.hasFailed(r.topic, op)
	r.b.opts.Logger.Error("an action fails, and its op is refused", "topic", r.topic, "action", op.Do, "err", err)
	return reasonOf(ReasonFailed)
}

// tries is how often an action may panic, take too long, or return what can't be
// written, before its op is refused for good.
const tries = 3

func reasonOf(s string) *string { return &s }

// hasRoom reports whether the step can take what an op has appended.
func (r *run) hasRoom(log appended) bool {
	return len(r.log.entries)+len(log.entries) <= MaxLog && r.log.size()+log.size() <= MaxData-r.kind.most()
}

// act runs the action of an op on the state. log is what it has appended.
func (r *run) act(i int) (next any, log appended, panicked bool, err error) {
	op := &r.ops[i].op
	r.since.Store(int64(time.Since(r.b.began)))
	r.at.Store(int32(i) + 1)
	r.told = nil
	defer r.at.Store(0)
	panicked = true
	defer r.b.guard.Caught("an action", &err)
	next, err = r.kind.act(r.state, op, Call{
		Topic: r.topic, Key: r.key, User: op.User, UserName: op.UserName, Op: op.Name(), At: r.now, told: &r.told,
	})
	if err == nil {
		next, log, err = r.kind.take(next, r.now)
	}
	return next, log, false, err
}

// fits returns an error for the person who acted when what is appended is too much.
// With care it looks at the state, too: it is one when that is too large, and failed
// when it can't be written. That is the op's doing, unless it is so with the state
// that the store has, too: then nothing can come of the run.
func (r *run) fits(s any, log appended) (failed bool, err error) {
	if len(log.entries) > MaxLog || log.size() > r.kind.most() {
		return false, errTooLarge
	}
	if !r.careful {
		return false, nil
	}
	data, err := r.write(s)
	switch {
	case err != nil:
		if r.unwritable() {
			r.distrust(err)
		}
		return true, err
	case len(data) > r.kind.most():
		return false, errTooLarge
	}
	if !r.hasRoom(log) {
		return false, nil // it is not for this step
	}
	r.saved, r.savedLog, r.savedAt = data, r.log, len(r.accepted)+1 // with the op, which is accepted now
	r.savedLog.add(log)
	return false, nil
}

// unwritable reports whether what was read from the record can't be written.
func (r *run) unwritable() bool {
	s, err := r.read()
	if err == nil {
		_, err = r.write(s)
	}
	return err != nil
}

// restore makes the state what the record says, or what was saved since. It
// reports false when nothing can be made of that.
func (r *run) restore() bool {
	s, err := r.read()
	if err != nil {
		reason := ReasonAway
		if isLater(err) {
			reason = ReasonLater
		}
		r.b.opts.Logger.Error("a state can't be read", "topic", r.topic, "err", err)
		r.breakOff(Answer{Reason: reason, Err: err})
		return false
	}
	r.state, r.spoilt = s, false
	r.log = r.savedLog
	return true
}

// replay makes the state anew, as it is after the ops that were applied.
func (r *run) replay() bool {
	if !r.restore() {
		return false
	}
	for _, i := range r.accepted[r.savedAt:] {
		next, log, _, err := r.act(i)
		if err != nil {
			err = fmt.Errorf("state: the action %q of %s is not pure: it failed when it was run again: %w", r.ops[i].op.Do, r.kind.name(), err)
			r.b.opts.Logger.Error("an action is not pure", "topic", r.topic, "err", err)
			r.breakOff(Answer{Reason: ReasonAway, Err: err})
			return false
		}
		r.state = next
		r.log.add(log)
	}
	return r.save()
}

// save writes the state, if there are ops in it that would have to be run again
// else. It reports false when it can't be written.
func (r *run) save() bool {
	if r.savedAt == len(r.accepted) {
		return true
	}
	data, err := r.written()
	if err != nil {
		r.distrust(err)
		return false
	}
	r.saved, r.savedLog, r.savedAt = data, r.log, len(r.accepted)
	return true
}

// breakOff puts all ops off.
func (r *run) breakOff(a Answer) {
	r.broken = true
	for i := range r.answers {
		r.answers[i] = a
	}
}

// begun returns the state that the run began with, or nil when an action has failed
// since, which may have changed it.
func (r *run) begun() any {
	if r.fouled {
		return nil
	}
	return r.base
}

// result returns the state after the step, or nil when it has to be read.
func (r *run) result() any {
	if r.spoilt {
		return nil
	}
	return r.state
}

func (r *run) read() (any, error) {
	if r.saved != nil {
		return r.b.guard.read(r.kind, r.saved)
	}
	return r.b.guard.read(r.kind, r.record.Data)
}

func (r *run) written() ([]byte, error) { return r.write(r.state) }

func (r *run) write(s any) ([]byte, error) { return r.b.guard.write(r.kind, s) }
