package live

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"lockstep/htmx"
)

// maxPrivate is how many private messages may wait for one tab. A tab that
// lets more pile up does not read, and is closed.
const maxPrivate = 1024

// maxUnanswered is how many ops of one tab may be without an answer. While
// there are more, nothing is read from it: a tab that sends faster than it is
// served, or that does not read, is slowed down and costs bounded memory.
const maxUnanswered = 1024

// maxMalformed is how many malformed messages a tab may send. A page sends
// none; some are forgiven because a proxy or an old page may be at fault.
const maxMalformed = 16

// A Session is the server side of one tab's connection. Its methods may be
// called concurrently, except Receive.
type Session struct {
	// set once
	rt   *Runtime
	conn Conn
	view View
	id   uint64

	malformed int // owned by the caller of Receive

	mu       sync.Mutex // guards the rest
	rooms    []*member
	private  [][]byte // messages for this tab alone, oldest first
	acks     []pendingAck
	underway int  // ops that will be answered: a draining session waits for them
	sending  bool // a goroutine is in send
	closing  bool // close when nothing is left to send
	code     Code // of closing
	reason   string
	gone     bool // disconnected, or being closed
	goneCh   chan struct{}
	space    chan struct{} // closed when an answer has left; nil: nobody waits for that
	onLeave  []func()
}

// A pendingAck waits until the tab has been sent a frame of at least seq.
type pendingAck struct {
	op  string
	in  *member // nil: waits for nothing
	seq uint64
}

// ID is a number that names the session in this replica's log.
func (s *Session) ID() uint64 { return s.id }

// OnLeave has f called once, when the session has ended. After the end it is
// called at once.
func (s *Session) OnLeave(f func()) {
	s.mu.Lock()
	if !s.gone {
		s.onLeave = append(s.onLeave, f)
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	f()
}

// Push shows a fragment to this tab alone, after what was pushed before.
func (s *Session) Push(parts ...htmx.Partial) { s.push(htmx.Fragment("", parts...)) }

// Refuse tells the tab that its op will not be applied, and why. With retry
// the tab keeps the op and sends it again later.
func (s *Session) Refuse(op, reason string, retry bool) {
	s.rt.stats.refusals.Add(1)
	s.push(htmx.Refuse(reason, op, retry))
}

// Ack tells the tab at once that its op has been applied. An op whose effect
// is shown by a room is acknowledged with Rooms.Ack.
func (s *Session) Ack(op string) { s.ack(pendingAck{op: op}) }

// Hold says that an op of the tab is under way and will be answered later: a
// session that is sent away waits for it. Each Hold needs one Release, after
// the answer.
func (s *Session) Hold() {
	s.mu.Lock()
	s.underway++
	s.mu.Unlock()
}

// Release ends a Hold.
func (s *Session) Release() {
	s.mu.Lock()
	s.underway--
	s.makeSpace()
	wake := s.closing
	s.mu.Unlock()
	if wake {
		s.wake()
	}
}

// Receive handles one message of the tab. The transport calls it for one
// message after the other, never concurrently. It reports false when the
// session has ended, so that the transport stops reading.
func (s *Session) Receive(ctx context.Context, message []byte) bool {
	if !s.admit(ctx) {
		return false
	}
	e, err := htmx.ParseEvent(message)
	switch {
	case err != nil:
		return s.tolerate(err)
	case e.Hello:
		// Mount has joined the rooms and sends what they show; a hello needs
		// no more than that, because the store was read after the connect.
		return true
	}
	s.rt.stats.events.Add(1)
	if err := s.guard(func() error { return s.view.HandleEvent(ctx, s, e) }); err != nil {
		s.fail(err)
		return false
	}
	return true
}

// Disconnect ends the session: it leaves its rooms. The transport calls it
// when the connection has ended. Calling it twice is harmless.
func (s *Session) Disconnect() {
	s.mu.Lock()
	if s.gone {
		s.mu.Unlock()
		return
	}
	s.gone = true
	rooms, hooks := s.rooms, s.onLeave
	s.rooms, s.onLeave, s.private, s.acks = nil, nil, nil, nil
	if s.goneCh != nil {
		close(s.goneCh)
	}
	s.makeSpace()
	s.mu.Unlock()

	for _, m := range rooms {
		m.room.remove(m)
	}
	for _, f := range hooks {
		f()
	}
	s.rt.forget(s)
}

// admit waits until the tab may send another message. It reports false when the
// session has ended.
func (s *Session) admit(ctx context.Context) bool {
	for {
		s.mu.Lock()
		over := s.gone || s.closing
		full := s.underway+len(s.acks) >= maxUnanswered
		if full && s.space == nil {
			s.space = make(chan struct{})
		}
		space := s.space
		s.mu.Unlock()
		if over || !full {
			return !over
		}
		select {
		case <-space:
		case <-ctx.Done():
			return false
		}
	}
}

// makeSpace wakes admit. The caller holds mu.
func (s *Session) makeSpace() {
	if s.space != nil {
		close(s.space)
		s.space = nil
	}
}

// mount runs the view's Mount.
func (s *Session) mount(ctx context.Context) error {
	err := s.guard(func() error { return s.view.Mount(ctx, s) })
	if err != nil {
		s.rt.stats.failures.Add(1)
	}
	return err
}

// guard turns a panic of a view into an error with its stack, so that it ends
// this session and nothing else.
func (s *Session) guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}

func (s *Session) fail(err error) {
	if errors.Is(err, context.Canceled) {
		return // the connection has ended
	}
	s.rt.stats.failures.Add(1)
	s.rt.log.Error("view failed", "session", s.id, "err", err)
	s.finish(CodeInternal, "this page failed")
}

// tolerate refuses a malformed message, and a tab that sends many.
func (s *Session) tolerate(err error) bool {
	s.malformed++
	if s.malformed > maxMalformed {
		s.rt.log.Info("closing a tab that sends nonsense", "session", s.id)
		s.finish(CodeAbuse, "too many malformed messages")
		return false
	}
	s.Refuse("", err.Error(), false)
	return true
}

func (s *Session) over() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone || s.closing
}

// join makes the session a member of a room. It reports false when it already
// is one or has ended. Frames are held back until release.
func (s *Session) join(r *room) (*member, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone || slices.ContainsFunc(s.rooms, func(m *member) bool { return m.room == r }) {
		return nil, false
	}
	m := &member{room: r, session: s, held: true}
	s.rooms = append(s.rooms, m)
	return m, true
}

// releaseIn lets the frames of a room through, from the one numbered seq on.
func (s *Session) releaseIn(r *room, seq uint64) {
	s.mu.Lock()
	for _, m := range s.rooms {
		if m.room == r && m.held {
			m.held = false
			m.sent = max(seq, 1) - 1
		}
	}
	s.mu.Unlock()
	s.wake()
}

func (s *Session) push(message []byte) {
	s.mu.Lock()
	s.private = append(s.private, message)
	s.mu.Unlock()
	s.wake()
}

func (s *Session) ack(a pendingAck) {
	s.rt.stats.acks.Add(1)
	s.mu.Lock()
	s.acks = append(s.acks, a)
	s.mu.Unlock()
	s.wake()
}

// ackIn acknowledges op in or after the frame of room r numbered seq.
func (s *Session) ackIn(r *room, seq uint64, op string) {
	s.mu.Lock()
	a := pendingAck{op: op, seq: seq}
	if i := slices.IndexFunc(s.rooms, func(m *member) bool { return m.room == r }); i >= 0 {
		a.in = s.rooms[i]
	}
	s.mu.Unlock()
	s.ack(a)
}

// wake has the session send what it has to. It never blocks.
//
// Sending runs in a goroutine that exists only while there is something to
// send: an idle tab costs none, and a slow one holds up nobody else.
func (s *Session) wake() {
	s.mu.Lock()
	idle := !s.sending && !s.gone
	if idle {
		s.sending = true
	}
	s.mu.Unlock()
	if idle && !s.rt.spawn(s.send) {
		s.mu.Lock()
		s.sending = false
		s.mu.Unlock()
	}
}

// send writes until nothing is left.
func (s *Session) send() {
	for {
		messages, over := s.next()
		if over {
			return
		}
		if len(messages) == 0 {
			s.conn.Close(s.code, s.reason) // next has seen closing: code no longer changes
			s.Disconnect()
			return
		}
		for _, m := range messages {
			if !s.write(m) {
				return
			}
		}
	}
}

func (s *Session) write(message []byte) bool {
	ctx, cancel := context.WithTimeout(context.Background(), s.rt.opts.SendTimeout)
	defer cancel()
	if err := s.conn.Send(ctx, message); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			s.rt.stats.stalled.Add(1)
			s.rt.log.Info("closing a stalled tab", "session", s.id)
		}
		s.conn.Close(CodeOverload, "too slow")
		s.Disconnect()
		return false
	}
	s.rt.stats.messages.Add(1)
	s.rt.stats.bytes.Add(uint64(len(message)))
	return true
}

// next takes what is to be sent now: private messages, the newest frame of
// each room that has one, and then the acknowledgements that those frames
// bear out. over means that the sending goroutine is to end; no message
// without over means that the connection is to be closed.
func (s *Session) next() (messages [][]byte, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		s.sending = false
		return nil, true
	}
	if len(s.private) > maxPrivate {
		s.closing, s.code, s.reason = true, CodeOverload, "too slow"
		s.private, s.acks = nil, nil
		return nil, false
	}
	messages, s.private = s.private, nil
	for _, m := range s.rooms {
		if f := m.room.frame.Load(); f != nil && f.seq > m.sent && !m.held {
			messages = append(messages, f.message)
			m.sent = f.seq
		}
	}
	if ops := s.takeAcks(); len(ops) > 0 {
		messages = append(messages, htmx.Ack(ops...))
		s.makeSpace()
	}
	answered := len(s.acks) == 0 && s.underway == 0
	if len(messages) > 0 || s.closing && (answered || s.code != CodeRestart) {
		return messages, false
	}
	s.sending = false
	return nil, true
}

// takeAcks removes and returns the acknowledgements that may be sent. The
// caller holds mu.
func (s *Session) takeAcks() (ops []string) {
	s.acks = slices.DeleteFunc(s.acks, func(a pendingAck) bool {
		if a.in != nil && a.in.sent < a.seq {
			return false
		}
		ops = append(ops, a.op)
		return true
	})
	return ops
}

// finish closes the connection when what waits to be sent has been sent.
// Further events are not handled.
func (s *Session) finish(code Code, reason string) {
	s.mu.Lock()
	if !s.closing {
		s.closing, s.code, s.reason = true, code, reason
	}
	s.makeSpace()
	s.mu.Unlock()
	s.wake()
}

// kill closes the connection at once.
func (s *Session) kill(code Code, reason string) {
	s.Disconnect()
	s.conn.Close(code, reason)
}

// left waits until the session has ended, or returns ctx's error.
func (s *Session) left(ctx context.Context) error {
	s.mu.Lock()
	if s.gone {
		s.mu.Unlock()
		return nil
	}
	if s.goneCh == nil {
		s.goneCh = make(chan struct{})
	}
	ch := s.goneCh
	s.mu.Unlock()
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
