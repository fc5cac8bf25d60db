package live

import (
	"context"
	"math"
)

// What tabs claim.
//
// A tab that was shown what only a broadcast said may lose its connection before
// the replica has taken that back, and come to one that never heard of it. It
// drops what is older than what it shows, so it would go on showing what never
// was. Its hello says what it shows. When that is ahead of what the room knows,
// the store is asked, and if the store does not have it either the tab is sent
// the truth with "back", it alone: what a tab says is no evidence for others.

// A claim is what a member's tab says that it shows.
type claim struct {
	at    revision
	heard tick
}

// greet takes in what the tab shows, by topic. Nil: it has not said so, but something else.
func (s *Session) greet(at map[string][2]uint64) {
	s.mu.Lock()
	first := !s.greeted
	s.greeted = true
	rooms := s.rooms[:len(s.rooms):len(s.rooms)] // is only appended to
	s.mu.Unlock()
	if !first && (at == nil || s.repeats(rooms, at) && !s.mayRepeat()) {
		return
	}
	for _, m := range rooms {
		shown, ok := at[m.room.topic]
		switch {
		case m.room.locate != nil:
			s.base(m, shown, ok)
		case ok && m.room.claimed != nil:
			m.room.claimed(m, shown)
		}
	}
	s.wake()
}

// repeats reports whether a tab asks for items that it has been sent, or that nobody has.
func (s *Session) repeats(rooms []*member, at map[string][2]uint64) bool {
	for _, m := range rooms {
		shown, said := at[m.room.topic]
		if !said || m.room.locate == nil {
			continue
		}
		seq, found, ahead := m.room.locate(shown)
		s.mu.Lock()
		behind := m.phase == phaseBegun && seq < m.sent
		s.mu.Unlock()
		if ahead || !found || behind {
			return true
		}
	}
	return false
}

// mayRepeat asks a view that limits what its tab is sent again, and tells the tab if it may not.
func (s *Session) mayRepeat() bool {
	l, limits := s.view.(Repeater)
	if !limits {
		return true
	}
	var ok bool
	if err := s.guard(func() error { ok = l.Repeat(); return nil }); err != nil || !ok {
		s.writer.rt.stats.limited.Add(1)
		s.Complain(tooMany)
		return false
	}
	return true
}

// base takes in what the tab shows of a room of items, so that it is sent what has changed since.
func (s *Session) base(m *member, shown revision, said bool) {
	if !said {
		s.mu.Lock()
		if m.phase == phaseWaiting {
			m.phase = phaseReady
		}
		s.mu.Unlock()
		return
	}
	seq, found, ahead := m.room.locate(shown)
	if !ahead {
		s.start(m, seq, basisOf(shown, found))
		return
	}
	s.mu.Lock()
	if m.phase != phaseJoining {
		m.phase, m.basis = phaseAhead, basisNothing
	}
	s.mu.Unlock()
	if !m.room.claimed(m, shown) {
		s.start(m, 0, basisNothing)
	}
}

// basisOf is what is known of a tab that shows a revision, which this replica has passed or not.
func basisOf(shown revision, passed bool) basis {
	switch {
	case passed:
		return basisSent
	case shown == (revision{}):
		return basisNothing
	}
	return basisStray
}

// start has a member sent what leads from the state numbered seq, if the tab shows that.
func (s *Session) start(m *member, seq uint64, on basis) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch m.phase {
	case phaseJoining:
	case phaseBegun, phaseAhead:
		if on == basisSent && s.wire.data && seq != m.sent { // a change of a state is right from that alone
			on = basisNothing
		}
		if on != basisSent {
			seq = 0
		}
		m.sent, m.floor, m.basis, m.phase = seq, 0, on, phaseBegun
	default:
		m.phase = phaseReady
		join := m.sent
		if on != basisSent || s.wire.data || join > seq+math.MaxUint16 {
			m.basis = basisNothing
			if on == basisStray && !s.wire.data {
				m.basis = basisStray
			}
			break // what the tab shows is HTML, or old
		}
		m.sent, m.basis = seq, basisSent
		if join > seq {
			m.floor = uint16(join - seq)
		}
	}
}

// claimed has the store asked when a tab shows what is ahead of the room, and reports whether it
// is.
func (rs *Rooms[S]) claimed(r *stateRoom[S], m *member, at revision) (asks bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !at.newer(r.known.at) {
		return false
	}
	if r.claims == nil {
		r.claims = make(map[*member]claim)
	}
	r.claims[m] = claim{at, rs.clock.now()}
	if !r.asking {
		r.asking = rs.rt.spawn(func() { rs.ask(r) })
	}
	return true
}

// ask reads the store until no claim is newer than the read. When the store is
// away antiEntropy goes on.
func (rs *Rooms[S]) ask(r *stateRoom[S]) {
	for {
		got := rs.loader.get(context.Background(), r.key)
		if got.err == nil {
			rs.confirm(r, got)
		}
		if rs.asked(r, got) {
			return
		}
	}
}

// asked reports whether there is nothing more to ask for after a read, and ends
// ask if so.
func (rs *Rooms[S]) asked(r *stateRoom[S], got loaded[S]) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asking = false
	if got.err != nil {
		return true
	}
	for _, c := range r.claims {
		r.asking = r.asking || c.heard > got.began
	}
	return !r.asking
}

// answer judges the claims that were heard before a read of the store began.
func (rs *Rooms[S]) answer(r *stateRoom[S], began tick) {
	wrong, right := rs.wrong(r, began)
	for m, at := range right {
		if r.locate != nil {
			seq, known, _ := r.locate(at)
			m.session.start(m, seq, basisOf(at, known))
			m.session.wake()
		}
	}
	if len(wrong) == 0 {
		return
	}
	f, err := rs.correction(r)
	if err != nil {
		return // it has been logged
	}
	for _, m := range wrong {
		m.session.correct(m, f)
	}
}

// wrong removes those claims, and returns whose were of what never was, and what the
// others are of.
func (rs *Rooms[S]) wrong(r *stateRoom[S], began tick) (wrong []*member, right map[*member]revision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.claims) > 0 {
		right = make(map[*member]revision)
	}
	for m, c := range r.claims {
		if c.heard > began {
			continue
		}
		delete(r.claims, m)
		if c.at.newer(r.known.at) {
			wrong = append(wrong, m)
		} else {
			right[m] = c.at
		}
	}
	return wrong, right
}

// correction renders the newest state as one that takes tabs back.
func (rs *Rooms[S]) correction(r *stateRoom[S]) (*frame, error) {
	return r.renderWith(func() (*frame, error) { return rs.render(r, true) })
}

// correct sends the tab of a member back to a frame, and then the newest one if
// that is newer: what the tab was sent meanwhile it has dropped.
func (s *Session) correct(m *member, f *frame) {
	s.mu.Lock()
	if m.sent = min(m.sent, f.seq); m.room.locate != nil && m.phase != phaseJoining {
		m.took(f) // which the tab shows from now on
	}
	s.pushLocked(f)
	s.mu.Unlock()
	s.wake()
}
