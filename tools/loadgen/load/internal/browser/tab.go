package browser

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
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
// It is small, because there are thousands.
type tab struct {
	slot    int
	index   int32 // its place in the loop
	counter int
	slow    bool
	hidden  bool

	wanted  bool   // a person has this tab open, or is opening it
	leaving bool   // as soon as the outbox is empty
	returns bool   // another one opens in its place
	queued  bool   // to be opened
	dialing bool   // an attempt to open it is under way
	life    uint32 // a number for each connection and each page: events of another are old

	view     *protocol.View // nil: there is no page yet
	replica  int            // the number of its server
	conn     socket         // nil: not connected
	gotState bool           // over this connection
	live     bool           // the server says that it is well
	beat     time.Duration  // and how far its statuses are apart; 0: it does not say
	known    bool           // shown is something
	shown    protocol.State
	items    *protocol.Items // that it shows; nil: its page has none
	board    *board          // what it shows of a board; nil: its page has none
	lacks    bool            // it has asked for all there is, and waits

	// All in ns as Fleet.now has them; 0: never, or not any more.
	shownAt     int64
	requestedAt int64 // the page, if nothing has come over its socket yet
	connectedAt int64 // the connection that is or was
	lostAt      int64 // the connection before, if nothing has come over the next yet
	receivedAt  int64 // anything from the server
	idleSince   int64 // the last click had its answer
	askedAt     int64 // for all there is, if it lacks that

	attempt  int // to connect, in a row
	flaps    int // connections in a row that ended soon
	retry    time.Duration
	retrying bool // all of the outbox is to be sent again

	client   string // names the page load
	seq      uint64 // of the newest click
	finished uint64 // the newest of which the server was told that no answer is needed
	clock    int64  // of the server, as it was heard last, in ms since 1970; 0: never
	outbox   []click
	replies  []reply // to the last clicks

	in      []byte // the first part of a frame
	message []byte // the fragments of a message
}

// arrive has a person open the page after a time.
func (t *tab) arrive(l *loop, in time.Duration) {
	t.wanted = true
	l.after(t, in, timerOpen)
}

// fire does what a timer is for.
func (t *tab) fire(l *loop, what timerKind, now int64) {
	switch what {
	case timerOpen:
		if t.wanted && t.conn == nil && !t.dialing && !t.queued {
			t.queued = true
			l.waiting = append(l.waiting, t.index)
		}
	case timerResend:
		t.retrying = false
		t.resend(l, now)
	case timerRead:
		if t.conn == nil {
			return
		}
		t.conn.resume()
		t.read(l)
	case timerPoll:
		if c, ok := t.conn.(*overHTTP); ok {
			c.ask()
			c.follow()
		}
	}
}

// opened takes the outcome of an attempt to open the page, or to connect.
func (l *loop) opened(t *tab, life uint32, o opening) {
	l.inFlight--
	t.dialing = false
	if t.life != life || !t.wanted {
		o.drop()
		if t.wanted {
			l.after(t, 0, timerOpen)
		}
		return
	}
	if o.view != nil && t.view == nil {
		t.showPage(l, o)
	}
	if o.err != nil {
		if errors.As(o.err, new(Refusal)) {
			l.seen.Counts.Refusals++
		}
		l.countError(Cause(o.err))
		t.attempt++
		t.backoff(l)
		return
	}
	t.connected(l, o)
}

// showPage has the tab show a page that has come.
func (t *tab) showPage(l *loop, o opening) {
	t.view, t.requestedAt = o.view, o.began
	t.live, t.known = o.view.Live, false
	t.replica = l.replicaNumber(o.view.Replica)
	t.client, t.seq, t.finished, t.clock, t.replies = newClient(), 0, 0, 0, nil
	t.enter(l)
	if o.view.Known {
		t.items = l.models.page(t.counter, o.view)
		l.learn(t, t.items)
		t.show(l, o.view.State, l.fleet.now())
	}
}

// newClient is a name that no other page load has: 128 random bits.
func newClient() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// connected begins a connection: with hello, then every click of the outbox.
func (t *tab) connected(l *loop, o opening) {
	now := l.fleet.now()
	t.conn = o.attach(l, t)
	t.connectedAt, t.receivedAt, t.beat = now, now, 0
	t.attempt, t.gotState, t.retrying, t.lacks = 0, false, false, false
	t.hello(l)
	t.resend(l, now)
	if !l.fleet.traits.Versions {
		t.countArrival(l, now) // its wire may have nothing to say
	}
	if len(o.rest) > 0 && t.conn != nil {
		t.feed(l, o.rest)
	}
	if c, ok := t.conn.(*overHTTP); ok {
		c.begin(o.said)
	}
}

// hello says who the tab is, and what it shows.
func (t *tab) hello(l *loop) {
	if hello := l.fleet.config.Protocol.Hello(t.view, t.client, t.shown); hello != nil {
		t.write(l, hello)
	}
}

// countArrival counts a join or a reconnection, and how long it took. A slow tab measures nothing
// but itself.
func (t *tab) countArrival(l *loop, now int64) {
	if t.requestedAt != 0 {
		l.seen.Counts.Joins++
	} else if t.lostAt != 0 {
		l.seen.Counts.Reconnects++
		l.replicas[t.replica].seen.Reconnects++
	}
	switch {
	case t.slow:
	case t.requestedAt != 0:
		l.seen.Join.Add(ms(now - t.requestedAt))
	case t.lostAt != 0:
		l.seen.Reconnect.Add(ms(now - t.lostAt))
	}
	t.requestedAt, t.lostAt = 0, 0
}

func (t *tab) write(l *loop, message []byte) {
	if t.conn == nil {
		return
	}
	if err := t.conn.text(message, l.chance); err != nil {
		t.lost(l, err)
	}
}

// disconnect closes the socket. Closing again is harmless.
func (t *tab) disconnect() {
	if t.conn == nil {
		return
	}
	t.conn.close()
	if t.board != nil {
		t.board.spots.left(t.board.owner)
	}
	t.conn, t.in, t.message = nil, nil, nil
	t.life++
}

// lost ends a connection, and has the tab connect again.
func (t *tab) lost(l *loop, err error) {
	if t.conn == nil {
		return
	}
	now := l.fleet.now()
	t.disconnect()
	if err != nil {
		l.countError("connection lost: " + Cause(err))
	}
	if t.lostAt == 0 {
		t.lostAt = now
	}
	t.flaps++
	if time.Duration(now-t.connectedAt) >= htmx.ShortConnection {
		t.flaps = 0
	}
	t.attempt = max(t.attempt, t.flaps-1) + 1
	t.backoff(l)
}

// closed ends a connection that the server closes. Going away (1001) and a restart (1012) are no
// errors.
func (t *tab) closed(l *loop, code int) {
	var err error
	if code != 1001 && code != 1012 {
		err = fmt.Errorf("closed by the server with %d", code)
	}
	t.lost(l, err)
}

// backoff waits before the next attempt.
func (t *tab) backoff(l *loop) {
	bound := min(htmx.ReconnectMax, htmx.ReconnectMin<<min(t.attempt-1, 10))
	wait := time.Duration(l.chance.Int64N(int64(bound)))
	if t.hidden {
		wait = max(wait, throttle)
	}
	l.after(t, wait, timerOpen)
}

// watchdog ends a connection that hangs. It is called once a second.
func (t *tab) watchdog(l *loop, now int64) {
	if t.conn == nil || t.hidden || t.slow {
		return
	}
	if time.Duration(now-t.idleSince) > htmx.FinPause {
		t.fin(l)
	}
	if t.conn == nil {
		return // it was just lost
	}
	if !t.unanswered(l, now) && time.Duration(now-t.receivedAt) < htmx.SilenceLimit(t.beat) {
		return
	}
	l.countError("connection lost: it hung")
	t.disconnect()
	t.lostAt = now
	l.after(t, 0, timerOpen)
}

// leave closes the page as soon as the outbox is empty: a click in a tab that is closed may be lost
// with any server, and no verdict could say whether it should count.
func (t *tab) leave(l *loop) {
	if !t.leaving || len(t.outbox) > 0 {
		return
	}
	t.fin(l)
	if t.conn != nil {
		_ = t.conn.write(appendFrame(nil, opClose, []byte{1001 >> 8, 1001 & 0xff}, l.chance)) // it is closed anyhow
	}
	t.disconnect()
	t.forget(l)
	t.wanted, t.leaving = false, false
	t.view, t.known, t.shown, t.items = nil, false, protocol.State{}, nil
	t.requestedAt, t.lostAt, t.attempt, t.flaps = 0, 0, 0, 0
	t.life++
	if t.returns {
		t.arrive(l, 0)
	}
}

// forget takes the tab's state out of its counter's frontier.
func (t *tab) forget(l *loop) {
	if t.known && !t.slow {
		l.frontiers[t.counter].remove(t.shown, l.fleet.now())
	}
}

func ms(ns int64) float64 { return float64(ns) / 1e6 }
