package planted

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// An op is what a person at a tab did.
type op struct {
	client    string
	seq, from uint64
	do        string
	in        map[string]string
	user      string
}

// window is how many ops of a client may be without an answer.
const window = 200

// click counts an op, or does not. The caller holds mu.
func (s *Server) click(t *tab, o op) {
	c := t.topic
	lane := c.lanes[o.client]
	switch {
	case lane != nil && o.seq <= lane.last:
		s.again(t, o, lane)
		return
	case o.seq-o.from >= window, o.seq != o.from && (lane == nil || o.seq != lane.last+1):
		s.retry(t, o, "")
		return
	}
	c.ops++
	if each(s.bugs.Retry, c.ops) {
		s.retry(t, o, `,"error":"try again"`)
		return
	}
	if lane == nil {
		lane = &clientLane{reasons: make(map[uint64]string), mute: make(map[uint64]bool), old: make(map[uint64]bool), answered: make(map[uint64]bool)}
		c.lanes[o.client] = lane
	}
	before := lane.newest
	lane.last, lane.from, lane.newest = o.seq, max(lane.from, o.from), &o
	if each(s.bugs.NoAck, c.ops) {
		lane.mute[o.seq] = true
	}
	s.take(t, o, lane, before)
}

// retry answers an op that is not taken.
func (s *Server) retry(t *tab, o op, why string) {
	t.topic.retried[opID{o.client, o.seq}] = time.Now().UnixMilli()
	t.send(t.topic.answer(o, `"retry":true`+why))
}

// take takes an op that is new; before is the one that its client has made before.
func (s *Server) take(t *tab, o op, lane *clientLane, before *op) {
	c, b := t.topic, s.bugs
	c.actor = t
	reason := c.check(o, b.Overdraft)
	if each(b.Refuse, c.ops) {
		reason = "not allowed"
	}
	if each(b.ApplyRefused, c.ops) {
		c.apply(o)
		s.broadcast(c)
		reason = "not allowed"
	}
	lane.answered[o.seq] = !lane.mute[o.seq] && !each(b.LoseAnswer, c.ops)
	if reason != "" {
		lane.reasons[o.seq] = reason
		s.refuse(t, o, reason)
		return
	}
	switch {
	case each(b.LoseClick, c.ops):
		c.step()
	case each(b.Twice, c.ops):
		c.apply(o)
		o.user += " again" // which matters in a poll
		c.applyMore(o)
	case each(b.Disorder, c.ops) && before != nil && c.kind == "log":
		c.apply(o)
		c.exchange(nameOf(o), nameOf(*before))
	case each(b.Disorder, c.ops) && before != nil:
		c.apply(o)
		c.applyMore(*before)
	default:
		c.apply(o)
	}
	switch {
	case each(b.Settle, c.ops):
		s.broadcast(c)
		t.send(c.answer(o, `"settled":true`))
	case each(b.Forget, c.ops):
		s.broadcast(c)
		lane.old[o.seq] = true
		t.send(c.answer(o, `"old":true`))
	case each(b.EarlyAck, c.ops):
		t.send(c.ack(o)) // the state follows with the next click
	default:
		s.broadcast(c)
		if !lane.mute[o.seq] && !each(b.LoseAnswer, c.ops) {
			t.send(c.ack(o))
		}
	}
}

// again answers an op that was dealt with.
func (s *Server) again(t *tab, o op, lane *clientLane) {
	c := t.topic
	reason, refused := lane.reasons[o.seq]
	if s.bugs.TwiceOnResend && !refused {
		o.user += " again"
		c.apply(o)
		s.broadcast(c)
	}
	lane.answered[o.seq] = !lane.mute[o.seq]
	switch {
	case lane.mute[o.seq]:
	case o.seq < lane.from:
		t.send(c.answer(o, `"settled":true`))
	case refused:
		s.refuse(t, o, reason)
	case lane.old[o.seq]:
		t.send(c.answer(o, `"old":true`))
	case s.bugs.OtherAnswer:
		s.refuse(t, o, "it was done before")
	default:
		t.send(c.ack(o))
	}
}

func (s *Server) refuse(t *tab, o op, reason string) {
	if s.bugs.NoReason {
		reason = ""
	}
	t.send(t.topic.answer(o, fmt.Sprintf(`"refused":%q`, reason)))
}

// broadcast sends the newest state to all, as far as the bugs let it. The caller holds mu.
func (s *Server) broadcast(c *topic) {
	if c.isItems() {
		s.tell(c)
		return
	}
	b := s.bugs
	v := int(c.version)
	truth, other := c.message(c.version, c.root(0)), c.message(c.version, c.root(1))
	for i, t := range c.tabs {
		switch {
		case each(b.DropUpdate, t.number+v), each(b.Freeze, t.number):
			continue
		case each(b.TwoTruths, v) && t.number%2 == 0:
			t.send(other)
		default:
			t.send(truth)
		}
		if each(b.Backwards, v) && i == v%len(c.tabs) {
			t.send(c.message(c.version-1, c.former))
		}
		if each(b.Garbage, v) && i == 0 {
			t.send("garbage")
		}
	}
}

// tell sends what has changed to all, as far as the bugs let it. The caller holds mu.
func (s *Server) tell(c *topic) {
	b, v := s.bugs, int(c.version)
	if each(b.Forgetful, v) {
		c.past = nil
	}
	c.remember()
	for i, t := range c.tabs {
		switch {
		case each(b.DropUpdate, t.number+v), each(b.Freeze, t.number), each(b.Conflate, v) && t.number%2 == 0 && t != c.actor:
			continue
		case c.heldBack(t, b) && !each(b.GapForWhole, v):
			continue
		}
		if m := s.frame(t); !each(b.LoseFrame, t.number+v) || t == c.actor || v > lossy {
			t.send(m)
		}
		if each(b.Backwards, v) && i == v%len(c.tabs) && len(c.past) > 1 {
			t.send(c.old(c.past[len(c.past)-2]))
		}
	}
}

// A tab is a connection with a queue that has no end: the server must not be slow where it is
// right.
type tab struct {
	number int // in the order of connecting, from 1
	topic  *topic
	user   string // "": it has no cookie
	board  string // the owner of what it has cast; "": nothing

	version uint64 // that it was sent last, if it shows one; the server's mu guards both
	shows   bool

	mu    sync.Mutex // guards the rest
	queue []string
	ended string // why, as the tab is told; "": without a word
	done  bool
	more  chan struct{}
}

// send never waits.
func (t *tab) send(message string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queue = append(t.queue, message)
	t.wake()
}

// end closes the connection once the queue is written. The tab is told why, unless that is "".
func (t *tab) end(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done, t.ended = true, why
	t.wake()
}

func (t *tab) wake() {
	select {
	case t.more <- struct{}{}:
	default: // it is awake
	}
}

// A connection is that of a tab.
type connection interface {
	message(m string) error
	end(why string) // the last; "": without a word
}

// A websocketConn is a connection over a websocket.
type websocketConn struct{ *websocket.Conn }

func (c websocketConn) message(m string) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	return c.Write(ctx, websocket.MessageText, []byte(m))
}

func (c websocketConn) end(why string) {
	if why == "" {
		_ = c.CloseNow() // it may be broken
		return
	}
	_ = c.Close(websocket.StatusServiceRestart, why) // the tab may be gone
}

// write writes the queue until end.
func (t *tab) write(c connection) {
	for range t.more {
		t.mu.Lock()
		messages, done, why := slices.Clone(t.queue), t.done, t.ended
		t.queue = t.queue[:0]
		t.mu.Unlock()
		for _, m := range messages {
			if err := c.message(m); err != nil {
				c.end("") // it is broken
				return
			}
		}
		if done {
			c.end(why)
			return
		}
	}
}
