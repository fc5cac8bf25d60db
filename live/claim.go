package live

import "context"

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

// claim takes in what the tab shows, by topic.
func (s *Session) claim(at map[string][2]uint64) {
	s.mu.Lock()
	rooms := s.rooms[:len(s.rooms):len(s.rooms)] // is only appended to
	s.mu.Unlock()
	for _, m := range rooms {
		if shown, ok := at[m.room.topic]; ok && m.room.claimed != nil {
			m.room.claimed(m, shown)
		}
	}
}

// claimed has the store asked when a tab shows what is ahead of the room.
func (rs *Rooms[S]) claimed(r *stateRoom[S], m *member, at revision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !at.newer(r.known.at) {
		return
	}
	if r.claims == nil {
		r.claims = make(map[*member]claim)
	}
	r.claims[m] = claim{at, rs.clock.now()}
	if !r.asking {
		r.asking = rs.rt.spawn(func() { rs.ask(r) })
	}
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
	wrong := rs.wrong(r, began)
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

// wrong removes those claims, and returns whose were of what never was.
func (rs *Rooms[S]) wrong(r *stateRoom[S], began tick) (all []*member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for m, c := range r.claims {
		if c.heard > began {
			continue
		}
		delete(r.claims, m)
		if c.at.newer(r.known.at) {
			all = append(all, m)
		}
	}
	return all
}

// correction renders the newest state as one that takes tabs back.
func (rs *Rooms[S]) correction(r *stateRoom[S]) (*frame, error) {
	return r.renderWith(func() (*frame, error) { return rs.render(r, true) })
}

// correct sends the tab of a member back to a frame, and then the newest one if
// that is newer: what the tab was sent meanwhile it has dropped.
func (s *Session) correct(m *member, f *frame) {
	s.mu.Lock()
	m.sent = min(m.sent, f.seq)
	s.pushLocked(f)
	s.mu.Unlock()
	s.wake()
}
