package live

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"lockstep/htmx"
)

// maxPrivate is how many private messages may wait for one tab. A tab that
// lets more pile up does not read, and is closed.
const maxPrivate = 1024

// maxUnanswered is how many ops of one tab may be without an answer. While
// there are more, or half of maxPrivate waits, nothing is read from it: a tab
// that sends faster than it is served, or that does not read, is slowed down and
// costs bounded memory.
const maxUnanswered = 1024

// maxMalformed is how many malformed messages a tab may send. A page sends
// none; some are forgiven because a proxy or an old page may be at fault.
const maxMalformed = 16

// maxLimited is how many more messages of one tab may be refused as too many
// than are let through. An honest page keeps what was refused and waits.
const maxLimited = 4096

// A Session is the server side of one tab's connection. Its methods may be
// called concurrently, except Receive.
type Session struct {
	// What a delivery touches comes first: one line of the processor's cache.
	conn Conn // set once

	mu     sync.Mutex // guards the rest, unless its comment names another owner
	wire   *Wire
	stage  stage
	own    bool // something waits for this tab alone: private, acks or ending
	queued bool // the writer has it on a list
	busy   bool // the connection is full

	greeted bool // the tab has said what it shows, or something else
	quitted bool // it has left a room: the memory of the first ones is not used again

	tracked bool // in writer.blocked; owned by the writer
	counted bool // in watchedTabs: somebody looks

	inline [2]member // memory for those of the first rooms

	rooms    []*member
	private  []*frame // for this tab, oldest first
	acks     []pendingAck
	ending   *ending // why the session ends; nil while its stage is stageOpen
	onLeave  func()
	goneCh   chan struct{} // see leftCh
	space    chan struct{} // closed when an answer has left; nil: nobody waits for that
	since    time.Duration // of busy, on the runtime's clock
	inFlight int32         // ops that will be answered: a draining session waits for them

	malformed int16 // owned by the caller of Receive
	limited   int16 // refused as too many, less those let through; owned by the caller of Receive

	// set once
	writer *writer
	view   View
	id     uint64
}

// A pendingAck waits until the tab has been sent a frame of at least seq.
type pendingAck struct {
	op     htmx.Op
	at     revision // of the state that has the op first; of epoch 0: that is not known
	in     *member  // nil: waits for nothing
	seq    uint64
	silent bool // there is no op: what waits is the end of the session, see Finish
}

// count takes note of messages that are sent, if somebody looks. The caller holds mu.
func (s *Session) count(messages, bytes int) {
	if s.counted {
		s.writer.rt.watched.count(s, messages, bytes)
	}
}

// ID is a number that names the session in this replica's log.
func (s *Session) ID() uint64 { return s.id }

// OnLeave calls f once, when the session has ended. After the end it calls f
// at once.
func (s *Session) OnLeave(f func()) {
	s.mu.Lock()
	gone, before := s.stage == stageGone, s.onLeave
	if !gone {
		s.onLeave = f
	}
	if !gone && before != nil {
		s.onLeave = func() {
			_ = s.writer.rt.guard.Call("OnLeave", before) // it has been logged
			f()
		}
	}
	s.mu.Unlock()
	if gone {
		f()
	}
}

// A Part is a piece of a page, and where it goes: the content of the element that Target, a CSS
// selector, selects. Target must be a constant of the program, never what somebody has entered.
type Part struct {
	Target    string
	Component Component
}

// Show shows something to this tab alone, after what was shown before. The error is that of a
// component, or its panic; then nothing is shown.
func (s *Session) Show(parts ...Part) (err error) {
	defer s.writer.rt.guard.Caught("Show", &err)
	partials := make([]htmx.Partial, len(parts))
	for i, p := range parts {
		html, err := htmlOf(p.Component)
		if err != nil {
			return err
		}
		partials[i] = htmx.Partial{Target: p.Target, HTML: string(html)}
	}
	s.push(&frame{message: htmx.Fragment("", partials...)})
	return nil
}

// Tell has scripts of this tab do something: see htmx.Command.
func (s *Session) Tell(commands ...htmx.Command) {
	if message, err := htmx.Tell(commands...); err == nil {
		s.push(&frame{message: message})
	}
}

// Ready says that the connection can take more. The connection calls it, once
// for each Send that was not done.
func (s *Session) Ready() {
	s.mu.Lock()
	s.busy = false
	s.mu.Unlock()
	s.wake()
}

// Refuse tells the tab that its op is not applied, and why. With retry the tab
// keeps the op and sends it again later; without, it never will be applied.
func (s *Session) Refuse(op htmx.Op, reason string, retry bool) {
	s.writer.rt.stats.refusals.Add(1)
	build := htmx.Refuse
	if retry {
		build = htmx.Retry
	}
	s.push(&frame{message: build(s.writer.rt.Clock(), op, reason)})
}

// Settle tells the tab that its client has had the answer to an op.
func (s *Session) Settle(op htmx.Op) { s.push(&frame{message: htmx.Settled(s.writer.rt.Clock(), op)}) }

// Forget tells the tab that nobody knows any more whether its op was applied.
func (s *Session) Forget(op htmx.Op) { s.push(&frame{message: htmx.Old(s.writer.rt.Clock(), op)}) }

// Complain tells the tab what is wrong with a message that is no op.
func (s *Session) Complain(reason string) {
	s.writer.rt.stats.refusals.Add(1)
	s.push(&frame{message: htmx.Complain(reason)})
}

// Ack tells the tab at once that its op has been applied. An op whose effect
// is shown by a room is acknowledged with Rooms.Ack.
func (s *Session) Ack(op htmx.Op) { s.ack(pendingAck{op: op}) }

// BeginOp says that an op of the tab is in flight and will be answered later: a
// session that is sent away waits for it. Each BeginOp needs one EndOp, after
// the answer.
func (s *Session) BeginOp() {
	s.mu.Lock()
	s.inFlight++
	s.mu.Unlock()
}

// EndOp ends a BeginOp.
func (s *Session) EndOp() {
	s.mu.Lock()
	s.inFlight--
	s.makeSpace()
	ending := s.stage == stageEnding
	s.mu.Unlock()
	if ending {
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
	allowed, err := s.allowed()
	if err != nil {
		s.fail(err)
		return false
	}
	if !allowed {
		return s.limit(message)
	}
	e, err := htmx.ParseEvent(message)
	switch {
	case err != nil:
		return s.tolerate(message, err)
	case e.Kind == htmx.HelloEvent:
		// Mount has joined the rooms and sends what they show, which the store has
		// said after the connect. A hello needs no more than that, but where the
		// tab shows what the store has not said.
		if data := e.As == htmx.AsData; !s.switches(data) || s.mayRepeat() {
			s.sendData(data)
		}
		s.greet(e.At)
		s.writer.rt.askPaint(s)
		if e.Prove {
			s.push(&frame{message: s.writer.rt.proof()})
		}
		return true
	}
	s.greet(nil)
	if e.Kind == htmx.CastEvent && e.Do == htmx.PaintedCast {
		s.painted(e)
		return true
	}
	s.writer.rt.stats.events.Add(1)
	if err := s.guard(func() error { return s.view.HandleEvent(ctx, s, e) }); err != nil {
		s.fail(err)
		return false
	}
	return true
}

// switches reports whether a tab that has been greeted wants the other form of what it is sent:
// then it is sent all of it again.
func (s *Session) switches(itself bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.greeted && s.wire.data != itself
}

// sendData switches between HTML and, for a tab that renders itself, states.
func (s *Session) sendData(itself bool) {
	wire := s.conn.Wire()
	if itself {
		wire = wire.forData()
	}
	s.mu.Lock()
	changed := s.wire != wire
	s.wire = wire
	rooms := s.rooms[:len(s.rooms):len(s.rooms)] // is only appended to
	if changed {
		for _, m := range s.rooms {
			if m.phase == phaseBegun { // otherwise what the room has now may be older than the join
				m.sent, m.basis = 0, basisNothing // in the other form
			}
		}
	}
	s.mu.Unlock()
	if !changed {
		return
	}
	if itself {
		for _, m := range rooms {
			m.room.renderData()
		}
	}
	s.wake()
}

// admit waits until the tab may send another message: until it has taken most of
// what answers the others. It reports false when the session has ended.
func (s *Session) admit(ctx context.Context) bool {
	for {
		s.mu.Lock()
		over := s.stage != stageOpen
		full := int(s.inFlight)+len(s.acks) >= maxUnanswered || len(s.private) >= maxPrivate/2
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
		s.writer.rt.stats.failures.Add(1)
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

// tolerate refuses a malformed message, and ends a session that sends many. An op
// whose identity can be told is refused by it: what follows must not wait for it.
func (s *Session) tolerate(message []byte, err error) bool {
	s.malformed++
	if s.malformed > maxMalformed {
		s.finish(ReasonMalformed, nil)
		return false
	}
	if op, ok := htmx.OpOf(message); ok {
		s.Refuse(op, err.Error(), false)
	} else {
		s.Complain(err.Error())
	}
	return true
}

// allowed asks a view that limits what its tab sends.
func (s *Session) allowed() (ok bool, err error) {
	l, limits := s.view.(Limiter)
	if !limits {
		return true, nil
	}
	err = s.guard(func() error { ok = l.Allow(); return nil })
	if ok {
		s.limited = max(s.limited-1, 0)
	}
	return ok, err
}

// limit refuses a message that is one too many, and ends a session that goes on
// for long.
func (s *Session) limit(message []byte) bool {
	s.writer.rt.stats.limited.Add(1)
	s.limited++
	if s.limited > maxLimited {
		s.finish(ReasonTooManyMessages, nil)
		return false
	}
	if op, ok := htmx.OpOf(message); ok {
		s.Refuse(op, tooMany+"; what you did waits", true)
	} else {
		s.Complain(tooMany)
	}
	return true
}

// tooMany is what a tab is told that sends, or asks for, too much.
const tooMany = "too many messages at the moment"

// join makes the session a member of a room. It reports false when it already
// is one or has ended. Frames are held back until releaseIn.
func (s *Session) join(r *room) (*member, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage == stageGone || slices.ContainsFunc(s.rooms, func(m *member) bool { return m.room == r }) {
		return nil, false
	}
	m := s.newMember()
	*m = member{room: r, session: s, phase: phaseJoining}
	s.rooms = append(s.rooms, m)
	return m, true
}

// newMember returns memory for a member. The caller holds mu.
func (s *Session) newMember() *member {
	if n := len(s.rooms); n < len(s.inline) && !s.quitted {
		return &s.inline[n]
	}
	return new(member)
}

// releaseIn lets the frames of a room through, from the one numbered seq on. Those of items wait
// for what the tab says that it shows.
func (s *Session) releaseIn(r *room, seq uint64) {
	s.mu.Lock()
	for _, m := range s.rooms {
		if m.room != r || m.phase != phaseJoining {
			continue
		}
		m.sent, m.basis, m.phase = max(seq, 1)-1, basisNothing, phaseReady
		if r.locate != nil && !s.greeted {
			m.phase = phaseWaiting
		}
	}
	s.mu.Unlock()
	s.wake()
}

func (s *Session) push(f *frame) {
	s.mu.Lock()
	s.pushLocked(f)
	s.mu.Unlock()
	s.wake()
}

// pushLocked is push without wake. The caller holds mu.
func (s *Session) pushLocked(f *frame) {
	if s.stage >= stageShut {
		return
	}
	s.own = true
	if s.private = append(s.private, f); len(s.private) > maxPrivate {
		s.private = nil
		s.stage, s.ending = stageEnding, &ending{why: ReasonBacklog} // also in place of a reason that waits for answers
		s.makeSpace()
	}
}

func (s *Session) ack(a pendingAck) {
	s.writer.rt.stats.acks.Add(1)
	s.mu.Lock()
	s.own = true
	s.acks = append(s.acks, a)
	s.mu.Unlock()
	s.wake()
}

// ackIn acknowledges op in or after the frame of room r numbered seq. at is the state that has it
// first.
func (s *Session) ackIn(r *room, seq uint64, op htmx.Op, at revision) {
	s.mu.Lock()
	a := pendingAck{op: op, at: at, seq: seq}
	if i := slices.IndexFunc(s.rooms, func(m *member) bool { return m.room == r }); i >= 0 {
		a.in = s.rooms[i]
	}
	s.mu.Unlock()
	s.ack(a)
}

// wake makes the writer send what the session has to send. It never blocks.
func (s *Session) wake() {
	s.mu.Lock()
	idle := !s.queued && s.stage < stageShut
	s.queued = s.queued || idle
	s.mu.Unlock()
	if idle {
		s.writer.offerSession(s)
	}
}

// flush sends, in one write, what there is to send: private messages, the
// newest frame of each room that has one, and then the acknowledgements of ops
// that those frames contain. It reports whether all has been said that is to be
// said before the connection is closed. The writer calls it, with mu held.
func (s *Session) flush(w *writer) (end bool) {
	if s.busy || s.stage >= stageShut {
		return false
	}
	w.frames = append(w.frames[:0], s.private...)
	if len(s.private) > 0 {
		s.private = nil
		s.makeSpace()
	}
	for _, m := range s.rooms {
		f := m.room.frame.Load()
		if f == nil || m.phase < phaseReady || m.done(f.seq) {
			continue
		}
		if f = f.from(m, s.wire.data); f != nil {
			if f.base == 0 && m.room.locate != nil {
				w.rt.stats.wholes.Add(1)
			}
			w.frames = append(w.frames, f)
			m.room.sent(w, 1)
			m.took(f)
		}
	}
	ops := s.takeAcks()
	if len(ops) > 0 {
		for _, message := range htmx.Acks(w.rt.Clock(), ops...) {
			w.frames = append(w.frames, &frame{message: message})
		}
		s.makeSpace()
	}
	if len(w.frames) > 0 {
		w.send(s)
	}
	s.own = len(s.acks) > 0 || s.stage == stageEnding
	if s.stage != stageEnding || s.busy || !s.answered() && s.ending.why.waits() {
		return false
	}
	s.stage = stageShut
	return true
}

// answered reports whether every op of the tab has its answer. The caller holds
// mu.
func (s *Session) answered() bool { return len(s.acks) == 0 && s.inFlight == 0 }

// takeAcks removes and returns the acknowledgements that may be sent. Only a tab
// that renders itself is told which state has an op. The caller holds mu.
func (s *Session) takeAcks() (ops []htmx.Applied) {
	s.acks = slices.DeleteFunc(s.acks, func(a pendingAck) bool {
		if a.in != nil && a.in.sent < a.seq {
			return false
		}
		if !a.silent {
			is := htmx.Applied{Op: a.op}
			if s.wire.data {
				is.Epoch, is.Version = a.at[0], a.at[1]
			}
			ops = append(ops, is)
		}
		return true
	})
	if len(s.acks) == 0 {
		s.acks = nil // an idle tab holds no more than it must
	}
	return ops
}
