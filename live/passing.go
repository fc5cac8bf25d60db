package live

import "slices"

// Passing is implemented by a View whose session may be of a tab that is
// connected in another way already, or comes and goes: see live/httplive; or
// of a program that looks on, and is no tab.
type Passing interface {
	// Passing reports whether the session is one request and its answer, or a
	// program's. Such a session is no tab of its own: nobody counts it, and it is
	// shown nothing of the replica that serves it. The answer is always the same; it may be called
	// concurrently, and must not block.
	Passing() bool
}

// Passing reports whether the session is no tab of its own; see the interface.
func (s *Session) Passing() bool {
	p, ok := s.view.(Passing)
	return ok && p.Passing()
}

// Finish ends a session whose tab sends no more, with ReasonAnswered, when all
// that it has sent is answered, and when it has been sent the states that its
// rooms have now, or newer ones. Rooms whose states have no version are not
// waited for: they may be shown seldom. It does not block.
func (s *Session) Finish() {
	s.greet(nil)
	s.mu.Lock()
	rooms := slices.Clone(s.rooms)
	s.mu.Unlock()
	for _, m := range rooms {
		if !m.room.versioned {
			continue
		}
		m.room.mu.Lock()
		seq := m.room.seq
		m.room.mu.Unlock()
		s.mu.Lock()
		s.acks = append(s.acks, pendingAck{in: m, seq: seq, silent: true})
		s.mu.Unlock()
	}
	s.finish(ReasonAnswered, nil)
}
