package live

import (
	"context"
	"errors"
)

// A stage is where a session is in its life. It only grows.
type stage uint8

const (
	// stageOpen: messages of the tab are handled and it is sent frames.
	stageOpen stage = iota
	// stageEnding, from finish or a backlog on: no message is handled any more.
	// What waits for the tab is still sent, and before it is sent elsewhere its
	// ops are answered.
	stageEnding
	// stageShut, when all of that has been said or can't be: nothing is sent any
	// more, and the connection is told to close.
	stageShut
	// stageGone, from Disconnect on: the session is in no room, and its reason
	// has been logged and counted.
	stageGone
)

// An ending is how a session ends. It may change until stageShut, for a reason
// that is more pressing.
type ending struct {
	why Reason
	err error // what the view failed with; nil: it did not
}

// Disconnect ends the session: it leaves its rooms. The transport calls it
// when the connection has ended, and says why, which counts if the runtime has
// not ended the session before. Calling it twice is harmless.
func (s *Session) Disconnect(why Reason) {
	s.mu.Lock()
	if s.stage == stageGone {
		s.mu.Unlock()
		return
	}
	if s.stage == stageEnding && s.ending.why == ReasonAnswered {
		s.ending = &ending{why: why} // it has not come to that
	}
	s.end(why, nil)
	s.stage = stageGone
	e, rooms, hook := s.ending, s.rooms, s.onLeave
	s.rooms, s.onLeave, s.private, s.acks = nil, nil, nil, nil
	s.mu.Unlock()

	for _, m := range rooms {
		m.room.remove(m)
	}
	if hook != nil {
		_ = s.writer.rt.guard.Call("OnLeave", hook) // it has been logged, and the session is gone all the same
	}
	s.writer.rt.forget(s, e)
	close(s.leftCh())
}

// leftCh returns what is closed when the session is gone, and its reason counted.
func (s *Session) leftCh() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.goneCh == nil {
		s.goneCh = make(chan struct{})
	}
	return s.goneCh
}

// end begins to end an open session, and wakes what waits in admit. The caller
// holds mu.
func (s *Session) end(why Reason, err error) {
	if s.stage == stageOpen {
		s.stage, s.ending, s.own = stageEnding, &ending{why, err}, true
	}
	s.makeSpace()
}

// finish closes the connection when what waits to be sent has been sent.
func (s *Session) finish(why Reason, err error) {
	s.mu.Lock()
	s.end(why, err)
	s.mu.Unlock()
	s.wake()
}

// fail ends a session whose view has failed.
func (s *Session) fail(err error) {
	if errors.Is(err, context.Canceled) {
		return // the connection has ended
	}
	s.writer.rt.stats.failures.Add(1)
	s.finish(ReasonViewFailed, err)
}

// kill closes the connection at once.
func (s *Session) kill(why Reason, err error) {
	s.mu.Lock()
	s.shut(why, err)
	s.mu.Unlock()
	s.conn.Close(why)
	s.Disconnect(why)
}

// shut makes this the end: nothing is sent any more. It reports false when
// that was so before. The caller holds mu, and closes the connection.
func (s *Session) shut(why Reason, err error) bool {
	if s.stage >= stageShut {
		return false
	}
	s.stage, s.ending = stageShut, &ending{why, err}
	s.makeSpace()
	return true
}

// ended reports whether the session handles no more messages.
func (s *Session) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stage != stageOpen
}

// left waits until the session is gone, and its reason counted, or returns ctx's error.
func (s *Session) left(ctx context.Context) error {
	select {
	case <-s.leftCh():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
