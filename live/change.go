package live

import (
	"math"
	"slices"

	"lockstep/htmx"
)

// What a room does with a change in place of a state.
//
// A broadcast, and a commit of a log, may say only what has changed since another version. A room
// that has exactly that makes the state of it. One that lacks it keeps the change, has the store
// read, once for all of its tabs, and goes on from there: changes that came early fit then, or are
// not needed any more. What is made of a change is no better known than what it was made from:
// while that is provisional, it is, too, and the next read replaces both (truth.go).
//
// While a room does not show what its own replica has committed, it owes that: the acknowledgement
// waits for the state that contains the op.

// maxEarly bounds the changes of a room that came before what they lead from. Older ones are
// forgotten: the store is read.
const maxEarly = 64

// An early is a change that a room can't take yet.
type early[S any] struct {
	known[S]
	heard tick
}

// A debt is the acknowledgement of an op that a room does not show yet.
type debt struct {
	session *Session
	op      htmx.Op
	at      revision
}

// never is the seq of what an acknowledgement waits for while that is not known.
const never = math.MaxUint64

// apply returns the state that k is, or leads to; false: the store is to be read.
func (rs *Rooms[S]) apply(r *stateRoom[S], k known[S]) (made known[S], provisional, ok bool) {
	if rs.opts.Apply == nil {
		return k, false, true
	}
	r.mu.Lock()
	was, provisional := r.known, r.hearsay.at != 0
	r.mu.Unlock()
	made = k
	err := rs.rt.guard.Call("Apply", func() { made.state, ok = rs.opts.Apply(was.state, k.state) })
	return made, provisional, ok && err == nil
}

// keep keeps a change until what it leads from is known.
func (rs *Rooms[S]) keep(r *stateRoom[S], k known[S], heard tick) {
	if rs.opts.Apply == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.early) == maxEarly {
		r.early = slices.Delete(r.early, 0, maxEarly/2)
	}
	r.early = append(r.early, early[S]{k, heard})
}

// owe is called when the room can't show what its own replica has committed.
func (rs *Rooms[S]) owe(r *stateRoom[S], k known[S]) {
	r.mu.Lock()
	news := k.newer(r.known)
	if news && k.at.newer(r.owed) {
		r.owed = k.at
	}
	r.mu.Unlock()
	if !news {
		return
	}
	heard := rs.clock.now()
	rs.keep(r, k, heard)
	rs.seek(r, heard, false)
}

// advance takes the changes that fit now, and pays what the room has owed. It is called when the
// state is a newer one.
func (rs *Rooms[S]) advance(r *stateRoom[S]) {
	for rs.step(r) {
	}
	r.mu.Lock()
	var paid []debt
	seq := r.seq
	r.debts = slices.DeleteFunc(r.debts, func(d debt) bool {
		if d.at.newer(r.known.at) {
			return false
		}
		paid = append(paid, d)
		return true
	})
	r.mu.Unlock()
	for _, d := range paid {
		d.session.due(d.op, seq)
	}
}

// step takes one change, and reports whether there was one that fits.
func (rs *Rooms[S]) step(r *stateRoom[S]) bool {
	r.mu.Lock()
	r.early = slices.DeleteFunc(r.early, func(e early[S]) bool { return r.seq > 0 && !e.newer(r.known) })
	all := slices.Clone(r.early)
	r.mu.Unlock()
	for _, e := range all {
		if rs.judge(r, e.known, true) != believed {
			continue
		}
		if made, _, ok := rs.apply(r, e.known); ok {
			rs.hear(r, made, hearsay{e.heard})
			return true
		}
	}
	return false
}

// ackOwed acknowledges an op when the room shows what it owes now. It reports false when it owes
// nothing.
func (rs *Rooms[S]) ackOwed(r *stateRoom[S], s *Session, op htmx.Op, at revision) bool {
	r.mu.Lock()
	owed, owes := r.owed, r.owed.newer(r.known.at)
	r.mu.Unlock()
	if !owes {
		return false
	}
	s.ackIn(&r.room, never, op, at)
	r.mu.Lock()
	r.debts = append(r.debts, debt{s, op, owed})
	r.mu.Unlock()
	rs.advance(r) // it may have been paid meanwhile
	return true
}

// due says what the acknowledgement of an op waits for, that could not be told before.
func (s *Session) due(op htmx.Op, seq uint64) {
	s.mu.Lock()
	for i := range s.acks {
		if a := &s.acks[i]; a.op == op && a.seq == never {
			a.seq = seq
		}
	}
	s.mu.Unlock()
	s.wake()
}
