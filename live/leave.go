package live

import "slices"

// Leave has the tab of s shown nothing more of the room of key: what it shows of it, it may take
// away. Acknowledgements that wait for the room are sent. A room that the tab is not in it can't
// leave, which is harmless.
func (rs *Rooms[S]) Leave(s *Session, key string) {
	if r := rs.room(key); r != nil {
		s.quit(&r.room)
	}
}

// quit takes the session out of a room.
func (s *Session) quit(r *room) {
	s.mu.Lock()
	i := slices.IndexFunc(s.rooms, func(m *member) bool { return m.room == r })
	if i < 0 {
		s.mu.Unlock()
		return
	}
	m := s.rooms[i]
	m.phase = phaseJoining // a pass that is on its way gives it nothing
	// Others read the rooms as they were, and what the member was in may be read for a while.
	s.rooms, s.quitted = slices.Delete(slices.Clone(s.rooms), i, i+1), true
	for j := range s.acks {
		if s.acks[j].in == m {
			s.acks[j].in = nil
		}
	}
	s.mu.Unlock()
	r.remove(m)
	s.wake()
}
