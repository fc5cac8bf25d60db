package browser

import (
	"fmt"
	"slices"
	"time"

	"lockstep/htmx"
	"lockstep/tools/loadgen/load/protocol"
)

// A click is an op that waits for its acknowledgement.
type click struct {
	op    string
	due   int64
	first int64 // when it was first sent; 0: never
	acked int64 // clicks on the counter that were acknowledged before that
	again bool  // it is to be sent again: the server could not take it
}

// click makes a click that was due at a time: it goes to the outbox, and out if there is a
// connection.
func (t *tab) click(l *loop, due int64) {
	if len(t.outbox) >= htmx.MaxOutbox {
		l.countError(fmt.Sprintf("a click was not made: %d wait in the tab", htmx.MaxOutbox))
		return
	}
	now := l.fleet.now()
	l.seen.Late.Add(ms(now - due))
	l.seen.Counts.Sent++
	l.replicas[t.replica].seen.Clicks++
	l.fleet.sent[t.counter].Add(1)
	l.lastOp = l.fleet.newOp(l)
	t.outbox = append(t.outbox, click{op: l.lastOp, due: due})
	if t.conn == nil {
		return // the next connection sends it
	}
	t.send(l, len(t.outbox)-1, now)
	if t.conn != nil && l.fleet.traits.Acks && l.chance.Float64() < l.fleet.config.Repeat {
		t.send(l, len(t.outbox)-1, now)
	}
}

// send sends click i of the outbox.
func (t *tab) send(l *loop, i int, now int64) {
	if t.conn == nil {
		return
	}
	c := &t.outbox[i]
	again := c.first != 0
	if again && !l.fleet.traits.Acks {
		return // the server could not tell that it is the same
	}
	if again {
		l.seen.Counts.Resent++
	} else {
		c.first, c.acked = now, l.fleet.acked[t.counter].Load()
	}
	c.again = false
	if t.waitingSince == 0 {
		t.waitingSince = now
	}
	s := l.fleet.config.Protocol.Click(t.view, c.op, again, int(time.Duration(now-c.first)/time.Second))
	switch {
	case s.Message != nil:
		t.write(l, s.Message)
	case s.Request != nil:
		l.fleet.request(l, t, s.Request)
	}
}

// acknowledge takes an op out of the outbox, and measures its click: it counts.
func (t *tab) acknowledge(l *loop, op string, now int64) {
	i := slices.IndexFunc(t.outbox, func(c click) bool { return c.op == op })
	if i < 0 {
		return // it was acknowledged before
	}
	c := t.outbox[i]
	t.outbox = slices.Delete(t.outbox, i, i+1)
	if len(t.outbox) == 0 {
		t.outbox = nil
	}
	t.retry = 0
	t.ownWrite(l, c)
	l.fleet.acked[t.counter].Add(1)
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

// ownWrite checks that the tab shows what was just acknowledged: at least all that was acknowledged
// before the click was sent, and the click.
func (t *tab) ownWrite(l *loop, c click) {
	if l.before == nil || !l.fleet.traits.Acks {
		return
	}
	if least := l.before[t.counter] + c.acked + 1; t.shown.Count < least {
		l.violate(RuleOwnWrite, "tab %d of %s showed %d when op %s was acknowledged, at least %d is right",
			t.slot, t.view.Replica, t.shown.Count, c.op, least)
	}
}

// refused drops a click, or has it sent again later.
func (t *tab) refused(l *loop, m *protocol.Message) {
	i := slices.IndexFunc(t.outbox, func(c click) bool { return c.op == m.Refused })
	if i < 0 {
		l.countError("the server says: " + m.Error)
		return
	}
	if !m.Retry {
		t.outbox = slices.Delete(t.outbox, i, i+1)
		l.seen.Counts.Refused++
		l.countError("refused: " + m.Error)
		return
	}
	t.outbox[i].again = true
	if t.retrying {
		return
	}
	t.retrying = true
	t.retry = min(max(2*t.retry, htmx.RetryMin), htmx.RetryMax)
	l.after(t, time.Duration(float64(t.retry)*(.75+l.chance.Float64()/2)), timerResend)
}
