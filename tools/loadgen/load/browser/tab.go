package browser

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"lockstep/htmx"
	"lockstep/tools/loadgen/load/protocol"
)

// A tab does what a page does, at times that a page does not name.
const (
	throttle  = 1 * time.Second // a timer of a hidden tab is not sooner
	slowPause = 2 * time.Second // between two reads of a slow tab
)

// A tab is one virtual browser tab. Its loop owns it; that is the first argument of its methods.
// It is kept small: there are thousands.
type tab struct {
	slot    int
	index   int32
	counter int
	slow    bool
	hidden  bool

	wanted  bool // somebody has this tab open, or wants to
	leaving bool // as soon as nothing waits in the outbox
	returns bool // another one opens in its place
	queued  bool // to be opened
	dialing bool
	life    uint32 // a number for each connection and each page: events of another are old

	view    *protocol.View // nil: there is no page yet
	replica int            // the number of its server
	conn    socket         // nil: not connected
	hears   bool           // something came over this connection
	states  bool           // a state did
	live    bool           // the server says that it is well
	known   bool           // shown is something
	shown   protocol.State
	shownAt int64

	began  int64 // the page was asked for
	opened int64 // the connection
	gone   int64 // the last connection; 0: there was none, or the next has said something
	heard  int64 // something from the server
	asked  int64 // a click was sent that nothing has answered; 0: none

	attempt  int
	flaps    int
	retry    time.Duration
	retrying bool
	outbox   []click
	in       []byte // a frame that has not come to its end
	message  []byte // the fragments of a message
}

// A click is an op that waits for its acknowledgement.
type click struct {
	op    string
	due   int64
	first int64 // when it was first sent; 0: never
	acked int64 // clicks on the counter that were acknowledged before that
	again bool  // the server could not take it: it is to be sent again
}

// arrive has somebody open the page.
func (t *tab) arrive(l *loop, in time.Duration) {
	t.wanted = true
	l.after(t, in, choreOpen)
}

// fire does what a timer is for.
func (t *tab) fire(l *loop, what chore, now int64) {
	switch what {
	case choreOpen:
		if t.wanted && t.conn == nil && !t.dialing && !t.queued {
			t.queued = true
			l.waiting = append(l.waiting, t.index)
		}
	case choreResend:
		t.retrying = false
		for i := range t.outbox {
			if t.outbox[i].again {
				t.send(l, i, now)
			}
		}
	case choreRead:
		if t.conn == nil {
			return
		}
		t.conn.resume()
		t.read(l)
	}
}

// opened is what came of an attempt to open the page, or to connect.
func (l *loop) opened(t *tab, life uint32, o opening) {
	l.inFlight--
	t.dialing = false
	if t.life != life || !t.wanted {
		o.drop()
		if t.wanted {
			l.after(t, 0, choreOpen)
		}
		return
	}
	if o.view != nil && t.view == nil {
		t.page(l, o)
	}
	if o.err != nil {
		if errors.As(o.err, new(Refusal)) {
			l.seen.Counts.Refusals++
		}
		l.mishap(Cause(o.err))
		t.attempt++
		t.backoff(l)
		return
	}
	t.connected(l, o)
}

// page shows what a page has.
func (t *tab) page(l *loop, o opening) {
	t.view, t.began = o.view, o.began
	t.live, t.known = o.view.Live, false
	t.replica = l.server(o.view.Replica)
	if o.view.Known {
		t.show(l, o.view.State, l.fleet.now())
	}
}

// connected begins a connection: hello, then every click that waits.
func (t *tab) connected(l *loop, o opening) {
	now := l.fleet.now()
	t.conn = o.attach(l, t)
	t.opened, t.heard, t.asked = now, now, 0
	t.attempt, t.hears, t.states, t.retrying = 0, false, false, false
	if hello := l.fleet.config.Protocol.Hello(l.fleet.tabName(t.slot), t.shown); hello != nil {
		t.write(l, hello)
	}
	for i := range t.outbox {
		t.send(l, i, now)
	}
	if !l.fleet.traits.Versions {
		t.arrived(l, now) // its wire may have nothing to say
	}
	if len(o.rest) > 0 && t.conn != nil {
		t.feed(l, o.rest)
	}
}

// arrived notes how long it took to get here. A slow tab says nothing about that but of itself.
func (t *tab) arrived(l *loop, now int64) {
	if t.began != 0 {
		l.seen.Counts.Joins++
	} else if t.gone != 0 {
		l.seen.Counts.Reconnects++
		l.replicas[t.replica].seen.Reconnects++
	}
	switch {
	case t.slow:
	case t.began != 0:
		l.seen.Join.Add(ms(now - t.began))
	case t.gone != 0:
		l.seen.Reconnect.Add(ms(now - t.gone))
	}
	t.began, t.gone = 0, 0
}

// disconnect closes the socket. Closing again is harmless.
func (t *tab) disconnect(_ *loop) {
	if t.conn == nil {
		return
	}
	t.conn.close()
	t.conn, t.in, t.message = nil, nil, nil
	t.life++
}

// lost ends a connection, and has the tab connect again.
func (t *tab) lost(l *loop, err error) {
	if t.conn == nil {
		return
	}
	now := l.fleet.now()
	t.disconnect(l)
	if err != nil {
		l.mishap("connection lost: " + Cause(err))
	}
	if t.gone == 0 {
		t.gone = now
	}
	t.flaps++
	if time.Duration(now-t.opened) >= htmx.ShortConnection {
		t.flaps = 0
	}
	t.attempt = max(t.attempt, t.flaps-1) + 1
	t.backoff(l)
}

// backoff waits before the next attempt.
func (t *tab) backoff(l *loop) {
	bound := min(htmx.ReconnectMax, htmx.ReconnectMin<<min(t.attempt-1, 10))
	wait := time.Duration(l.chance.Int64N(int64(bound)))
	if t.hidden {
		wait = max(wait, throttle)
	}
	l.after(t, wait, choreOpen)
}

// watch notices a connection that hangs, once a second.
func (t *tab) watch(l *loop, now int64) {
	if t.conn == nil || t.hidden || t.slow {
		return
	}
	unanswered := t.live && t.asked != 0 && time.Duration(now-t.asked) > htmx.AnswerTimeout
	if !unanswered && time.Duration(now-t.heard) < htmx.SilenceTimeout {
		return
	}
	l.mishap("connection lost: it hung")
	t.disconnect(l)
	t.gone = now
	l.after(t, 0, choreOpen)
}

// leave closes the page, as soon as nothing waits: a click in a tab that is closed is lost to
// every server, and nobody could say whether it counts.
func (t *tab) leave(l *loop) {
	if !t.leaving || len(t.outbox) > 0 {
		return
	}
	if t.conn != nil {
		_ = t.conn.write(appendFrame(nil, opClose, []byte{1001 >> 8, 1001 & 0xff}, l.chance)) // it is closed anyhow
	}
	t.disconnect(l)
	t.forget(l)
	l.seen.Counts.Left++
	t.wanted, t.leaving = false, false
	t.view, t.known, t.shown = nil, false, protocol.State{}
	t.began, t.gone, t.attempt, t.flaps = 0, 0, 0, 0
	t.life++
	if t.returns {
		t.arrive(l, 0)
	}
}

// forget takes the tab out of those whose state counts.
func (t *tab) forget(l *loop) {
	if t.known && !t.slow {
		l.fronts[t.counter].remove(t.shown, l.fleet.now())
	}
}

// click is a person's.
func (t *tab) click(l *loop, due int64) {
	if len(t.outbox) >= htmx.MaxOutbox {
		l.mishap(fmt.Sprintf("a click was not made: %d wait in the tab", htmx.MaxOutbox))
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

// send sends a click of the outbox.
func (t *tab) send(l *loop, i int, now int64) {
	if t.conn == nil {
		return
	}
	c := &t.outbox[i]
	again := c.first != 0
	if again && !l.fleet.traits.Acks {
		return // nobody would know it for the same
	}
	if again {
		l.seen.Counts.Resent++
	} else {
		c.first, c.acked = now, l.fleet.acked[t.counter].Load()
	}
	c.again = false
	if t.asked == 0 {
		t.asked = now
	}
	s := l.fleet.config.Protocol.Click(t.view, c.op, again, int(time.Duration(now-c.first)/time.Second))
	switch {
	case s.Message != nil:
		t.write(l, s.Message)
	case s.Request != nil:
		l.fleet.request(l, t, s.Request)
	}
}

func (t *tab) write(l *loop, message []byte) {
	if t.conn == nil {
		return
	}
	if err := t.conn.write(appendFrame(nil, opText, message, l.chance)); err != nil {
		t.lost(l, err)
	}
}

// read takes what the socket has.
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

// feed takes bytes of the socket, which are only lent.
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

// frame takes one frame.
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

// closed is the server's goodbye. Going away (1001) and a restart (1012) are no mishap.
func (t *tab) closed(l *loop, code int) {
	var err error
	if code != 1001 && code != 1012 {
		err = fmt.Errorf("closed by the server with %d", code)
	}
	t.lost(l, err)
}

// receive takes one message.
func (t *tab) receive(l *loop, message []byte) {
	now := l.fleet.now()
	m := l.cache.get(message)
	if m == nil {
		parsed, err := l.fleet.config.Protocol.Read(t.view, message)
		if err != nil {
			l.violate(RuleRead, "tab %d of %s: %v", t.slot, t.view.Replica, err)
			return
		}
		m = &parsed
		if len(m.Acks) == 0 && m.Refused == "" {
			l.cache.put(message, m)
		}
	}
	t.heard, t.asked = now, 0
	if m.Status != protocol.NotSaid {
		t.live = m.Status == protocol.WellStatus
	}
	if m.HasState {
		t.state(l, m.State, now)
	}
	for _, op := range m.Acks {
		t.settle(l, op, now)
	}
	if m.Error != "" {
		t.refused(l, m)
	}
	if t.leaving {
		t.leave(l)
	}
}

// state takes a state from the server.
func (t *tab) state(l *loop, s protocol.State, now int64) {
	l.seen.Counts.Deliveries++
	l.replicas[t.replica].seen.Deliveries++
	if !t.states {
		t.arrived(l, now)
	}
	old := t.known && s.Older(t.shown) && l.fleet.traits.Versions
	switch {
	case old && t.states:
		l.violate(RuleForward, "tab %d of %s was sent version %d after %d", t.slot, t.view.Replica, s.Version, t.shown.Version)
	case old:
		l.seen.Counts.Dropped++ // the page drops what a replica that lags behind says first
	default:
		t.show(l, s, now)
	}
	t.states = true
	if !l.fleet.traits.Acks {
		for len(t.outbox) > 0 && t.outbox[0].first != 0 {
			t.settle(l, t.outbox[0].op, now)
		}
	}
}

// show shows a state.
func (t *tab) show(l *loop, s protocol.State, now int64) {
	from, known := t.shown, t.known
	if known && s.Same(from) {
		if s.Count != from.Count {
			l.violate(RuleForward, "tab %d of %s was shown %d and then %d, both as version %d", t.slot, t.view.Replica, from.Count, s.Count, s.Version)
		}
		return
	}
	t.shown, t.shownAt, t.known = s, now, true
	if known && from.Epoch == s.Epoch && from.Version < s.Version {
		l.seen.Counts.Advanced += int64(s.Version - from.Version)
	}
	if t.slow {
		return
	}
	if !known {
		if l.fronts[t.counter].add(s, now) {
			t.first(l, s)
		}
		return
	}
	stale, first, isNew := l.fronts[t.counter].move(from, s, now)
	if stale > 0 {
		l.seen.Staleness.Add(ms(stale))
	}
	switch {
	case isNew:
		t.first(l, s)
	case first.Count != s.Count:
		l.violate(RuleForward, "tab %d of %s shows %d as version %d, another tab %d", t.slot, t.view.Replica, s.Count, s.Version, first.Count)
	}
}

// first looks at a state that no tab has shown before: it can't have more than was clicked.
func (t *tab) first(l *loop, s protocol.State) {
	if l.before == nil || !l.fleet.alone || !l.fleet.traits.Acks {
		return
	}
	sent := l.fleet.sent[t.counter].Load()
	if more := s.Count - l.before[t.counter] - sent; more > l.excess[t.counter] {
		l.excess[t.counter] = more
		l.violate(RuleOnce, "version %d shows %d more than was clicked by then, first in tab %d of %s; the last op was %s",
			s.Version, more, t.slot, t.view.Replica, l.lastOp)
	}
}

// settle takes a click for counted.
func (t *tab) settle(l *loop, op string, now int64) {
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

// ownWrite checks that what is acknowledged is shown: at least all that was acknowledged before
// the click was sent, and the click.
func (t *tab) ownWrite(l *loop, c click) {
	if l.before == nil || !l.fleet.traits.Acks {
		return
	}
	if least := l.before[t.counter] + c.acked + 1; t.shown.Count < least {
		l.violate(RuleOwnWrite, "tab %d of %s showed %d when op %s was acknowledged, at least %d is right",
			t.slot, t.view.Replica, t.shown.Count, c.op, least)
	}
}

// refused gives a click up, or has it sent again later.
func (t *tab) refused(l *loop, m *protocol.Message) {
	i := slices.IndexFunc(t.outbox, func(c click) bool { return c.op == m.Refused })
	if i < 0 {
		l.mishap("the server says: " + m.Error)
		return
	}
	if !m.Retry {
		t.outbox = slices.Delete(t.outbox, i, i+1)
		l.seen.Counts.Refused++
		l.mishap("refused: " + m.Error)
		return
	}
	t.outbox[i].again = true
	if t.retrying {
		return
	}
	t.retrying = true
	t.retry = min(max(2*t.retry, htmx.RetryMin), htmx.RetryMax)
	l.after(t, time.Duration(float64(t.retry)*(.75+l.chance.Float64()/2)), choreResend)
}

func ms(ns int64) float64 { return float64(ns) / 1e6 }
