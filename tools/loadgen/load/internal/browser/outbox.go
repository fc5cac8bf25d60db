package browser

import (
	"fmt"
	"slices"
	"time"

	"lockstep/htmx"
	"lockstep/tools/loadgen/load/protocol"
)

// A click is an op that waits for its answer.
type click struct {
	op    protocol.Op // From and Age are those of the last sending
	due   int64
	made  int64
	sent  int64 // when it was last sent; 0: never
	floor floor // of when it was first sent
}

// click makes a click that was due at a time: it goes to the outbox, and out if there is a
// connection.
func (t *tab) click(l *loop, due int64) {
	if t.board != nil {
		t.cast(l, due)
		return
	}
	if len(t.outbox) > 0 && t.seq-t.outbox[0].op.Seq+1 >= htmx.MaxOutbox {
		l.countError(fmt.Sprintf("a click was not made: %d wait in the tab", htmx.MaxOutbox))
		return
	}
	now := l.fleet.now()
	l.seen.Late.Add(ms(now - due))
	l.seen.Counts.Sent++
	l.replicas[t.replica].seen.Clicks++
	t.seq++
	c := click{due: due, made: now, op: protocol.Op{ID: protocol.ID{Client: t.client, Seq: t.seq}, Seen: t.clock}}
	c.op.Do, c.op.In = t.choose(l)
	l.lastOp = c.op.String()
	l.fleet.tallies[t.counter].made(&c.op, t.person())
	l.note(t, &c.op, Made)
	t.outbox = append(t.outbox, c)
	t.send(l, len(t.outbox)-1, now)
	if t.conn != nil && l.fleet.traits.Acks && l.chance.Float64() < l.fleet.config.Repeat {
		t.send(l, len(t.outbox)-1, now)
	}
}

// choose is what the person does next.
func (t *tab) choose(l *loop) (do string, in map[string]string) {
	if p, ok := l.fleet.config.Protocol.(protocol.Itemized); ok && t.items != nil {
		return p.Pick(t.items, l.chance)
	}
	return l.fleet.config.Protocol.Choose(t.view, l.chance)
}

// person is who clicks in a tab.
func (t *tab) person() string {
	if t.view.User != "" {
		return t.view.User
	}
	return t.client
}

// resend sends every click of the outbox, in the order in which they were made. The outbox is in
// memory, so this is how it is read.
func (t *tab) resend(l *loop, now int64) {
	for i := range t.outbox {
		t.outbox[i].op.Seen = t.clock
		t.send(l, i, now)
	}
}

// send sends click i of the outbox, if it can: there may be no connection, or the server's clock
// was never heard. Then the next connection or the clock has it sent.
func (t *tab) send(l *loop, i int, now int64) {
	traits := l.fleet.traits
	if t.conn == nil || traits.Clocks && t.clock == 0 {
		return
	}
	c := &t.outbox[i]
	switch {
	case c.sent == 0:
		c.floor = l.fleet.tallies[t.counter].floor(&c.op, t.person())
	case !traits.Acks:
		return // the server could not tell that it is the same
	default:
		l.seen.Counts.Resent++
	}
	c.sent = now
	if c.op.Seen == 0 {
		c.op.Seen = t.clock
	}
	c.op.From, c.op.Age = t.outbox[0].op.Seq, time.Duration(now-c.made)
	s := l.fleet.config.Protocol.Click(t.view, &c.op)
	switch {
	case s.Message != nil:
		t.write(l, s.Message)
	case s.Request != nil:
		l.fleet.request(l, t, s.Request)
	}
}

// fin says that the tab needs no more answers, if it has clicked and none is open.
func (t *tab) fin(l *loop) {
	if t.conn == nil || len(t.outbox) > 0 || t.seq == t.finished {
		return
	}
	t.finished = t.seq
	if message := l.fleet.config.Protocol.Fin(t.view, t.client, t.seq); message != nil {
		t.write(l, message)
	}
}

// unanswered reports whether the oldest click has been without an answer for too long.
func (t *tab) unanswered(l *loop, now int64) bool {
	if !t.live || t.retrying || len(t.outbox) == 0 {
		return false
	}
	since := t.outbox[0].sent
	switch {
	case l.fleet.traits.Acks:
		since = max(since, t.outbox[0].made, t.connectedAt)
	case since < t.connectedAt:
		return false // it is not sent again
	default:
		since = max(since, t.receivedAt)
	}
	return time.Duration(now-since) > htmx.AnswerTimeout
}

// takeOut takes an op that has a final answer out of the outbox; false: it had one before.
func (t *tab) takeOut(op protocol.ID, now int64) (c click, ok bool) {
	if op.Client != t.client {
		return click{}, false
	}
	i := slices.IndexFunc(t.outbox, func(c click) bool { return c.op.Seq == op.Seq })
	if i < 0 {
		return click{}, false
	}
	c = t.outbox[i]
	t.outbox = slices.Delete(t.outbox, i, i+1)
	if len(t.outbox) == 0 {
		t.outbox = nil
	}
	t.retry, t.idleSince = 0, now
	return c, true
}

// acknowledge takes an op out of the outbox, and measures its click: it counts.
func (t *tab) acknowledge(l *loop, op protocol.ID, now int64) {
	t.answered(l, op, protocol.NoAnswer)
	c, ok := t.takeOut(op, now)
	if !ok {
		return
	}
	tally := l.fleet.tallies[t.counter]
	if l.before != nil && l.fleet.traits.Acks && !t.lacks && (l.fleet.alone || tally.partial()) {
		if wrong := tally.own(l.before[t.counter], &c, t.shown, t.items); wrong != "" {
			l.violate(RuleOwnWrite, "tab %d of %s %s", t.slot, t.view.Replica, wrong)
		}
	}
	tally.acked(&c.op, t.person())
	l.note(t, &c.op, Acked)
	l.seen.Counts.Acked++
	l.seen.LastAck = now
	own := now
	if t.shownAt >= c.due {
		own = t.shownAt
	}
	l.seen.Own.Add(ms(own - c.due))
	l.replicas[t.replica].seen.Own.Add(ms(own - c.due))
	l.seen.Ack.Add(ms(now - c.due))
	seen := &l.seen.Counters[t.counter]
	seen.Acked++
	seen.Clicks = append(seen.Clicks, Resolved{State: t.shown, Due: c.due})
}

// answer takes an answer that is no acknowledgement.
func (t *tab) answer(l *loop, m *protocol.Message, now int64) {
	if m.Answer == protocol.Retry {
		t.later(l, m.Op)
		return
	}
	t.answered(l, m.Op, m.Answer)
	c, ok := t.takeOut(m.Op, now)
	if !ok {
		return
	}
	switch m.Answer {
	case protocol.Refused:
		t.refused(l, &c.op, m.Reason)
		return
	case protocol.Settled: // no other page of this person had the answer
		l.violate(RuleAnswer, "tab %d of %s was told that op %s is settled, and never its answer", t.slot, t.view.Replica, c.op.ID)
	default:
		l.countError("old: nobody knows any more whether a click counts")
	}
	l.note(t, &c.op, Forgotten)
	l.seen.Counts.Forgotten++
	l.seen.Counters[t.counter].Forgotten++
}

func (t *tab) refused(l *loop, op *protocol.Op, reason string) {
	l.seen.Counts.Refused++
	l.fleet.tallies[t.counter].refused(op, t.person())
	l.note(t, op, Refused)
	switch {
	case reason == "" && l.fleet.traits.Clocks:
		l.violate(RuleAnswer, "tab %d of %s was not told why op %s is refused", t.slot, t.view.Replica, op.ID)
	case l.fleet.traits.Kind == protocol.Bank: // it refuses what would overdraw an account, as it should
	case l.fleet.traits.Kind == protocol.List: // somebody else has removed the item
	default:
		l.countError("refused: " + reason)
	}
}

// later has all clicks sent again after a pause: the server could not take one.
func (t *tab) later(l *loop, op protocol.ID) {
	if t.retrying || op.Client != t.client || !slices.ContainsFunc(t.outbox, func(c click) bool { return c.op.Seq == op.Seq }) {
		return
	}
	t.retrying = true
	t.retry = min(max(2*t.retry, htmx.RetryMin), htmx.RetryMax)
	l.after(t, time.Duration(float64(t.retry)*(.75+l.chance.Float64()/2)), timerResend)
}

// remembered is how many answers a tab remembers, to compare them with those to the same op again.
const remembered = 8

// A reply is an answer that a tab has had.
type reply struct {
	seq    uint64
	answer protocol.Answer // NoAnswer: it was acknowledged
}

// answered compares a final answer with the one that the op had before, if it had one lately.
func (t *tab) answered(l *loop, op protocol.ID, answer protocol.Answer) {
	if op.Client != t.client || !l.fleet.traits.Clocks {
		return
	}
	i := slices.IndexFunc(t.replies, func(r reply) bool { return r.seq == op.Seq })
	switch {
	case i < 0 && len(t.replies) < remembered:
		t.replies = append(t.replies, reply{op.Seq, answer})
	case i < 0:
		t.replies[op.Seq%remembered] = reply{op.Seq, answer}
	case t.replies[i].answer != answer && answer != protocol.Settled:
		l.violate(RuleAnswer, "tab %d of %s was told that op %s is %s, and then that it is %s",
			t.slot, t.view.Replica, op, named(t.replies[i].answer), named(answer))
	}
}

// named is a final answer for people.
func named(a protocol.Answer) string {
	switch a {
	case protocol.Refused:
		return "refused"
	case protocol.Settled:
		return "settled"
	case protocol.Old:
		return "old"
	}
	return "acknowledged"
}
