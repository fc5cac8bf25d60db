package browser

import (
	"lockstep/tools/loadgen/load/protocol"
)

// read reads what the socket has.
func (t *tab) read(l *loop) {
	n, err := t.conn.read(l.buffer)
	if err != nil {
		t.lost(l, err)
		return
	}
	if n > 0 {
		t.feed(l, l.buffer[:n])
	}
}

// feed takes bytes of the socket. It copies what it keeps.
func (t *tab) feed(l *loop, b []byte) {
	l.seen.Counts.Bytes += int64(len(b))
	l.replicas[t.replica].seen.Bytes += int64(len(b))
	if len(t.in) > 0 {
		t.in = append(t.in, b...)
		b = t.in
	}
	for {
		f, size, err := nextFrame(b)
		if err != nil {
			l.violate(RuleRead, "tab %d of %s: %v", t.slot, t.view.Replica, err)
			t.lost(l, err)
			return
		}
		if size == 0 {
			break
		}
		if t.frame(l, f); t.conn == nil {
			return
		}
		b = b[size:]
	}
	if len(b) == 0 {
		t.in = nil
		return
	}
	t.in = append(t.in[:0], b...)
}

// frame handles one frame.
func (t *tab) frame(l *loop, f frame) {
	switch {
	case f.op == opPing:
		if err := t.conn.write(appendFrame(nil, opPong, f.payload, l.chance)); err != nil {
			t.lost(l, err)
		}
	case f.op == opPong:
	case f.op == opClose:
		t.closed(l, closeCode(f.payload))
	case f.fin && f.op != opContinuation:
		t.receive(l, f.payload)
	case len(t.message)+len(f.payload) > maxMessage:
		t.lost(l, errTooLong)
	default:
		t.message = append(t.message, f.payload...)
		if f.fin {
			whole := t.message
			t.message = nil
			t.receive(l, whole)
		}
	}
}

// receive handles one message of a connection on which messages come in order.
func (t *tab) receive(l *loop, message []byte) { t.take(l, message, nil) }

// A sequence is the states in one answer over plain HTTP, which are in order. A tab has several
// answers at once, and what it is shown by one and by another is not. Its loop owns it.
type sequence struct {
	newest protocol.State
	any    bool
}

// backwards reports whether a state, which is the next, is older than the one before.
func (q *sequence) backwards(s protocol.State) bool {
	before, after := q.newest, q.any
	q.newest, q.any = s, true
	return after && s.Older(before)
}

// take handles one message, of a sequence or, if that is nil, of the connection.
func (t *tab) take(l *loop, message []byte, q *sequence) {
	now := l.fleet.now()
	m := l.cache.get(message)
	if m == nil {
		parsed, err := l.fleet.config.Protocol.Read(t.view, message)
		if err != nil {
			l.violate(RuleRead, "tab %d of %s: %v", t.slot, t.view.Replica, err)
			return
		}
		m = &parsed
		if len(m.Acks) == 0 && m.Answer == protocol.NoAnswer && m.Clock == 0 { // the others are one tab's
			l.cache.put(message, m)
		}
	}
	t.receivedAt = now
	if m.Status != protocol.StatusUnknown {
		t.live, t.beat = m.Status == protocol.StatusLive, m.Beat
		if t.items != nil {
			t.countArrival(l, now) // it may show the newest, and then there is nothing to be said
		}
	}
	switch {
	case m.Soft != nil && t.board != nil:
		t.watch(l, m.Soft, now, q == nil)
	case m.Change != nil:
		t.receiveState(l, protocol.State{Epoch: m.Change.Epoch, Version: m.Change.Version}, now, q, m.Change)
	case m.HasState:
		t.receiveState(l, m.State, now, q, nil)
	}
	for _, op := range m.Acks {
		t.acknowledge(l, op, now)
	}
	switch {
	case m.Answer != protocol.NoAnswer:
		t.answer(l, m, now)
	case m.Reason != "":
		l.countError("the server says: " + m.Reason)
	}
	t.hear(l, m.Clock, now)
	if t.leaving {
		t.leave(l)
	}
}

// hear takes the server's clock. With the first the clicks go out that were made before.
func (t *tab) hear(l *loop, clock, now int64) {
	if clock == 0 {
		return
	}
	first := t.clock == 0
	t.clock = clock
	if first {
		t.resend(l, now)
	}
}

// receiveState handles a state of the server, or a change that leads to it.
func (t *tab) receiveState(l *loop, s protocol.State, now int64, q *sequence, c *protocol.Change) {
	l.seen.Counts.Deliveries++
	l.replicas[t.replica].seen.Deliveries++
	if !t.gotState {
		t.countArrival(l, now)
	}
	old := t.known && s.Older(t.shown) && l.fleet.traits.Versions
	backwards := t.gotState
	if q != nil {
		backwards = q.backwards(s)
	}
	switch {
	case old && backwards:
		l.violate(RuleForward, "tab %d of %s was sent version %d after %d", t.slot, t.view.Replica, s.Version, t.shown.Version)
	case old && q != nil: // another answer was faster
	case old:
		l.seen.Counts.Dropped++ // the page drops what a replica that lags behind says first
	case c != nil:
		t.change(l, c, now)
	default:
		t.show(l, s, now)
	}
	t.gotState = true
	if !l.fleet.traits.Acks {
		for len(t.outbox) > 0 && t.outbox[0].sent != 0 {
			t.acknowledge(l, t.outbox[0].op.ID, now)
		}
	}
}

// show shows a state.
func (t *tab) show(l *loop, s protocol.State, now int64) {
	from, known := t.shown, t.known
	if known && s.Same(from) {
		if s != from {
			l.violate(RuleForward, "tab %d of %s was shown %s and then %s, both as version %d", t.slot, t.view.Replica, from.Text(), s.Text(), s.Version)
		}
		return
	}
	t.shown, t.shownAt, t.known = s, now, true
	// A topic has version 0 until it is there, and what it begins with is not counted from there.
	if known && from.Epoch == s.Epoch && from.Version > 0 && from.Version < s.Version {
		l.seen.Counts.Advanced += int64(s.Version - from.Version)
	}
	if t.slow {
		return
	}
	if !known {
		if l.frontiers[t.counter].add(s, now) {
			t.checkCount(l, s)
		}
		return
	}
	stale, first, isNew := l.frontiers[t.counter].move(from, s, now)
	if stale > 0 {
		l.seen.Staleness.Add(ms(stale))
	}
	switch {
	case isNew:
		t.checkCount(l, s)
	case first != s:
		l.violate(RuleForward, "tab %d of %s shows %s as version %d, another tab %s", t.slot, t.view.Replica, s.Text(), s.Version, first.Text())
	}
}

// checkCount checks a state that no tab has shown before: there must be such a one, and it must not
// have more than was clicked.
func (t *tab) checkCount(l *loop, s protocol.State) {
	if l.before == nil || !l.fleet.traits.Acks {
		return
	}
	before, tally := l.before[t.counter], l.fleet.tallies[t.counter]
	if wrong := tally.unsound(before, s); wrong != "" {
		l.violate(RuleSound, "version %d %s, first in tab %d of %s", s.Version, wrong, t.slot, t.view.Replica)
	}
	if !l.fleet.alone {
		return // others click too
	}
	if more, of := tally.excess(before, s); more > l.excess[t.counter] {
		l.excess[t.counter] = more
		l.violate(RuleOnce, "version %d shows %d %s, first in tab %d of %s; the last op was %s",
			s.Version, more, of, t.slot, t.view.Replica, l.lastOp)
	}
}
